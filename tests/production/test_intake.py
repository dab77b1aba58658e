"""From a row of the board to a task, against the sandbox's Notion."""

import datetime as dt
import uuid
from dataclasses import replace

import pytest
from django.utils import timezone
from pytest_django import Settings

from production import decisions, intake, jobs, notion, values, wishes
from production.errors import Kind, NotHereError, Trouble
from production.models import Alert, NotionBoard, NotionEvent, Priority, Take, Task
from production.stages import Status, Verb
from sandbox.client import SandboxClient, board_properties
from tests.factories import fresh, make_channel, make_take, make_task, walk
from tests.production.beside import many
from tests.sandboxes import make_board
from tests.vendor import answering

pytestmark = pytest.mark.django_db
State = NotionEvent.State


@pytest.fixture
def board(vendors: SandboxClient) -> str:
    make_channel(name="Sea Stories")
    return make_board(vendors, "Sea Stories", "Unknown One")


def make_row(vendors: SandboxClient, board: str, **words: object) -> str:
    facts = {"Title": "Bees", "Channel": "Sea Stories", "Topic": "How bees dance", "Status": "Queued"} | words
    return vendors.create_page(board, facts)["id"]


def make_event(page_id: str, **words: object) -> NotionEvent:
    facts = {"event_id": str(uuid.uuid4()), "type": "page.properties_updated", "author": "person"}
    return NotionEvent.objects.create(page_id=page_id, **facts | words)


def process(page_id: str, **words: object) -> NotionEvent:
    event = make_event(page_id, **words)
    intake.process()
    event.refresh_from_db()
    return event


def cells(vendors: SandboxClient, page_id: str) -> dict:
    return vendors.page(page_id)["properties"]


# ---------------------------------------------------------------- queued


def test_process_makes_a_task_of_a_queued_row(vendors, board):
    page = make_row(vendors, board, Priority="High", Privacy="unlisted", **{"Story Direction": "Begin with a hum"})
    event = process(page)
    task = Task.objects.get()
    assert (event.state, event.outcome) == (State.DONE, f"task {task.pk} queued")
    assert (task.status, task.page_id, task.title, task.topic) == (Status.QUEUED, page, "Bees", "How bees dance")
    assert (task.priority, task.privacy, task.story_direction) == (Priority.HIGH, "unlisted", "Begin with a hum")
    assert task.channel.name == "Sea Stories"
    assert task.changes.get().by.startswith("notion: ")


def test_process_twice_makes_one_task(vendors, board):
    page = make_row(vendors, board)
    process(page)
    event = process(page)
    assert event.outcome == f"task {Task.objects.get().pk}: nothing to do: the row shows what is known"


def test_process_rung_again_leaves_alone_what_is_done(vendors, board):
    event = process(make_row(vendors, board))
    intake.process()
    again = NotionEvent.objects.get(pk=event.pk)
    assert (again.state, again.tries, again.outcome, again.due_at) == (State.DONE, 1, event.outcome, event.due_at)
    assert Task.objects.get().changes.count() == 1


def test_process_lets_one_worker_in(transactional_db: None, vendors, board):
    event = make_event(make_row(vendors, board))
    many(4, lambda: intake.process())
    event.refresh_from_db()
    task = Task.objects.get()
    assert (event.state, event.tries, event.outcome) == (State.DONE, 1, f"task {task.pk} queued")
    assert task.changes.filter(verb=Verb.SUBMIT).count() == 1


def test_process_waits_until_it_is_due(vendors, board):
    event = make_event(make_row(vendors, board), due_at=timezone.now() + dt.timedelta(seconds=9))
    intake.process()
    event.refresh_from_db()
    assert (event.state, event.tries) == (State.PENDING, 0)


def test_process_queues_a_cancelled_row_anew_with_its_new_words(vendors, board):
    page = make_row(vendors, board)
    process(page)
    task = walk_back(Task.objects.get())
    assert cells(vendors, page)["Status"] == "Draft"
    vendors.edit_page(page, {"Topic": "How bees sleep", "Title": "Sleep", "Status": "Queued"})
    process(page)
    task.refresh_from_db()
    assert (task.status, task.topic, task.title) == (Status.QUEUED, "How bees sleep", "Sleep")


def walk_back(task: Task) -> Task:
    decisions.cancel(task, by="ada")
    jobs.tell(task.pk)
    return task


def test_process_after_published_begins_a_new_run(vendors, board):
    page = make_row(vendors, board)
    process(page)
    first = Task.objects.get()
    Task.objects.filter(pk=first.pk).update(page_id="elsewhere")
    done = walk(make_task(page_id=page, channel=first.channel), Status.PUBLISHED)
    jobs.tell(done.pk)
    vendors.edit_page(page, {"Status": "Queued"})
    process(page)
    assert Task.objects.filter(page_id=page).exclude(pk=done.pk).get().status == Status.QUEUED
    done.refresh_from_db()
    assert done.status == Status.PUBLISHED


