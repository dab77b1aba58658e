"""From what Notion reports to what we do: the pages of stored events are read again, and a row becomes a task.

An event says only "page X changed"; the page itself is asked what it wants. So order does not matter, a repeated event
does nothing twice, and a burst is read with a query for a hundred rows.
"""

import datetime as dt
from collections.abc import Callable, Iterable
from functools import partial

import structlog
from django.db import OperationalError, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from channels_app.models import Channel
from production import board, decisions, gates, lifecycle, notion, takes, wishes
from production.broker import ring
from production.budget import OverBudgetError
from production.errors import Kind, NotHereError, StaleError, Trouble
from production.models import Alert, NotionBoard, NotionEvent, Task
from production.notion import Page
from production.outside import pause_after
from production.reception import JOB
from production.stages import AT_REST, REVIEWS, Status

log = structlog.get_logger(__name__)
LEASE = dt.timedelta(seconds=90)  # a read and a write
LEASE_EACH = dt.timedelta(seconds=0.5)  # and for each further event of a burst
MOST = 500  # events taken together
FEW = 3  # pages that are read one by one; more are asked for with one query
MOST_BATCHES = 30  # of a hundred rows, looked through for them
LATE = dt.timedelta(minutes=7)  # an event comes 5 min after its change at the latest, which is cut to the minute
TRIES = 10
LOOKS = 3  # at one row that is written at the same time
NEEDED = ("Title", "Topic", "Channel", "Status")
TRASHED = "the row is in Notion's trash"
State = NotionEvent.State
Waiting = dict[str, list[NotionEvent]]


# ---------------------------------------------------------------- events


def is_due() -> bool:
    return _due().exists()


def process() -> None:
    """Find out what the stored events mean and do it. Trouble with Notion: again in 1, 2, 4 … minutes, then every hour
    for as long as Notion is away; what fails for another reason is given up after TRIES."""
    events = _claim()
    waiting: Waiting = {}
    for event in events:
        if reason := _ignorable(event):
            _end([event], State.IGNORED, reason)
        else:
            waiting.setdefault(event.page_id, []).append(event)
    if len(waiting) > FEW:
        _process_together(waiting)
    for page_id, about in waiting.items():
        _do(about, partial(look_at, page_id))
    if len(events) == MOST:
        ring(JOB)


@transaction.atomic
def _claim() -> list[NotionEvent]:
    """Events that are ours for a while; their pages are read without a transaction."""
    events = list(_due().select_for_update(skip_locked=True).order_by("due_at")[:MOST])
    until = timezone.now() + LEASE + LEASE_EACH * len(events)
    NotionEvent.objects.filter(pk__in=[event.pk for event in events]).update(due_at=until, tries=F("tries") + 1)
    for event in events:
        event.tries += 1
    return events


def _due() -> QuerySet[NotionEvent]:
    return NotionEvent.objects.filter(state=State.PENDING, due_at__lte=timezone.now())


def _ignorable(event: NotionEvent) -> str:
    if not event.page_id:
        return f"{event.type} is not about a page"
    return "our own write" if event.author == "bot" else ""


def _process_together(waiting: Waiting) -> None:
    """Take out of `waiting` what a query can answer. A query may be a moment behind: what it says of a row that we
    write to is only believed where nothing has changed."""
    since = min(event.received for about in waiting.values() for event in about) - LATE
    try:
        for ours in NotionBoard.objects.connected():
            _read_together(ours, since, waiting)
    except NotHereError as gone:
        log.warning("intake_board_not_here", reason=gone.message)
    except Trouble as trouble:
        for about in waiting.values():
            _again_later(about, trouble)
        waiting.clear()


def _read_together(ours: NotionBoard, since: dt.datetime, waiting: Waiting) -> None:
    for number, batch in enumerate(notion.changed(ours.data_source_id, since), 1):
        pages = [page for page in batch.pages if page.id in waiting]
        tasks = newest(page.id for page in pages)
        for page in pages:
            task = tasks.get(page.id)
            if task is None:
                _do(waiting.pop(page.id), partial(understand, page, 0))
            elif not wishes.differs(task, page):
                _end(waiting.pop(page.id), State.DONE, f"task {task.pk}: {wishes.NOTHING}")
        if not waiting or number == MOST_BATCHES:
            return


