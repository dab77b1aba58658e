"""The review page and what its buttons do. Looking is GET, deciding is POST; the rules are those of `decisions`."""

import hashlib
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache

from production import asking, commitment, decisions, lifecycle, review
from production.commitment import Commitment
from production.decisions import DecisionError
from production.errors import IllegalMoveError, StaleError
from production.lint import CLIP_SECONDS
from production.models import Approval, Take, Task
from production.progress import progress_of
from production.stages import Verb
from production.templatetags.money import usd

LIST = "admin:production_task_changelist"
Refusals = (DecisionError, IllegalMoveError, StaleError)


# ---------------------------------------------------------------- look


@never_cache
def show(request: HttpRequest, task: Task, *, may_decide: bool) -> HttpResponse:
    """The page; `?stage=` opens another stage than the one the task is at."""
    following = asking.after(task, request.user)
    context: dict[str, Any] = {
        "page": review.read(task, request.GET.get("stage", "")),
        "progress": progress_of([task]).get(task.pk),
        "version": version(task),
        "may_decide": may_decide,
        "next": following,
        "next_media": review.first_media(following) if following else [],
        "waiting": asking.queue(request.user).exclude(pk=task.pk).count() if following else 0,
        "clip_seconds": CLIP_SECONDS,
    }
    return TemplateResponse(request, "review/page.html", context)


@never_cache
def progress(request: HttpRequest, task: Task) -> JsonResponse:
    """What the page asks for every two seconds while the system has the task."""
    now = progress_of([task]).get(task.pk)
    return JsonResponse(
        {
            "version": version(task),
            "status": task.status,
            "label": task.get_status_display(),
            "text": str(now) if now else "",
            "done": now.done if now else 0,
            "total": now.total if now else 0,
        }
    )


def version(task: Task) -> str:
    """Changes when the page has something new to show."""
    takes = list(task.takes.order_by("pk").values_list("pk", "state", "selected", "progress"))
    return hashlib.sha256(repr([task.status, takes]).encode()).hexdigest()[:16]


# ---------------------------------------------------------------- decide


def decide(request: HttpRequest, task: Task) -> HttpResponse:
    """Do what the button says and go to the next task that waits; what doesn't fit is said, and nothing happens."""
    deed = DEEDS.get(request.POST.get("verb", ""))
    if deed is None:
        return HttpResponseBadRequest("No such decision")
    here = reverse("admin:production_task_review", args=[task.pk])
    try:
        sentence = act(request, task, deed, seen=request.POST.get("seen", ""))
    except Refusals as refusal:
        messages.error(request, f"“{task}”: {refusal}")
        return redirect(here)
    messages.success(request, f"“{task}”: {sentence}")
    return redirect(here if deed in (_pick, _rewrite) else _whereto(task, request))


def act(request: HttpRequest, task: Task, deed: "Deed", *, seen: str) -> str:
    """The deed, done to exactly what the person has `seen`. Returns what was done and what happens next.

    Errors: one of Refusals.
    """
    with transaction.atomic():
        task = lifecycle.lock(task.pk)
        if seen != review.seen(task):
            return _late(task, deed, seen)
        stage = review.stage_at(task)
        coming = commitment.of(task, stage) if deed is _approve else None
        sentence = deed(task, request)
    return f"{sentence}. {what_follows(coming)}" if coming else f"{sentence}."


def what_follows(coming: Commitment) -> str:
    """What a yes sets going, in a sentence."""
    price = f" for at most {usd(coming.usd)}" if coming.usd else ""
    verb = "follow" if len(coming.stages) > 1 else "follows"
    return f"{coming.names} {verb}{price}; then: {coming.until}."


def _late(task: Task, deed: "Deed", seen: str) -> str:
    """Somebody was faster. A second yes to the same content is no error. Errors: DecisionError."""
    yes = Approval.objects.filter(task=task, content_hash=seen.partition(":")[2]).first()
    if deed is _approve and yes:
        return f"{yes.by} has approved this already."
    raise DecisionError(f"it has changed since you opened it and is in {task.get_status_display()} now: look again")


def _whereto(task: Task, request: HttpRequest) -> str:
    following = asking.after(task, request.user)
    return reverse("admin:production_task_review", args=[following.pk]) if following else reverse(LIST)


# ---------------------------------------------------------------- one deed a button

Deed = Callable[[Task, HttpRequest], str]


def _approve(task: Task, request: HttpRequest) -> str:
    return decisions.approve(task, by=_by(request), user=request.user if request.user.is_authenticated else None)


def _reject(task: Task, request: HttpRequest) -> str:
    return decisions.reject(task, by=_by(request), reason=request.POST.get("reason", ""))


def _redo(task: Task, request: HttpRequest) -> str:
    pieces = [_piece(key) for key in request.POST.getlist("pieces")]
    words = request.POST.get("words", "") if len(pieces) == 1 else ""
    return decisions.redo(task, pieces, by=_by(request), reason=request.POST.get("reason", ""), words=words)


def _retry(task: Task, request: HttpRequest) -> str:
    return decisions.retry(task, by=_by(request))


def _adopt(task: Task, request: HttpRequest) -> str:
    return decisions.adopt(task, by=_by(request))


def _send_back(task: Task, request: HttpRequest) -> str:
    stage, reason = request.POST.get("stage", ""), request.POST.get("reason", "")
    return decisions.send_back(task, stage, by=_by(request), reason=reason)


def _cancel(task: Task, request: HttpRequest) -> str:
    return decisions.cancel(task, by=_by(request), reason=request.POST.get("reason", ""))


def _pick(task: Task, request: HttpRequest) -> str:
    number = request.POST.get("take", "")
    take = Take.objects.filter(pk=int(number), task=task).first() if number.isdecimal() else None
    if take is None:
        raise DecisionError("that take is not one of this task")
    return decisions.pick(task, take, by=_by(request))


def _rewrite(task: Task, request: HttpRequest) -> str:
    position = request.POST.get("step", "")
    number = int(position) if position.isdecimal() and len(position) < 3 else 0
    return decisions.rewrite(task, number, request.POST.get("text", ""), by=_by(request))


DEEDS: dict[str, Deed] = {
    Verb.APPROVE: _approve,
    Verb.REJECT: _reject,
    Verb.REDO: _redo,
    Verb.RETRY: _retry,
    Verb.ADOPT: _adopt,
    Verb.SEND_BACK: _send_back,
    Verb.CANCEL: _cancel,
    "pick": _pick,
    "rewrite": _rewrite,
}


def _by(request: HttpRequest) -> str:
    return request.user.get_username()


def _piece(key: str) -> tuple[str, int]:
    """ "clip:5" -> ("clip", 5). Errors: DecisionError."""
    kind, _, position = key.partition(":")
    if not (position.isdecimal() and len(position) < 5):
        raise DecisionError(f"“{key[:40]}” is not a piece")
    return kind, int(position)