# ---------------------------------------------------------------- put back, ignored


@pytest.mark.parametrize(
    ("cell", "value", "reason"),
    [
        ("Title", "", "Title is empty"),
        ("Topic", "  ", "Topic is empty"),
        ("Channel", "Unknown One", "Channel “Unknown One” is not known (known: Sea Stories)"),
    ],
)
def test_process_puts_an_unfit_row_back_with_the_reason(vendors, board, cell, value, reason):
    page = make_row(vendors, board, **{cell: value})
    event = process(page)
    assert (event.state, Task.objects.count()) == (State.DONE, 0)
    assert reason in event.outcome
    found = cells(vendors, page)
    assert found["Status"] == "Draft"
    assert reason in found["Error Log"]
    assert "set Queued again" in found["Error Log"]
    assert f"{timezone.now():%Y-%m-%d}" in found["Error Log"]


def test_process_puts_an_unfit_row_of_a_cancelled_task_back_with_the_reason(vendors, board):
    """Here the outbox reads it first, and writes the row as a whole."""
    page = make_row(vendors, board)
    process(page)
    task = walk_back(Task.objects.get())
    vendors.edit_page(page, {"Status": "Queued", "Title": ""})
    Task.objects.update(tell_at=timezone.now())
    jobs.tell(task.pk)
    assert process(page).outcome.endswith(wishes.NOTHING)
    found = cells(vendors, page)
    assert (found["Status"], fresh(task).status) == ("Draft", Status.DRAFT)
    assert found["Error Log"].endswith("Title is empty: fill it in and set Queued again.")
    assert task.changes.filter(is_error=True).count() == 1


@pytest.mark.parametrize(
    ("page", "words", "outcome"),
    [("page", {"author": "bot"}, "our own write"), ("", {"type": "database.updated"}, "not about a page")],
)
def test_process_ignores_without_asking_notion(settings: Settings, dead_address: str, page, words, outcome):
    settings.ADDRESSES = settings.ADDRESSES | {"NOTION_BASE_URL": dead_address}
    event = make_event(page, **words)
    intake.process()
    event.refresh_from_db()
    assert event.state == State.IGNORED
    assert outcome in event.outcome


def test_process_ignores_a_row_that_is_not_queued(vendors, board):
    event = process(make_row(vendors, board, Status="Draft"))
    assert (event.state, event.outcome) == (State.IGNORED, "the row is Draft: nothing to start")


def test_process_ignores_a_row_that_is_gone(vendors, board):
    event = process(str(uuid.uuid4()))
    assert event.state == State.IGNORED
    assert "deleted, or not shared" in event.outcome


# ---------------------------------------------------------------- trouble


def test_process_tries_again_for_as_long_as_notion_is_away(vendors, board):
    vendors.plan_fault("notion", "status", status=503, times=99)
    event = make_event(make_row(vendors, board))
    waits = []
    for _ in range(intake.TRIES):
        NotionEvent.objects.update(due_at=timezone.now())
        intake.process()
        event.refresh_from_db()
        waits.append(round((event.due_at - timezone.now()).total_seconds() / 60))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert event.state == State.PENDING
    assert event.outcome.startswith("try 10: ")
    assert not intake.is_due()


def test_process_a_proxys_page_in_place_of_json_is_no_answer(settings: Settings):
    with answering(200, b"<html>") as (address, _):
        settings.ADDRESSES = settings.ADDRESSES | {"NOTION_BASE_URL": address}
        event = process("page")
    assert (event.state, event.tries) == (State.PENDING, 1)
    assert event.outcome.startswith("try 1: Notion page page: no answer")


