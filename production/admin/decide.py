"""The review page and what its buttons do. Looking is GET, deciding is POST; the rules are those of `decisions`."""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.db import transaction
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseNotModified,
    JsonResponse,
)
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import quote_etag
from django.views.decorators.cache import never_cache

from channels_app import access
from production import asking, commitment, decisions, handling, lifecycle, look, presence, review
from production.admin import unsaved
from production.admin.unsaved import Unsaved
from production.admin.words import PublishForm
from production.commitment import Commitment
from production.errors import DecisionError, IllegalMoveError, StaleError
from production.lint import CLIP_SECONDS
from production.look import Look
from production.models import Approval, Decision, Priority, Take, Task
from production.outside import number, storable
from production.progress import progress_of
from production.stages import Verb
from production.templatetags.money import usd

if TYPE_CHECKING:
    from production.presence import PolledTask

Refusals = (DecisionError, IllegalMoveError, StaleError)


class PriceError(DecisionError):
    """The yes was to another price; it is asked for again."""


@dataclass(frozen=True)
class Undoable:
    """A verdict that may be taken back, and until when."""

    decision: Decision
    until: dt.datetime


# ---------------------------------------------------------------- look


@never_cache
def show(request: HttpRequest, task: "PolledTask", *, may_decide: bool, given: Unsaved | None = None) -> HttpResponse:
    """The page; `?stage=` opens another stage than the one the task is at. After a POST it has the words that were
    sent and not taken."""
    following = asking.after(task, request.user)
    page = review.read(task, request.GET.get("stage", ""))
    words = PublishForm(_sent(request), instance=task) if page.can_edit and may_decide else None
    context: dict[str, Any] = {
        "page": page,
        "progress": progress_of([task]).get(task.pk),
        "version": presence.version(task),
        "opened": look.opened(task.pk),
        "may_decide": may_decide,
        "next": following,
        "next_media": review.first_media(following) if following and not page.is_live else [],
        "undo": _undoable(request),
        "unsaved": None if words and words.is_bound else given,
        "findings": list(_findings(request, task)),
        "words": words,
        "clip_seconds": CLIP_SECONDS,
    }
    return TemplateResponse(request, "review/page.html", context)


def _sent(request: HttpRequest) -> Mapping[str, Any] | None:
    return request.POST if request.POST.get("verb") == "edit" else None


def _findings(request: HttpRequest, task: Task) -> Iterator[tuple[dict[str, Any], Task | None]]:
    """What is said of the plan, with the video that it is like where this person may see that one."""
    wanted = [finding["like"] for finding in task.findings if finding.get("like")]
    tasks = access.seen_by(Task.objects.select_related("channel"), request.user).in_bulk(wanted) if wanted else {}
    for finding in task.findings:
        yield finding, tasks.get(finding.get("like", 0))


def _undoable(request: HttpRequest) -> Undoable | None:
    """What this person has decided just now and may take back: named in the address that the decision led to."""
    task = number(request.GET.get("undo", ""))
    last = Decision.objects.filter(task=task).select_related("task").last() if task else None
    if last is None or not decisions.may_be_undone(last, by=_by(request)):
        return None
    return Undoable(last, last.at + settings.UNDO)


@never_cache
def compare(request: HttpRequest, task: Task, kind: str, position: int, *, may_decide: bool) -> HttpResponse:
    """The takes of one piece side by side; the page shows them in a dialog."""
    columns = review.compare(task, kind, position)
    if not columns:
        raise Http404("There is no finished take of that piece")
    tone = asking.tone(task.status, asks=asking.asks(task))
    context = {
        "task": task,
        "columns": columns,
        "may_pick": may_decide and tone in ("you", "error"),
        "seen": review.seen(task),
        "opened": look.opened(task.pk),
        "action": reverse("admin:production_task_review", args=[task.pk]),
    }
    return TemplateResponse(request, "review/takes.html", context)


def poll(request: HttpRequest, task: "PolledTask") -> HttpResponse:
    """What an open page asks for every few seconds: who else is here, and whether there is something new. Where there
    is not, the answer is 304 and has cost no query but the one that `task` was read with."""
    if request.user.pk:
        presence.beat(task, request.user.pk)
    version = presence.version(task)
    etag = quote_etag(hashlib.sha256(f"{version} {task.others}".encode()).hexdigest()[:16])
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if etag == request.headers.get("If-None-Match"):
        return HttpResponseNotModified(headers=headers)
    now = progress_of([task]).get(task.pk)
    said = {
        "version": version,
        "status": task.status,
        "label": task.get_status_display(),
        "others": task.others,
        "text": str(now) if now else "",
        "done": now.done if now else 0,
        "total": now.total if now else 0,
    }
    return JsonResponse(said, headers=headers)


