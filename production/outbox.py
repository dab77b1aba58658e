"""What Notion is told: always the present state of a task, so that a burst of changes is one write (FR53).

`Task.tell_at` is the outbox: set by every change, emptied when Notion has heard of it. One teller a task at a time
(`telling_until`), or an older state could land after a newer one. How far a running stage is waits in `Task.show_at`:
it may use only what statuses leave of the budget.
"""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypedDict

import structlog
from django.db.models import Case, DateTimeField, F, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from production import alerts, budget, notion
from production.budget import OverBudgetError, Use
from production.errors import LASTING, NotHereError, Trouble, as_trouble
from production.holders import has_ended
from production.models import LedgerEntry, Priority, Sharing, StatusChange, Take, Task
from production.outside import pause_after
from production.progress import progress_of
from production.providers import most_tries
from production.stages import RUNNING, Status

log = structlog.get_logger(__name__)
LEASE = dt.timedelta(seconds=45)  # longer than the longest write
LINES = 40  # of the Error Log; the whole history is in the admin
MOST = 100  # told with one round of the sweep
UNHEARD = dt.timedelta(hours=1)  # after which operators hear that Notion does not
CAUSE = "notion"


class HowFar(TypedDict):
    """What changes while a stage runs."""

    cost: Decimal
    progress: str
    retry: str


def due() -> list[int]:
    """Statuses before progress, who has waited longest before others; no more than the budget has room for, or those
    whose turn it is not would only keep workers busy."""
    now = timezone.now()
    waiting = Task.objects.filter(_free(now), tell_at__lte=now).order_by("tell_at")
    statuses = _ids(waiting, min(MOST, budget.room(Use.STATUS)))
    shows = Task.objects.filter(_free(now), tell_at=None, show_at__lte=now).order_by("show_at")
    return statuses + _ids(shows, min(MOST, budget.room(Use.PROGRESS) - len(statuses)))


def tell(task_id: int, *, first: Callable[[Task], None] | None = None) -> None:
    """Write the task's present state to its row. A failed write is repeated after 1, 2, 4 min … 1 h, for ever; one that
    the budget has no room for when there is some. `first` is called with the task before it is written, and may change
    it: a person's move goes before ours."""
    if not _begin(task_id):
        return
    task = Task.objects.select_related("channel").get(pk=task_id)
    if task.tell_at is None:
        _show(task)
        return
    try:
        with as_trouble("outbox_write_broke", task=task.pk, channel=task.channel.slug):
            row = _write(task, first)
    except NotHereError as gone:
        log.warning("outbox_write_dropped", task=task.pk, channel=task.channel.slug, reason=gone.message)
        _told(task)
    except OverBudgetError as over:
        _later(task, over, over.until, failed=False)
    except Trouble as trouble:
        log.warning("outbox_write_failed", task=task.pk, channel=task.channel.slug, reason=trouble.message)
        again = timezone.now() + pause_after(task.tell_tries + 1, said=trouble.retry_after)
        _later(task, trouble, again, failed=True)
    else:
        if row:
            _told(task, row)
            _share(task)


def _write(task: Task, first: Callable[[Task], None] | None) -> notion.Row | None:
    """What was written; None where the lease was overslept. Errors: OverBudgetError, NotHereError, Trouble."""
    if first:
        first(task)
    if not _send_off(task):
        return None
    row = present_state(task)
    notion.write(task.page_id, row)
    return row


def _show(task: Task) -> None:
    """Only how far it is: the status in the row may be a person's by now. In vain: with its next turn or a status."""
    later = None
    try:
        with as_trouble("outbox_progress_broke", task=task.pk, channel=task.channel.slug):
            notion.write(task.page_id, notion.Row(**how_far(task)), Use.PROGRESS)
    except OverBudgetError as over:
        later = over.until
    except Trouble as trouble:
        log.warning("outbox_progress_dropped", task=task.pk, channel=task.channel.slug, reason=trouble.message)
    _mine(task).update(telling_until=None, show_at=Coalesce("show_at", Value(later, DateTimeField())))


def present_state(task: Task) -> notion.Row:
    priority, shown = task.get_priority_display(), task.row_words.get("priority")
    return notion.Row(
        status=Status(task.status).label,
        error_log=error_log(task),
        url=task.youtube_url or None,
        # A creator's own word stays: only what has changed here since is written.
        priority=None if shown is None or (shown or Priority.NORMAL.label) == priority else priority,
        **how_far(task),
    )


def how_far(task: Task) -> HowFar:
    return {"cost": cost(task), "progress": str(progress_of([task]).get(task.pk, "")), "retry": retry(task)}