def _do(about: list[NotionEvent], act: Callable[[], tuple[State, str]]) -> None:
    try:
        _end(about, *act())
    except NotHereError as gone:
        _end(about, State.IGNORED, gone.message)
    except StaleError as late:
        _again_later(about, Trouble(Kind.TRANSIENT, str(late)))
    except Trouble as trouble:
        _again_later(about, trouble)
    except OperationalError:
        raise  # the database is away: nothing can be written down now, the lease brings the events back
    except Exception as error:
        log.exception("intake_event_broke", notion_event=about[0].pk)
        _again_later(about, Trouble(Kind.PERMANENT, f"{type(error).__name__}: {error}"))


def _end(about: Iterable[NotionEvent], state: State, outcome: str) -> None:
    _rows(about).update(state=state, outcome=outcome[:500])


def _rows(about: Iterable[NotionEvent]) -> QuerySet[NotionEvent]:
    return NotionEvent.objects.filter(pk__in=[event.pk for event in about])


def _again_later(about: Iterable[NotionEvent], trouble: Trouble) -> None:
    if isinstance(trouble, OverBudgetError):  # not asked at all: no try
        _rows(about).update(due_at=trouble.until, tries=F("tries") - 1, outcome=trouble.message[:500])
        return
    for event in about:
        given_up = event.tries >= TRIES and trouble.kind not in (Kind.TRANSIENT, Kind.QUOTA)
        NotionEvent.objects.filter(pk=event.pk).update(
            state=State.FAILED if given_up else State.PENDING,
            due_at=timezone.now() + pause_after(event.tries, said=trouble.retry_after),
            outcome=f"try {event.tries}: {trouble.message}"[:500],
        )
        log.warning("intake_event_failed", notion_event=event.pk, tries=event.tries, reason=trouble.message)


# ---------------------------------------------------------------- rows


def look_at(page_id: str) -> tuple[State, str]:
    """Read the page and do what it asks for; once more where it was written meanwhile.

    Errors: NotHereError, Trouble.
    """
    for _ in range(LOOKS):
        task = newest([page_id]).get(page_id)
        page = notion.fetch(page_id)
        try:
            return understand(page, task.row_version if task else 0)
        except StaleError:
            continue
    raise Trouble(Kind.TRANSIENT, "The row is being written at this moment")


def look_before_telling(task: Task) -> None:
    """What a person has set in the row goes before what we are about to write over it.

    Errors: NotHereError, Trouble.
    """
    if Task.objects.filter(page_id=task.page_id, pk__gt=task.pk).exists():
        raise NotHereError("A newer run has the row")
    _, outcome = look_at(task.page_id)
    if outcome == TRASHED:
        raise NotHereError(outcome)
    now = Task.objects.select_related("channel").get(pk=task.pk)
    gate = REVIEWS.get(Status(now.status))
    Task.objects.filter(pk=task.pk).update(telling_hash=gates.asked_about(now, gate) if gate else "")


def newest(page_ids: Iterable[str]) -> dict[str, Task]:
    """The latest run of each page that has one."""
    found = Task.objects.filter(page_id__in=list(page_ids)).order_by("page_id", "-pk").distinct("page_id")
    found = found.select_related("channel")
    return {task.page_id: task for task in found}


def understand(page: Page, version: int) -> tuple[State, str]:
    """Do what the row asks for. `version`: of its task, from before the page was read.

    Errors: StaleError, Trouble.
    """
    lacks = _heed_columns(page)
    if page.in_trash:
        return State.IGNORED, TRASHED
    task = newest([page.id]).get(page.id)
    if task is None or (task.status in AT_REST and page.status == Status.QUEUED.label and wishes.is_moved(task, page)):
        if page.status != Status.QUEUED.label:
            return State.IGNORED, lacks or f"the row is {page.status or 'without a status'}: nothing to start"
        return State.DONE, queue(page)
    by = who_edited(page) if wishes.differs(task, page) else ""
    said = wishes.fulfil(task.pk, page, version=version, by=by)
    return State.DONE, f"task {task.pk}: {said}{f'. {lacks}' if lacks else ''}"