# ---------------------------------------------------------------- decide


def decide(request: HttpRequest, task: "PolledTask") -> HttpResponse | Unsaved:
    """Do what the button says and go to the next task that waits; what doesn't fit is said, and nothing happens. Words
    that were written for a while are given back."""
    deed = DEEDS.get(request.POST.get("verb", ""))
    if deed is None:
        return HttpResponseBadRequest("No such decision")
    stays = "task" in request.POST.get("from", "")
    here = reverse(f"admin:production_task_{'change' if stays else 'review'}", args=[task.pk])
    try:
        sentence = act(request, task, deed, seen=request.POST.get("seen", ""))
    except PriceError as dearer:
        messages.error(request, f"“{task}”: {dearer}")
        return redirect(f"{here}#approve")
    except Refusals as refusal:
        messages.error(request, f"“{task}”: {refusal}")
        given = unsaved.read(request, task)
        return given if (given.texts or deed is _edit) and not stays else redirect(here)
    messages.success(request, f"“{task}”: {sentence}")
    return redirect(here if stays or deed in STAYING else _whereto(request, task, deed))


def act(request: HttpRequest, task: Task, deed: "Deed", *, seen: str) -> str:
    """The deed, done to exactly what the person has `seen`. Returns what was done and what happens next.

    Errors: one of Refusals.
    """
    with transaction.atomic():
        task = lifecycle.lock(task.pk)
        if deed in BLIND:
            return f"{deed(task, request)}."
        now = review.seen(task)
        if seen != now and (deed is _approve or _content(seen) != _content(now)):
            return _late(task, deed, seen, now)
        coming = commitment.of(task, review.stage_at(task)) if deed is _approve else None
        sentence = deed(task, request)
    return f"{sentence}. {what_follows(coming)}" if coming else f"{sentence}."


def what_follows(coming: Commitment) -> str:
    """What a yes sets going, in a sentence."""
    price = f" for at most {usd(coming.usd)}" if coming.usd else ""
    verb = "follow" if len(coming.stages) > 1 else "follows"
    short = f" Only {coming.short.left:.2f} USD are left of the cap of {coming.short.name}." if coming.short else ""
    return f"{coming.names} {verb}{price}; then: {coming.until}.{short}"


def _content(seen: str) -> str:
    """What was seen, without what a yes to it costs."""
    return seen.rpartition(":")[0]


def _late(task: Task, deed: "Deed", seen: str, now: str) -> str:
    """Somebody was faster. A second yes to the same content is no error. Errors: DecisionError, PriceError."""
    content = storable(_content(seen).partition(":")[2])
    yes = Approval.objects.filter(task=task, content_hash=content).first() if content else None
    if deed is _approve and yes:
        return f"{yes.by} has approved this already."
    if _content(seen) == _content(now):
        price = usd(Decimal(now.rpartition(":")[2] or 0))
        raise PriceError(f"the price has changed, it is at most {price} now: look at it and say yes again")
    raise DecisionError(f"it has changed since you opened it and is in {task.get_status_display()} now: look again")


def _whereto(request: HttpRequest, task: Task, deed: "Deed") -> str:
    """To whom waits next; with nobody waiting the page stays. A verdict can be taken back from there."""
    following = asking.after(task, request.user)
    if following is None:
        messages.info(request, "Nothing else waits for you.")
    place = reverse("admin:production_task_review", args=[(following or task).pk])
    return f"{place}?undo={task.pk}" if deed in (_approve, _reject) and settings.UNDO else place


# ---------------------------------------------------------------- one deed a button

Deed = Callable[[Task, HttpRequest], str]


def _approve(task: Task, request: HttpRequest) -> str:
    seen_usd = request.POST.get("seen", "").rpartition(":")[2]
    looked = replace(_look(request, task), usd=Decimal(seen_usd) if seen_usd else None)
    return decisions.approve(task, by=_by(request), user=looked.user, look=looked)