def retry(task: Task) -> str:
    """Which attempt comes next, and when (FR57); empty where nothing has failed for now."""
    waiting = task.takes.filter(state=Take.State.WAITING, tries__gt=0, due_at__gt=timezone.now())
    take = waiting.order_by("due_at").first()
    return f"Attempt {take.tries + 1}/{most_tries()}, next {take.due_at:%H:%M} UTC" if take else ""


def error_log(task: Task) -> str:
    """The newest lines, oldest first; each says when, what, why and what happens next (FR30)."""
    lines = list(task.changes.filter(is_error=True).order_by("-id")[:LINES])
    return "\n".join(_line(change) for change in reversed(lines))


def cost(task: Task) -> Decimal:
    return LedgerEntry.objects.filter(take__task=task).total()


def _line(change: StatusChange) -> str:
    stage = f" {change.get_stage_display()}" if change.stage else ""
    return f"{change.at:%Y-%m-%d %H:%M} UTC{stage}: {change.reason}"


def _ids(tasks: QuerySet[Task], most: int) -> list[int]:
    return list(tasks.values_list("pk", flat=True)[: max(most, 0)])


def _begin(task_id: int) -> bool:
    """Progress that comes from now on is a new one to show."""
    now = timezone.now()
    due = Q(tell_at__lte=now) | Q(tell_at=None, show_at__lte=now)
    mine = Task.objects.filter(_free(now), due, pk=task_id)
    return bool(mine.update(telling_until=now + LEASE, show_at=None))


def _free(now: dt.datetime) -> Q:
    """Nobody is telling it."""
    return Q(telling_until=None) | has_ended("telling_until", LEASE, now)


def _send_off(task: Task) -> bool:
    """Read the task anew and note what may arrive from now on. False where the lease was overslept."""
    until = task.telling_until
    task.refresh_from_db()
    new, task.telling_until = timezone.now() + LEASE, until
    sent = _mine(task).update(telling_until=new, telling_status=task.get_status_display())
    task.telling_until = new
    return bool(sent)


def _told(task: Task, row: notion.Row | None = None) -> None:
    """Done, unless a newer change has set its own time meanwhile. Without a `row` there is none any more."""
    told = Case(When(tell_at=task.tell_at, then=None), default=F("tell_at"))
    shown: dict[str, Any] = {}
    if row:
        shown = {"row_status": row.status, "told_hash": F("telling_hash")}
        if row.priority:
            shown["row_words"] = task.row_words | {"priority": row.priority}
    _mine(task).update(
        tell_at=told,
        tell_tries=0,
        telling_until=None,
        telling_status="",
        row_version=F("row_version") + 1,
        unheard_since=None,
        **shown,
    )
    if task.unheard_since:
        _end_alarm(task)


def _later(task: Task, trouble: Trouble, until: dt.datetime, *, failed: bool) -> None:
    """At another time. A status that Notion has not heard for an hour is said to operators."""
    now = timezone.now()
    _mine(task).update(
        tell_at=until,
        telling_until=None,
        tell_tries=F("tell_tries") + int(failed),
        unheard_since=Coalesce("unheard_since", Value(now)),
    )
    if task.unheard_since and now - task.unheard_since >= UNHEARD:
        _raise_alarm(task, trouble)


def _mine(task: Task) -> QuerySet[Task]:
    """The row while it is still ours to tell: whoever overslept the lease leaves it to the next one."""
    return Task.objects.filter(pk=task.pk, telling_until=task.telling_until)


# ---------------------------------------------------------------- when Notion hears nothing


def _raise_alarm(task: Task, trouble: Trouble) -> None:
    """An outage is one cause, however it shows; what lasts has a cause for each thing that is wrong."""
    if task.alerts.open().filter(cause__startswith=f"{CAUSE}:").exists():
        return
    lasting = trouble.kind in LASTING
    cause = alerts.cause_of(CAUSE, trouble.message, kind=trouble.kind) if lasting else f"{CAUSE}:away"
    message = f"Notion has not heard of “{task}” for an hour: {trouble.message}"
    alerts.raise_alarm(message, cause=cause, task=task)


def _end_alarm(task: Task) -> None:
    """It is over when Notion has heard of every task in it."""
    for alert in task.alerts.open().filter(cause__startswith=f"{CAUSE}:"):
        if not alert.tasks.exclude(unheard_since=None).exists():
            alerts.resume(alert.cause, "Resumed: Notion hears of all tasks again")


# ---------------------------------------------------------------- the files that come with it


def _share(task: Task) -> None:
    """What a stage has made is shown when it is over: there is something new to see only then."""
    if task.channel.storage and task.status not in RUNNING:
        Sharing.objects.update_or_create(task=task, defaults={"due_at": timezone.now()})