def test_process_an_error_of_ours_ends_after_the_same_tries(monkeypatch):
    monkeypatch.setattr(notion, "fetch", lambda page_id: 1 // 0)
    event = make_event("page", tries=intake.TRIES - 1)
    intake.process()
    event.refresh_from_db()
    assert (event.state, event.outcome) == (
        State.FAILED,
        "try 10: ZeroDivisionError: integer division or modulo by zero",
    )


def test_process_another_channel_waits_for_what_is_under_way(vendors, board):
    make_channel(name="Unknown One")
    page = make_row(vendors, board)
    process(page)
    task = walk_back(Task.objects.get())
    take = make_take(task, "clip", 1, state=Take.State.SUBMITTED, ref="job-1", selected=False)
    image = make_take(task, "image", 1)
    vendors.edit_page(page, {"Channel": "Unknown One", "Status": "Queued"})
    event = process(page)
    assert (event.state, event.outcome) == (State.PENDING, "try 1: The former channel's takes are still under way")
    Take.objects.filter(pk=take.pk).update(state=Take.State.DONE)
    NotionEvent.objects.update(due_at=timezone.now())
    intake.process()
    task.refresh_from_db()
    assert (task.channel.name, task.status) == ("Unknown One", Status.QUEUED)
    assert not task.takes.filter(selected=True).exists()
    assert (fresh(image).state, fresh(take).state) == (Take.State.CANCELLED, Take.State.CANCELLED)


def test_process_heeds_how_long_notion_wants_to_be_left_alone(settings: Settings):
    with answering(429, b"{}", Retry_After="600") as (address, _):
        settings.ADDRESSES = settings.ADDRESSES | {"NOTION_BASE_URL": address}
        event = process("page")
    assert event.state == State.PENDING
    assert (event.due_at - timezone.now()).total_seconds() == pytest.approx(600, abs=30)


def test_is_due_tells_what_waits():
    make_event("b", due_at=timezone.now() + dt.timedelta(hours=1))
    make_event("c", state=State.DONE)
    assert not intake.is_due()
    make_event("a")
    assert intake.is_due()


# ---------------------------------------------------------------- the edge itself


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (500, b"oops", Kind.TRANSIENT),
        (529, b"{}", Kind.TRANSIENT),
        (409, b'{"object": "error", "code": "conflict_error", "message": "x"}', Kind.TRANSIENT),
        (400, b'{"object": "error", "code": "validation_error", "message": "x"}', Kind.PERMANENT),
        (401, b"<html>", Kind.PERMANENT),
    ],
)
def test_fetch_trouble(settings: Settings, status, body, kind):
    with answering(status, body) as (address, _):
        settings.ADDRESSES = settings.ADDRESSES | {"NOTION_BASE_URL": address}
        with pytest.raises(Trouble) as trouble:
            notion.fetch("page")
    assert trouble.value.kind == kind
    assert str(status) in trouble.value.message


@pytest.mark.parametrize("pause", ["soon", "²", "9" * 400, "-1"])
def test_fetch_believes_no_odd_pause(settings: Settings, pause):
    with answering(429, b"{}", Retry_After=pause) as (address, _):
        settings.ADDRESSES = settings.ADDRESSES | {"NOTION_BASE_URL": address}
        event = process("page")
    assert event.state == State.PENDING
    assert event.due_at < timezone.now() + dt.timedelta(days=8)


def test_fetch_where_nobody_answers(settings: Settings, dead_address: str):
    settings.ADDRESSES = settings.ADDRESSES | {"NOTION_BASE_URL": dead_address}
    with pytest.raises(Trouble, match="no answer") as trouble:
        notion.fetch("page")
    assert trouble.value.kind == Kind.TRANSIENT


def test_fetch_not_here(vendors):
    with pytest.raises(NotHereError):
        notion.fetch(str(uuid.uuid4()))


def test_write_and_read_back(vendors, board):
    page = make_row(vendors, board)
    log = "\n".join(f"line {number} ünïcødé 🐝" for number in range(500))
    notion.write(page, notion.Row(status="Published", error_log=log, url="https://youtu.be/x", progress="clip 1/2"))
    notion.write(page, notion.Row())
    found = cells(vendors, page)
    assert (found["Status"], found["Error Log"], found["YouTube URL"]) == ("Published", log, "https://youtu.be/x")
    assert found["Progress"] == "clip 1/2"
    assert found["Topic"] == "How bees dance"


def test_write_keeps_the_newest_of_a_log_that_is_too_long():
    chunks = values.chunks("a" * 300_000 + "end")
    assert len(chunks) == values.MOST_CHUNKS
    assert max(len(chunk["text"]["content"]) for chunk in chunks) == values.CHUNK
    assert chunks[-1]["text"]["content"].endswith("end")


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"Title": None},
        {"Title": []},
        {"Title": {"type": "title", "title": "x"}},
        {"Status": {"type": "select"}},
        {"Status": {"type": "select", "select": None}},
        {"Status": {"type": "status", "status": {}}},
    ],
)
def test_page_of_odd_shapes_is_empty(properties):
    page = notion._page({"id": "p", "properties": properties})
    assert (page.title, page.status, page.in_trash) == ("", "", False)


def test_page_text_is_bounded_and_storable():
    text = {"type": "title", "title": [{"plain_text": " a\x00\ud800"}, {"plain_text": "b" * 500}]}
    assert notion._page({"id": "p", "properties": {"Title": text}}).title == ("a?" + "b" * 500)[:200]


# ---------------------------------------------------------------- a burst


def reads(vendors: SandboxClient) -> int:
    return len(
        [call for call in vendors.calls("notion") if call["operation"] in ("pages.retrieve", "data_sources.query")]
    )