def _reject(task: Task, request: HttpRequest) -> str:
    return decisions.reject(task, by=_by(request), reason=request.POST.get("reason", ""), look=_look(request, task))


def _undo(task: Task, request: HttpRequest) -> str:
    return decisions.undo(task, by=_by(request), look=_look(request, task))


def _redo(task: Task, request: HttpRequest) -> str:
    pieces = [_piece(key) for key in request.POST.getlist("pieces")]
    words = {piece: request.POST.get(f"words-{piece[0]}:{piece[1]}", "") for piece in pieces}
    reason = request.POST.get("reason", "")
    return decisions.redo(task, pieces, by=_by(request), reason=reason, words=words, look=_look(request, task))


def _retry(task: Task, request: HttpRequest) -> str:
    return decisions.retry(task, by=_by(request))


def _adopt(task: Task, request: HttpRequest) -> str:
    return decisions.adopt(task, by=_by(request))


def _send_back(task: Task, request: HttpRequest) -> str:
    stage, reason = request.POST.get("stage", ""), request.POST.get("reason", "")
    return decisions.send_back(task, stage, by=_by(request), reason=reason, look=_look(request, task))


def _cancel(task: Task, request: HttpRequest) -> str:
    return decisions.cancel(task, by=_by(request), reason=request.POST.get("reason", ""))


def _pick(task: Task, request: HttpRequest) -> str:
    take = Take.objects.filter(pk=number(request.POST.get("take", "")), task=task).first()
    if take is None:
        raise DecisionError("that take is not one of this task")
    return decisions.pick(task, take, by=_by(request), look=_look(request, task))


def _rewrite(task: Task, request: HttpRequest) -> str:
    step = number(request.POST.get("step", ""))
    return decisions.rewrite(task, step, request.POST.get("text", ""), by=_by(request))


def _edit(task: Task, request: HttpRequest) -> str:
    form = PublishForm(request.POST, instance=copy(task))
    if not form.is_valid():
        name, faults = next(iter(form.errors.items()))
        raise DecisionError(f"{name.replace('_', ' ')}: {faults[0]}")
    return "Saved" if handling.edit(task, form.cleaned_data, by=_by(request)) else "Nothing was changed"


def _pause(task: Task, request: HttpRequest) -> str:
    return handling.pause(task, by=_by(request), reason=request.POST.get("reason", ""))


def _resume(task: Task, request: HttpRequest) -> str:
    return handling.resume(task, by=_by(request))


def _put_first(task: Task, request: HttpRequest) -> str:
    priority = request.POST.get("priority", "")
    if priority not in map(str, Priority.values):
        raise DecisionError("Priority is High, Normal or Low")
    return handling.edit(task, {"priority": int(priority)}, by=_by(request)) or "Nothing was changed"


DEEDS: dict[str, Deed] = {
    Verb.APPROVE: _approve,
    Verb.REJECT: _reject,
    Verb.REDO: _redo,
    Verb.RETRY: _retry,
    Verb.ADOPT: _adopt,
    Verb.SEND_BACK: _send_back,
    Verb.CANCEL: _cancel,
    Verb.UNDO: _undo,
    "pick": _pick,
    "rewrite": _rewrite,
    "edit": _edit,
    "pause": _pause,
    "resume": _resume,
    "priority": _put_first,
}
BLIND = (_undo, _pause, _resume, _put_first)  # not about what lies there
STAYING = (_pick, _rewrite, _edit, _undo, _pause, _resume, _put_first)


def _look(request: HttpRequest, task: Task) -> Look:
    """What the person had looked at, as far as the page can be believed."""
    takes = task.takes.filter(selected=True).only("task", "kind", "position", "number", "seconds")
    seconds, played = look.told(request.POST.get("look", ""), request.POST.get("opened", ""), task.pk, list(takes))
    user = request.user if isinstance(request.user, User) else None
    return Look(seconds, played, tuple(request.POST.getlist("codes")), user=user)


def _by(request: HttpRequest) -> str:
    return request.user.get_username()


def _piece(key: str) -> tuple[str, int]:
    """ "clip:5" -> ("clip", 5). Errors: DecisionError."""
    kind, _, position = key.partition(":")
    if not (position.isdecimal() and len(position) < 5):
        raise DecisionError(f"“{key[:40]}” is not a piece")
    return kind, int(position)
