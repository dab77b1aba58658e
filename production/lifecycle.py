"""The only writer of Task.status. Callers say a verb; the stage table says where it leads.

Each move is one guarded UPDATE and one StatusChange in the same transaction; the database refuses any other way.
"""

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from production.errors import StaleError
from production.models import StatusChange, Task
from production.outside import storable
from production.stages import ERRORS, STAGE, Stage, Status, Verb, target

log = structlog.get_logger(__name__)
SYSTEM = "system"


def lock(task_id: int) -> Task:
    """The task, its row locked until the transaction ends. Planning and settling takes go through here."""
    return Task.objects.select_for_update(of=("self",), no_key=True).select_related("channel").get(pk=task_id)


@transaction.atomic
def move(task: Task, verb: Verb, *, by: str, stage: Stage | None = None, reason: str = "") -> StatusChange:
    """Do `verb` to the task and tell Notion.

    Errors: IllegalMoveError where the status does not allow it, StaleError where the status has changed meanwhile.
    """
    before = Status(task.status)
    after, meant = target(before, verb, stage)
    now = timezone.now()
    met = Task.objects.filter(pk=task.pk, status=before).update(
        status=after, tell_at=now, **({"status_since": now, "stuck_since": None} if after != before else {})
    )
    if not met:
        raise StaleError(f"{task} is not in {before.label} any more")
    task.status, task.tell_at = after, now
    log.info(
        "task_status_changed", task=task.pk, channel=task.channel.slug, verb=verb, before=before, after=after, by=by
    )
    return StatusChange.objects.create(
        task=task,
        before=before,
        after=after,
        verb=verb,
        stage=meant.name if meant else "",
        by=by,
        reason=storable(reason),
        is_error=after in ERRORS,
    )


def note(task: Task, reason: str, *, stage: Stage | None = None, by: str = SYSTEM) -> None:
    """Append a line to the Error Log without moving the task."""
    tell_again(task)
    StatusChange.objects.create(
        task=task,
        before=task.status,
        after=task.status,
        verb=StatusChange.NOTE,
        stage=stage.name if stage else "",
        by=by,
        reason=storable(reason),
        is_error=True,
    )


def remark(task: Task, reason: str, *, by: str, stage: Stage | None = None) -> None:
    """Append a line to the history that is no error."""
    words = {"before": task.status, "after": task.status, "verb": StatusChange.NOTE}
    where = stage.name if stage else ""
    StatusChange.objects.create(task=task, by=by, reason=storable(reason), stage=where, **words)


def tell_again(task: Task) -> None:
    """Notion shows something else than what is: write the present state over it."""
    Task.objects.filter(pk=task.pk).update(tell_at=timezone.now())


def show(task: Task) -> None:
    """How far the task is has changed: Notion hears of it within SHOW_EVERY, at most once in that time, unless a change
    of status says it before."""
    Task.objects.filter(pk=task.pk, show_at=None).update(show_at=timezone.now() + settings.SHOW_EVERY)


def failure(task: Task) -> StatusChange | None:
    """The move into the error status that the task is in. Lines that were written there since moved nothing."""
    if task.status not in ERRORS:
        return None
    return task.changes.filter(after=task.status).exclude(before=task.status).last()


def failed_stage(task: Task) -> Stage | None:
    """The stage that the task's error status speaks of: four error statuses serve seven stages, the history knows."""
    change = failure(task)
    return STAGE.get(change.stage) if change else None
