"""Where the board and the tasks disagree, found by reading the whole board, and settled as a person chooses."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone

from production import decisions, handling, intake, lifecycle, notion, wishes
from production.broker import ring
from production.errors import DecisionError, IllegalMoveError, Kind, NotHereError, StaleError, Trouble, as_trouble
from production.models import NotionBoard, NotionDrift, NotionEvent, Task
from production.notion import Page
from production.stages import AT_REST, Status

log = structlog.get_logger(__name__)
COMPARE, SETTLE = "production.jobs.compare", "production.jobs.settle_drift"
Found, Side = NotionDrift.Kind, NotionDrift.Side
COLUMNS = {"Title": "title", "Topic": "topic", "Priority": "priority", "Privacy": "privacy", "Publish At": "publish_at"}
FIXED = ("Topic", "Channel")  # the plan is made from them
PORTION = 1000  # rows of one INSERT


# ---------------------------------------------------------------- found


def compare(board_id: int) -> None:
    """Read every row of the board and keep what differs, in place of what was found before."""
    board = NotionBoard.objects.get(pk=board_id)
    began = timezone.now()
    try:
        found, rows = _found(board)
    except Trouble as trouble:
        NotionBoard.objects.filter(pk=board.pk).update(compare_outcome=f"failed: {trouble.message}"[:500])
        return
    with transaction.atomic():
        NotionBoard.objects.select_for_update(no_key=True).get(pk=board.pk)
        board.drifts.all().delete()
        NotionDrift.objects.bulk_create(found, batch_size=PORTION)
        outcome = f"{rows} rows and their tasks: {len(found)} differ"
        NotionBoard.objects.filter(pk=board.pk).update(compared=began, compare_outcome=outcome)
    log.info("drift_board_compared", board=board.pk, rows=rows, found=len(found))


def _found(board: NotionBoard) -> tuple[list[NotionDrift], int]:
    """Errors: Trouble."""
    active = dict(Task.objects.exclude(status__in=AT_REST).values_list("page_id", "pk"))
    drifts: dict[str, NotionDrift | None] = {}
    for pages in _all_pages(board.data_source_id):
        drifts |= {page.id: drift for page, drift in _compared(board, pages)}
    missing = [pk for page_id, pk in active.items() if page_id not in drifts]
    gone = [_missing(board, task) for task in Task.objects.filter(pk__in=missing).exclude(status__in=AT_REST)]
    return [*filter(None, drifts.values()), *gone], len(drifts)


def _all_pages(data_source_id: str) -> Iterator[list[Page]]:
    """Every row, also of a board that one query does not give whole; some may come twice. Errors: Trouble."""
    since = None
    while True:
        newest, complete = since, True
        for batch in notion.changed(data_source_id, since):
            yield batch.pages
            newest = max(filter(None, [newest, *(page.edited for page in batch.pages)]), default=None)
            complete = complete and batch.complete
        if complete:
            return
        if newest == since:
            raise Trouble(Kind.PERMANENT, "Notion does not give all rows that were edited within one minute")
        since = newest


def _compared(board: NotionBoard, pages: list[Page]) -> Iterator[tuple[Page, NotionDrift | None]]:
    ids = [page.id for page in pages]
    tasks = intake.newest(ids)
    waiting = NotionEvent.objects.filter(page_id__in=ids, state=NotionEvent.State.PENDING)
    in_line = set(waiting.values_list("page_id", flat=True))
    for page in pages:
        task = tasks.get(page.id)
        yield page, None if page.id in in_line else _drift(board, page, task)


def _drift(board: NotionBoard, page: Page, task: Task | None) -> NotionDrift | None:
    words = {"board": board, "page_id": page.id, "task": task, "title": page.title or str(task or "")}
    if task is None:
        queued = page.status == Status.QUEUED.label
        return NotionDrift(kind=Found.UNTAKEN, **words) if queued else None
    differs = list(_differences(task, page))
    return NotionDrift(kind=Found.DIFFERS, differs=differs, **words) if differs else None


def _missing(board: NotionBoard, task: Task) -> NotionDrift:
    return NotionDrift(board=board, page_id=task.page_id, task=task, title=task.title, kind=Found.MISSING)


def _differences(task: Task, page: Page) -> Iterator[list[str]]:
    """Property, ours, theirs. What is on its way to the row differs from it only for now; a draft takes its words
    from the row when it is queued; of what is published only the status is compared."""
    ours, theirs = _ours(task), _theirs(page)
    names = ["Status"] if task.tell_at is None and not _is_left(task, page) else []
    names += [name for name in ours if name != "Status"] if task.status not in AT_REST else []
    for name in names:
        if name not in page.lacks and ours[name] != theirs[name]:
            yield [name, ours[name], theirs[name]]


def _is_left(task: Task, page: Page) -> bool:
    """The row of a published video is being prepared for another run."""
    return task.status == Status.PUBLISHED and page.status == Status.DRAFT.label


def _ours(task: Task) -> dict[str, str]:
    at = task.publish_at.isoformat() if task.publish_at else ""
    said = {"Status": task.get_status_display(), "Channel": task.channel.name, "Title": task.title}
    return said | {
        "Topic": task.topic,
        "Priority": task.get_priority_display(),
        "Privacy": task.privacy,
        "Publish At": at,
    }


def _theirs(page: Page) -> dict[str, str]:
    """In our words: an empty Priority is Normal."""
    said = wishes.said_by(page)
    return {
        "Status": page.status,
        "Channel": page.channel,
        "Title": page.title,
        "Topic": page.topic,
        "Priority": str(said["priority"].label),
        "Privacy": said["privacy"],
        "Publish At": page.publish_at.isoformat() if page.publish_at else "",
    }


# ---------------------------------------------------------------- settled


@transaction.atomic
def choose(drifts: Iterable[NotionDrift], side: NotionDrift.Side, *, by: str) -> int:
    """These are settled by a job, each for itself. Returns how many were still open."""
    chosen = 0
    for drift in drifts:
        if NotionDrift.objects.filter(pk=drift.pk, side="").update(side=side, chosen_by=by, outcome=""):
            ring(SETTLE, drift.pk)
            chosen += 1
    return chosen


def settle(drift_id: int) -> None:
    """Do what was chosen. What can't be done is open again, with the reason."""
    chosen = NotionDrift.objects.filter(pk=drift_id, settled=False).exclude(side="")
    if not chosen.update(settled=True):
        return
    drift = NotionDrift.objects.select_related("board", "task__channel").get(pk=drift_id)
    try:
        with as_trouble("drift_settle_broke", drift=drift_id):
            settled = _settled(drift)
    except Trouble as trouble:
        settled = {"settled": False, "side": "", "outcome": f"{trouble.message}; choose again"[:500]}
    NotionDrift.objects.filter(pk=drift_id).update(**settled)


