"""The reconciling poll: rows that were edited and that no webhook has told of. What it finds becomes an event like any
other, so that it is read, done and tried again in one way.

The board's row keeps how far it has looked. Edits are cut to the minute, so each look begins a minute before that.
"""

import datetime as dt
import uuid

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from production import board as boards
from production import intake, notion, reception, silence, wishes
from production.broker import ring
from production.errors import Trouble
from production.models import NotionBoard, NotionEvent, Task
from production.notion import Batch, Page
from production.stages import Status

log = structlog.get_logger(__name__)
JOB = "production.jobs.poll"
LEASE = dt.timedelta(seconds=60)  # for one query and what it tells
OVERLAP = dt.timedelta(minutes=1)
CLOCKS = dt.timedelta(minutes=2)  # Notion's clock and ours differ by less
MOST_BATCHES = 20  # in one job; the rest follows at once


def due() -> list[int]:
    """Boards whose rows are to be looked at."""
    if not settings.NOTION_POLL:
        return []
    return list(NotionBoard.objects.connected().filter(_due(timezone.now())).values_list("pk", flat=True))


def poll(board_id: int) -> None:
    """Look at the rows edited since the last look."""
    now = timezone.now()
    if not NotionBoard.objects.filter(_due(now), pk=board_id).update(poll_at=now + LEASE):
        return
    board = NotionBoard.objects.get(pk=board_id)
    pause = settings.NOTION_POLL
    try:
        outcome, is_done = _look(board, now)
        pause = pause if is_done else dt.timedelta()
    except Trouble as trouble:
        outcome = f"failed: {trouble.message}"
        log.warning("reconcile_poll_failed", board=board.pk, reason=trouble.message)
    ended = timezone.now()
    NotionBoard.objects.filter(pk=board_id).update(polled=ended, poll_outcome=outcome[:500], poll_at=ended + pause)


def _due(now: dt.datetime) -> Q:
    """Its turn, or a time so far away that the clock must have been put back."""
    return Q(poll_at__lte=now) | Q(poll_at__gt=now + 2 * max(LEASE, settings.NOTION_POLL))


def _look(board: NotionBoard, now: dt.datetime) -> tuple[str, bool]:
    """What came of it, and whether all there is was looked at. Errors: Trouble."""
    began, rows, found, lacks = board.polled_to, 0, 0, ""
    for number, batch in enumerate(notion.changed(board.data_source_id, began and began - OVERLAP), 1):
        rows, found = rows + len(batch.pages), found + _store_missed(batch.pages)
        lacks = lacks or next(filter(None, map(intake.lacking, batch.pages)), "")
        _go_on_from(board, _newest(board, batch))
        told = f"{rows} rows looked at, {found} of them missed by webhooks"
        if batch.following and number >= MOST_BATCHES and board.polled_to != began:
            return f"{told}; more at once", False  # what is left of the same minute comes again, and then what follows
        if not batch.complete:
            return _go_on_without(board, began, told)
    _go_on_from(board, max(board.polled_to or now - CLOCKS, now - CLOCKS))
    if rows:  # else nothing was seen of the columns
        boards.heed_columns(lacks)
    silence.heed(board)
    return lacks or told, True


def _go_on_without(board: NotionBoard, began: dt.datetime | None, told: str) -> tuple[str, bool]:
    """Notion gives only so many rows a query: the next one begins where this one has come to."""
    if board.polled_to != began:
        return f"{told}; more at once", False
    _go_on_from(board, (began or timezone.now()) + 2 * OVERLAP)
    return f"{told}; Notion keeps back more rows of one minute: compare the board with its tasks", False


def _newest(board: NotionBoard, batch: Batch) -> dt.datetime | None:
    return max(filter(None, [board.polled_to, *(page.edited for page in batch.pages)]), default=None)


def _go_on_from(board: NotionBoard, at: dt.datetime | None) -> None:
    """Kept after each batch: who dies here has looked at so much. The lease is renewed with it."""
    board.polled_to = at
    NotionBoard.objects.filter(pk=board.pk).update(polled_to=at, poll_at=timezone.now() + LEASE)


@transaction.atomic
def _store_missed(pages: list[Page]) -> int:
    """Events for rows that differ from what we know, unless one waits already."""
    tasks = intake.newest(page.id for page in pages)
    found = {page.id: page for page in pages if _is_missed(page, tasks)}
    pending = NotionEvent.objects.filter(page_id__in=found, state=NotionEvent.State.PENDING)
    missed = set(found) - set(pending.values_list("page_id", flat=True))
    if missed:
        NotionEvent.objects.bulk_create(
            NotionEvent(event_id=f"poll:{uuid.uuid4()}", type=_kind(found[page_id], tasks), page_id=page_id)
            for page_id in missed
        )
        ring(reception.JOB)
        log.info("reconcile_rows_found", rows=len(missed))
    return len(missed)


def _is_missed(page: Page, tasks: dict[str, Task]) -> bool:
    task = tasks.get(page.id)
    return wishes.differs(task, page) if task else page.status == Status.QUEUED.label


def _kind(page: Page, tasks: dict[str, Task]) -> str:
    task = tasks.get(page.id)
    return silence.kind(page, is_moved=task is None or wishes.is_moved(task, page))
