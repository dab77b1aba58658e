"""What a person wrote and a refusal would lose: given back beside its reason, to go on with or to copy."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.http import HttpRequest

from production import cards
from production.admin.words import PublishForm
from production.models import Task
from production.outside import number
from production.recipes import Shelf
from production.stages import PIECE, STEP


@dataclass(frozen=True)
class Text:
    title: str
    text: str


@dataclass(frozen=True)
class Unsaved:
    """`step` where it is one of the plan, which can be sent again, beside how it stands there by `now`."""

    texts: list[Text]
    step: int | None = None
    now: str = ""


def read(request: HttpRequest, task: Task) -> Unsaved:
    """The words of a decision that was refused."""
    if request.POST.get("verb") == "rewrite":
        return _step(request, task)
    if request.POST.get("verb") == "edit":
        return Unsaved(list(_published(request, task)))
    reason = request.POST.get("reason", "").strip()
    return Unsaved([*_prompts(request, task), *([Text("Why", reason)] if reason else [])])


def _step(request: HttpRequest, task: Task) -> Unsaved:
    step = number(request.POST.get("step", ""))
    now = task.takes.filter(kind="plan", position=step, selected=True).values_list("pk", flat=True).first()
    yours = Text(STEP[step].title if step in STEP else "The plan", request.POST.get("text", ""))
    return Unsaved([yours], step, cards.texts(task, step).get(now or 0, ""))


def _prompts(request: HttpRequest, task: Task) -> Iterator[Text]:
    """Of the pieces that were to be made again in other words than those of the plan."""
    names = [name for name in request.POST if name.startswith("words-")]
    shelf = Shelf(task) if names else None
    for name in names:
        kind, _, position = name.removeprefix("words-").partition(":")
        if shelf and kind in PIECE and PIECE[kind].words:
            text = request.POST.get(name, "")
            title, words = cards.named(shelf, PIECE[kind], number(position))
            if text.split() != words.split():
                yield Text(f"{title}, in these words", text)


def _published(request: HttpRequest, task: Task) -> Iterator[Text]:
    """What would have been published otherwise than it is; a picture is no words."""
    form = PublishForm(request.POST, instance=task)
    for name in form.changed_data:
        if name != "thumbnail":
            yield Text(f"{form[name].label}", request.POST.get(name, ""))