def _settled(drift: NotionDrift) -> dict[str, Any]:
    """What became of it. Errors: Trouble."""
    try:
        return {"outcome": DEEDS[drift.kind, drift.side](drift)[:500]}
    except (DecisionError, IllegalMoveError, StaleError) as refusal:
        return {"settled": False, "side": "", "outcome": str(refusal)[:500]}


def _push(drift: NotionDrift) -> str:
    """Our values into the row. Errors: Trouble."""
    task = _task(drift)
    ours = _ours(task)
    if words := {name: ours[name] for name in drift.names if name != "Status"}:
        notion.fill(drift.page_id, words)
    for seen in [theirs for name, _, theirs in drift.differs if name == "Status"]:
        # It is not wanted: it is no person's move any more.
        Task.objects.filter(pk=task.pk).update(row_status=seen)
        lifecycle.tell_again(task)
    return f"{', '.join(drift.names)} of the task written into the row"


def _take(drift: NotionDrift) -> str:
    """The row's values into the task. Errors: DecisionError, IllegalMoveError, Trouble."""
    page, task = notion.fetch(drift.page_id), _task(drift)
    if task.status in AT_REST and page.status == Status.QUEUED.label:
        return intake.queue(page)
    fixed = [name for name in FIXED if _theirs(page)[name] != _ours(task)[name] and name in drift.names]
    if fixed:
        raise DecisionError(f"The plan is made from {' and '.join(fixed)}: set the row to Draft, then to Queued")
    said = wishes.said_by(page)
    words = {COLUMNS[name]: said[COLUMNS[name]] for name in drift.names if name in COLUMNS}
    with transaction.atomic():
        done = [handling.edit(task, words, by=drift.chosen_by, tell=False)]
        task = lifecycle.lock(task.pk)
        done += [wishes.move(task, page.status, by=drift.chosen_by)] if "Status" in drift.names else []
        wishes.remember(lifecycle.lock(task.pk), page)
    return "; ".join(filter(None, done)) or wishes.NOTHING


def _make_row(drift: NotionDrift) -> str:
    """A new row for a task that has lost its own. Errors: Trouble."""
    task = _task(drift)
    _must_be_gone(drift.page_id)
    label = task.get_status_display()
    source = drift.board.data_source_id
    page_id = notion.create(source, title=task.title, topic=task.topic, channel=task.channel.name, status=label)
    lost = Task.objects.filter(pk=task.pk, page_id=drift.page_id)
    lost.update(page_id=page_id, row_status=label, row_words={}, tell_at=timezone.now())
    return f"a new row: {page_id}"


def _must_be_gone(page_id: str) -> None:
    """Errors: Trouble where the page is there all the same."""
    try:
        page = notion.fetch(page_id)
    except NotHereError:
        return
    if not page.in_trash:
        raise Trouble(Kind.PERMANENT, "The row is there, but not on this board: move it back in Notion")


def _cancel(drift: NotionDrift) -> str:
    _must_be_gone(drift.page_id)
    return decisions.cancel(_task(drift), by=drift.chosen_by, reason="Its row is gone from Notion")


def _refuse(drift: NotionDrift) -> str:
    notion.write(drift.page_id, notion.Row(status=Status.DRAFT.label))
    return "the row is a draft again"


def _queue(drift: NotionDrift) -> str:
    return intake.look_at(drift.page_id)[1]


def _task(drift: NotionDrift) -> Task:
    assert drift.task
    return drift.task


DEEDS: dict[tuple[str, str], Callable[[NotionDrift], str]] = {
    (Found.DIFFERS, Side.OURS): _push,
    (Found.DIFFERS, Side.THEIRS): _take,
    (Found.MISSING, Side.OURS): _make_row,
    (Found.MISSING, Side.THEIRS): _cancel,
    (Found.UNTAKEN, Side.OURS): _refuse,
    (Found.UNTAKEN, Side.THEIRS): _queue,
}
