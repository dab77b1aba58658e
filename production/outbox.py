"""What Notion is told: always the present state of a task, so that a burst of changes is one write (FR53).

`Task.tell_at` is the outbox: set by every change, emptied when Notion has heard of it. One teller a task at a time
(`telling_until`), or an older state could land after a newer one.
"""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal

import structlog
from django.db.models import Case, F, Q, QuerySet, When
from django.utils import timezone

from production import notion
from production.errors import NotHereError, Trouble
from production.models import LedgerEntry, StatusChange, Task
from production.outside import pause_after
from production.progress import progress_of
from production.stages import Status

log = structlog.get_logger(__name__)
LEASE = dt.timedelta(seconds=45)  # longer than the longest write
LINES = 40  # of the Error Log; the whole history is in the admin


def due() -> list[int]:
    return list(Task.objects.filter(_due(timezone.now())).order_by("tell_at").values_list("pk", flat=True)[:100])


def tell(task_id: int, *, first: Callable[[Task], None] | None = None) -> None:
    """Write the task's present state to its row. A failed write is repeated after 1, 2, 4 min … 1 h, for ever.
    `first` is called with the task before it is written, and may change it: a person's move goes before ours."""
    if not _begin(task_id):
        return
    task = Task.objects.select_related("channel").get(pk=task_id)
    try:
        if first:
            first(task)
        if not _send_off(task):
            return
        notion.write(task.page_id, present_state(task))
    except NotHereError as gone:
        log.warning("outbox_write_dropped", task=task.pk, channel=task.channel.slug, reason=gone.message)
        _told(task, heard=False)
    except Trouble as trouble:
        log.warning("outbox_write_failed", task=task.pk, channel=task.channel.slug, reason=trouble.message)
        _later(task, trouble)
    else:
        _told(task)


def present_state(task: Task) -> notion.Row:
    return notion.Row(
        status=Status(task.status).label,
        error_log=error_log(task),
        url=task.youtube_url or None,
        cost=cost(task),
        progress=str(progress_of([task]).get(task.pk, "")),
    )


def error_log(task: Task) -> str:
    """The newest lines, oldest first; each says when, what, why and what happens next (FR30)."""
    lines = list(task.changes.filter(is_error=True).order_by("-id")[:LINES])
    return "\n".join(_line(change) for change in reversed(lines))


def cost(task: Task) -> Decimal:
    return LedgerEntry.objects.filter(take__task=task).total()


def _line(change: StatusChange) -> str:
    stage = f" {change.get_stage_display()}" if change.stage else ""
    return f"{change.at:%Y-%m-%d %H:%M} UTC{stage}: {change.reason}"


def _begin(task_id: int) -> bool:
    now = timezone.now()
    return bool(Task.objects.filter(_due(now), pk=task_id).update(telling_until=now + LEASE))


def _due(now: dt.datetime) -> Q:
    """There is something to tell, and nobody is telling it. A lease that ends later than any could, has ended: the
    clock was put back."""
    free = Q(telling_until=None) | Q(telling_until__lte=now) | Q(telling_until__gt=now + 2 * LEASE)
    return Q(tell_at__lte=now) & free


def _send_off(task: Task) -> bool:
    """Read the task anew and note what may arrive from now on. False where the lease was overslept."""
    until = task.telling_until
    task.refresh_from_db()
    new, task.telling_until = timezone.now() + LEASE, until
    sent = _mine(task).update(telling_until=new, telling_status=task.get_status_display())
    task.telling_until = new
    return bool(sent)


def _told(task: Task, *, heard: bool = True) -> None:
    """Done, unless a newer change has set its own time meanwhile. Not `heard`: there is no row any more."""
    told = Case(When(tell_at=task.tell_at, then=None), default=F("tell_at"))
    shown = {"row_status": task.get_status_display(), "told_hash": F("telling_hash")} if heard else {}
    known = {"telling_status": "", "row_version": F("row_version") + 1}
    _mine(task).update(tell_at=told, tell_tries=0, telling_until=None, **known, **shown)


def _later(task: Task, trouble: Trouble) -> None:
    _mine(task).update(
        tell_at=timezone.now() + pause_after(task.tell_tries + 1, said=trouble.retry_after),
        telling_until=None,
        tell_tries=F("tell_tries") + 1,
    )


def _mine(task: Task) -> QuerySet[Task]:
    """The row while it is still ours to tell: whoever overslept the lease leaves it to the next one."""
    return Task.objects.filter(pk=task.pk, telling_until=task.telling_until)