def test_process_a_burst_loses_none_and_asks_a_few_times(vendors, board):
    NotionBoard.objects.create(data_source_id=board)
    pages = [make_row(vendors, board, Title=f"Bee {number}") for number in range(500)]
    NotionEvent.objects.bulk_create(
        NotionEvent(event_id=f"{page}-{copy}", type="page.properties_updated", author="person", page_id=page)
        for page in reversed(pages)
        for copy in range(1 + (page == pages[7]))
    )
    before = reads(vendors)
    while intake.is_due():
        intake.process()
    assert reads(vendors) - before <= 12
    assert Task.objects.filter(status=Status.QUEUED, page_id__in=pages).count() == 500
    assert Task.objects.count() == 500
    assert not NotionEvent.objects.exclude(state=State.DONE, outcome__endswith="queued").exists()


def test_process_a_burst_reads_alone_what_differs_and_what_the_board_does_not_have(vendors, board):
    """A query may be behind our own writes: a row that has a task is asked itself before anything is done to it."""
    NotionBoard.objects.create(data_source_id=board)
    elsewhere = make_row(vendors, make_board(vendors, "Sea Stories"))
    same, moved, new, unfit = [make_row(vendors, board) for _ in range(4)]
    vendors.edit_page(unfit, {"Title": ""})
    for page in (same, moved):
        process(page)
    vendors.edit_page(moved, {"Status": "Draft"})
    events = {page: make_event(page) for page in (same, moved, new, unfit, elsewhere)}
    before = reads(vendors)
    intake.process()
    assert reads(vendors) - before == 3  # the query, and two rows
    said = {page: fresh(event).outcome for page, event in events.items()}
    assert said[same].endswith("the row shows what is known")
    assert "Cancelled" in said[moved]
    assert said[new].endswith("queued")
    assert said[unfit].startswith("Title is empty")
    assert said[elsewhere].endswith("queued")


@pytest.mark.parametrize("data_source", ["", "0b1ad0c2-1a5e-4d4e-8f0a-3c1f5d1e2a77"])
def test_process_a_burst_without_a_board_reads_page_by_page(vendors, board, data_source):
    NotionBoard.objects.create(data_source_id=data_source)
    pages = [make_row(vendors, board) for _ in range(5)]
    for page in pages:
        make_event(page)
    intake.process()
    assert Task.objects.filter(page_id__in=pages).count() == 5


def test_process_a_burst_while_notion_is_away_is_kept(vendors, board):
    NotionBoard.objects.create(data_source_id=board)
    for _ in range(5):
        make_event(make_row(vendors, board))
    vendors.plan_fault("notion", "status", "data_sources.query", status=503)
    intake.process()
    assert NotionEvent.objects.filter(state=State.PENDING, tries=1, outcome__startswith="try 1: ").count() == 5
    NotionEvent.objects.update(due_at=timezone.now())
    intake.process()
    assert NotionEvent.objects.filter(state=State.DONE).count() == 5


def test_process_a_board_without_a_property_says_so_with_the_remedy(vendors):
    make_channel(name="Sea Stories")
    properties = board_properties(["Sea Stories"], ["Draft", "Queued"], ["High"])
    properties["Subject"] = properties.pop("Topic")
    _, source = vendors.create_database("Videos", properties)
    NotionBoard.objects.create(data_source_id=source)
    page = vendors.create_page(source, {"Title": "Bees", "Channel": "Sea Stories", "Status": "Queued"})["id"]
    outcome = process(page).outcome
    assert outcome.startswith("The board has no property “Topic”: renamed, deleted or of another kind? Mend the board")
    assert cells(vendors, page)["Status"] == "Draft"
    assert "notion_board repair" in cells(vendors, page)["Error Log"]
    assert Alert.objects.open().get().message.startswith("The board has no property “Topic”")


def test_process_a_page_of_something_else_owes_us_no_properties(vendors, board):
    NotionBoard.objects.create(data_source_id=board)
    _, source = vendors.create_database("Wiki", {"Name": {"title": {}}})
    event = process(vendors.create_page(source, {"Name": "How we work"})["id"])
    assert (event.state, event.outcome) == (State.IGNORED, "the row is without a status: nothing to start")
    assert not Alert.objects.exists()


def test_fetch_a_renamed_property_changes_no_task(vendors, board):
    """Its value is not there; that nobody has emptied it must be known."""
    page = make_row(vendors, board, Priority="High")
    process(page)
    task = Task.objects.get()
    assert wishes.differs(task, replace(notion.fetch(page), priority=""))
    assert not wishes.differs(task, replace(notion.fetch(page), priority="", status="", lacks=("Priority", "Status")))