def lacking(page: Page) -> str:
    """What the page's board lacks, with the remedy; empty when nothing."""
    names = ", ".join(f"“{name}”" for name in page.lacks)
    return f"The board has no property {names}: {notion.REPAIR}" if names else ""


def asks_for_something(page: Page) -> bool:
    """Whether looking at the row would do anything."""
    task = newest([page.id]).get(page.id)
    if page.in_trash:
        return False
    return wishes.differs(task, page) if task else page.status == Status.QUEUED.label


def _heed_columns(page: Page) -> str:
    """What a row of our board lacks. Some other page that is shared with the integration owes us nothing."""
    lacks = lacking(page)
    news = lacks or Alert.objects.open().filter(cause=board.COLUMNS).exists()
    if not (news and NotionBoard.objects.connected().filter(data_source_id=page.data_source_id).exists()):
        return ""
    board.heed_columns(lacks)
    return lacks


def who_edited(page: Page) -> str:
    return f"notion: {notion.name_of(page.edited_by) or 'somebody'}"[:150]


def queue(page: Page) -> str:
    """A row that a creator has set to Queued becomes a task, or goes back to Draft with the reason.

    Returns what came of it in words. Errors: Trouble where Notion can't be told.
    """
    channel = Channel.objects.filter(name=page.channel).first()
    if lacks := _lacks(page, channel):
        return _put_back(page, lacks)
    assert channel
    by = who_edited(page)
    with transaction.atomic():
        task = _task_of(page, channel)
        if task.status != Status.DRAFT:
            return f"task {task.pk} is {task.get_status_display()} already"
        decisions.submit(task, by=by)
        wishes.remember(task, page)
    return f"task {task.pk} queued"


def _lacks(page: Page, channel: Channel | None) -> str:
    """What keeps the row from being made, in a sentence for its Error Log; empty when nothing does."""
    if set(page.lacks) & set(NEEDED):
        return f"{lacking(page)}; then set Queued again."
    if not page.title:
        return "Title is empty: fill it in and set Queued again."
    if not page.topic:
        return "Topic is empty: fill it in and set Queued again."
    if channel is None:
        known = ", ".join(Channel.objects.values_list("name", flat=True)) or "none yet"
        return f"Channel “{page.channel}” is not known (known: {known}): choose one and set Queued again."
    return ""


def _put_back(page: Page, reason: str) -> str:
    """A draft's row is told by the outbox, which would write over what is written here."""
    draft = Task.objects.filter(page_id=page.id, status=Status.DRAFT).first()
    if draft:
        with transaction.atomic():
            lifecycle.note(draft, reason)
            wishes.remember(draft, page)
        return reason
    line = f"{timezone.now():%Y-%m-%d %H:%M} UTC Intake: {reason}"
    notion.write(page.id, notion.Row(status=Status.DRAFT.label, error_log=line))
    log.info("intake_row_refused", page=page.id, reason=reason)
    return reason


def _task_of(page: Page, channel: Channel) -> Task:
    """The page's unfinished task, or a new run of it; a row that was published once keeps its old history."""
    words = wishes.said_by(page) | {"channel": channel}
    unfinished = Task.objects.exclude(status=Status.PUBLISHED)
    found, created = unfinished.get_or_create(page_id=page.id, defaults=words)
    task = lifecycle.lock(found.pk)
    if task.status == Status.DRAFT and not created:
        if task.channel_id != channel.pk:
            if takes.is_under_way(task):
                raise Trouble(Kind.TRANSIENT, "The former channel's takes are still under way", retry_after=60)
            takes.discard(task)  # another voice, another style, another workspace
        Task.objects.filter(pk=task.pk).update(**words)
    return task
