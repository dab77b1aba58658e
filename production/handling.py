"""What people change about a task without moving it: whether it goes on, its place in line, what will be published.

Errors of all: DecisionError.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction

from production import flow, lifecycle
from production.dispatch import ring_lane
from production.errors import DecisionError
from production.models import Priority, Take, Task
from production.outside import storable
from production.stages import AT_REST, Status

State = Take.State


@transaction.atomic
def pause(task: Task, *, by: str, reason: str = "") -> str:
    """Nothing new is begun for it until `resume`; what is under way ends by itself, people may decide all the same."""
    task = lifecycle.lock(task.pk)
    if task.status in AT_REST:
        raise DecisionError(f"Nothing is made of it in {task.get_status_display()}: there is nothing to pause")
    if task.paused:
        return f"{task.paused_by} has paused it already"
    set_pause(task, paused=True, by=by, reason=storable(reason.strip())[:200])
    lifecycle.remark(task, f"Paused: {reason.strip()}".removesuffix(": "), by=by)
    flow.slot_is_free(task)
    return "Paused; what is under way ends by itself, nothing new begins"


@transaction.atomic
def resume(task: Task, *, by: str) -> str:
    task = lifecycle.lock(task.pk)
    if not task.paused:
        return "It is not paused"
    set_pause(task, paused=False)
    lifecycle.remark(task, f"Goes on; it was paused by {task.paused_by}", by=by)
    for lane in set(task.takes.filter(state=State.WAITING).values_list("lane", flat=True)):
        ring_lane(lane)
    flow.slot_is_free(task)
    return "It goes on"


def set_pause(task: Task, *, paused: bool, by: str = "", reason: str = "") -> None:
    Task.objects.filter(pk=task.pk).update(paused=paused, paused_by=by, pause_reason=reason)
    lifecycle.tell_again(task)


@transaction.atomic
def edit(task: Task, words: Mapping[str, object], *, by: str, tell: bool = True) -> str:
    """These columns of the task as a person wants them, already checked: title, priority, publish time … Returns what
    has changed, empty for nothing. A yes to what was to be published before is void. `tell`: not where the row in
    Notion has said so itself."""
    task = lifecycle.lock(task.pk)
    changed = {name: value for name, value in words.items() if getattr(task, name) != value}
    require_unsent(task, changed)
    thumbnail = changed.get("thumbnail")
    if isinstance(thumbnail, Take) and not (thumbnail.task_id == task.pk and thumbnail.state == State.DONE):
        raise DecisionError("The thumbnail is one of this video's own pictures")
    if not changed:
        return ""
    Task.objects.filter(pk=task.pk).update(**changed)
    if tell and "priority" in changed:  # the only one of them that the row is told
        lifecycle.tell_again(task)
    sentence = _in_words(task, changed)
    lifecycle.remark(task, sentence, by=by)
    return sentence


def _in_words(task: Task, changed: Mapping[str, Any]) -> str:
    """What has changed; of its place in line also from which to which."""
    columns = ", ".join(name for name in changed if name != "priority").replace("_", " ")
    said = [f"{columns} changed"] if columns else []
    if "priority" in changed:
        now = dict(Priority.choices)[changed["priority"]]
        said.append(f"priority {now}, was {task.get_priority_display()}")
    sentence = "; ".join(said)
    return sentence[:1].upper() + sentence[1:]


def require_unsent(task: Task, names: Iterable[str]) -> None:
    """Errors: DecisionError where one of these columns is with YouTube already."""
    if task.status in (Status.UPLOADING, Status.PUBLISHED) and set(names) - {"priority"}:
        raise DecisionError(f"It is {task.get_status_display()}: change it on YouTube")
