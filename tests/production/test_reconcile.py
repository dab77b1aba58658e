"""The reconciling poll: what no webhook has told of is found, once."""

import datetime as dt
import json

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from production import intake, jobs, lifecycle, reconcile, sweep
from production.models import Alert, NotionBoard, NotionEvent, Task
from production.stages import Status, Verb
from sandbox.client import SandboxClient, board_properties
from tests.factories import fresh, make_channel
from tests.production.beside import many
from tests.rings import rings
from tests.sandboxes import make_board
from tests.vendor import Vendor, listening

pytestmark = pytest.mark.django_db
MINUTE = dt.timedelta(minutes=1)
FACTS = {"Title": "Bees", "Channel": "Sea Stories", "Topic": "How bees dance", "Status": "Queued"}


@pytest.fixture
def board(vendors: SandboxClient) -> NotionBoard:
    make_channel(name="Sea Stories")
    return NotionBoard.objects.create(data_source_id=make_board(vendors, "Sea Stories"))


def poll(board: NotionBoard) -> str:
    """A turn of the poll and of what it rings for; what the board's page says of it."""
    NotionBoard.objects.update(poll_at=timezone.now())
    reconcile.poll(board.pk)
    jobs.take_in()
    return fresh(board).poll_outcome


def queries(vendors: SandboxClient) -> int:
    return len(vendors.calls("notion", "data_sources.query"))


# ---------------------------------------------------------------- found


def test_poll_finds_rows_and_moves_that_no_webhook_has_told_of(vendors, board):
    new, draft = [vendors.create_page(board.data_source_id, FACTS | {"Status": s})["id"] for s in ("Queued", "Draft")]
    assert poll(board) == "2 rows looked at, 1 of them missed by webhooks"
    task = Task.objects.get()
    assert (task.page_id, task.status) == (new, Status.QUEUED)
    vendors.edit_page(new, {"Status": "Draft", "Priority": "High"})
    vendors.edit_page(draft, {"Topic": "Wasps"})
    assert poll(board) == "2 rows looked at, 1 of them missed by webhooks"
    assert (fresh(task).status, task.get_priority_display()) == (Status.DRAFT, "High")
    assert poll(board).endswith(" 0 of them missed by webhooks")
    assert NotionEvent.objects.filter(type__startswith="poll", state="done").count() == 2


def test_poll_finds_a_row_that_is_back_from_the_trash_and_shows_what_was(vendors, board):
    page = vendors.create_page(board.data_source_id, FACTS)["id"]
    poll(board)
    task = Task.objects.get()
    jobs.tell(task.pk)
    vendors._ask("PATCH", f"/notion/pages/{page}", {"in_trash": True})
    lifecycle.move(fresh(task), Verb.CLAIM, by="system")
    jobs.tell(task.pk)
    assert fresh(task).tell_at is None, "nobody could be told"
    vendors._ask("PATCH", f"/notion/pages/{page}", {"in_trash": False})
    assert "1 of them missed" in poll(board)
    jobs.tell(task.pk)
    assert vendors.page(page)["properties"]["Status"] == "Claimed"
    assert "0 of them missed" in poll(board)


def test_poll_leaves_alone_what_waits_as_an_event(vendors, board):
    page = vendors.create_page(board.data_source_id, FACTS)["id"]
    NotionEvent.objects.create(event_id="e", type="page.created", page_id=page, author="person")
    reconcile.poll(board.pk)
    assert fresh(board).poll_outcome.endswith(" 0 of them missed by webhooks")
    jobs.take_in()
    assert Task.objects.count() == 1


def test_poll_finds_no_task_twice(vendors, board):
    """A row whose task is under way, and whose own write is not there yet, is no news."""
    page = vendors.create_page(board.data_source_id, FACTS)["id"]
    poll(board)
    task = Task.objects.get()
    lifecycle.move(task, "claim", by="system")
    assert poll(board).endswith(" 0 of them missed by webhooks")
    jobs.tell(task.pk)
    assert vendors.page(page)["properties"]["Status"] == "Claimed"
    assert poll(board).endswith(" 0 of them missed by webhooks")


def test_poll_one_at_a_time(transactional_db: None, vendors, board):
    vendors.create_page(board.data_source_id, FACTS)
    before = queries(vendors)
    many(4, lambda: reconcile.poll(board.pk))
    assert queries(vendors) == before + 1
    assert NotionEvent.objects.count() == 1


# ---------------------------------------------------------------- how far, when


def test_poll_reads_all_once_and_then_only_what_was_edited_lately(vendors, board):
    """150 rows are two batches; a row that was edited in the same minute as the last look is seen again."""
    for number in range(150):
        vendors.create_page(board.data_source_id, FACTS | {"Title": f"Bee {number}", "Status": "Draft"})
    before = queries(vendors)
    assert poll(board).startswith("150 rows looked at")
    assert queries(vendors) - before == 2
    assert fresh(board).polled_to >= timezone.now() - 3 * MINUTE
    NotionBoard.objects.update(polled_to=timezone.now() + 2 * MINUTE)
    assert poll(board).startswith("0 rows looked at")


def test_poll_goes_on_where_it_was_ended(vendors, board, monkeypatch):
    """With many rows a job ends in between; what it has looked at is kept."""
    monkeypatch.setattr(reconcile, "MOST_BATCHES", 1)
    for number in range(120):
        vendors.create_page(board.data_source_id, FACTS | {"Title": f"Bee {number}", "Status": "Draft"})
    assert poll(board) == "100 rows looked at, 0 of them missed by webhooks; more at once"
    assert reconcile.due() == [board.pk]
    assert poll(board).startswith("120 rows looked at"), "all of them of one minute"
    assert reconcile.due() == []


def test_poll_is_rung_by_the_sweep(vendors, board, settings: Settings):
    sweep.tick()
    assert (reconcile.JOB, (board.pk,)) in rings()
    reconcile.poll(board.pk)
    assert reconcile.due() == []
    NotionBoard.objects.update(poll_at=timezone.now() + dt.timedelta(days=1))
    assert reconcile.due() == [board.pk], "nobody set so late a time: the clock was put back"
    settings.NOTION_POLL = dt.timedelta()
    assert reconcile.due() == []


def test_poll_a_board_without_a_data_source_is_not_polled_and_says_so(operator_client: Client):
    board = NotionBoard.objects.create()
    assert reconcile.due() == []
    html = operator_client.get(reverse("admin:production_notionboard_change", args=[board.pk])).content.decode()
    assert "Not polled: no data source id" in html


# ---------------------------------------------------------------- trouble


def answer(*pages: str, minute: str = "2026-11-28T09:00:00.000Z", **words: object) -> dict[str, object]:
    """A query's answer of rows that were edited in that minute."""
    rows = [{"object": "page", "id": page, "last_edited_time": minute, "properties": {}} for page in pages]
    return {"object": "list", "results": rows, "has_more": False, "next_cursor": None} | words


INCOMPLETE = {"request_status": {"type": "incomplete", "incomplete_reason": "query_result_limit_reached"}}


@pytest.fixture
def notion(settings: Settings) -> Vendor:
    with listening() as vendor:
        vendor.answers = {}
        settings.ADDRESSES = settings.ADDRESSES | {"NOTION_BASE_URL": vendor.url}
        yield vendor


def asked_since(notion: Vendor) -> list[str]:
    bodies = [json.loads(call.body) for call in notion.calls]
    return [body["filter"]["last_edited_time"]["on_or_after"] for body in bodies if "filter" in body]


def test_poll_goes_on_from_where_notion_gave_no_more(notion):
    board = NotionBoard.objects.create(data_source_id="source")
    notion.say("/v1", answer("a", **INCOMPLETE))
    notion.say("/v1", answer("b", minute="2026-11-28T09:30:00.000Z"))
    assert poll(board).endswith("more at once")
    assert reconcile.due() == [board.pk]
    assert "more" not in poll(board)
    assert asked_since(notion) == ["2026-11-28T08:59:00+00:00"]


def test_poll_says_when_notion_keeps_rows_of_one_minute_back(notion):
    board = NotionBoard.objects.create(data_source_id="source", polled_to="2026-11-28T09:00:00Z")
    notion.say("/v1", answer("a", **INCOMPLETE))
    assert "Notion keeps back more rows of one minute" in poll(board)
    poll(board)
    assert asked_since(notion) == ["2026-11-28T08:59:00+00:00", "2026-11-28T09:01:00+00:00"], "it does not stay there"


def test_poll_while_notion_is_away_tries_again_next_time(vendors, board, operator_client: Client):
    vendors.plan_fault("notion", "status", "data_sources.query", status=503)
    page = vendors.create_page(board.data_source_id, FACTS)["id"]
    assert poll(board).startswith("failed: Notion board")
    assert not Task.objects.exists()
    html = operator_client.get(reverse("admin:production_notionboard_change", args=[board.pk])).content.decode()
    assert "failed: Notion board" in html
    poll(board)
    assert Task.objects.get().page_id == page


def test_poll_names_a_missing_property_and_says_when_it_is_back(vendors, board):
    properties = board_properties(["Sea Stories"], ["Draft", "Queued"], ["High"])
    kept = board.data_source_id
    _, source = vendors.create_database("Videos", {n: v for n, v in properties.items() if n != "Privacy"})
    NotionBoard.objects.update(data_source_id=source)
    vendors.create_page(source, {"Title": "Bees"})
    assert poll(board).startswith("The board has no property “Privacy”")
    assert "notion_board repair" in Alert.objects.open().get().message
    NotionBoard.objects.update(polled_to=timezone.now() + 2 * MINUTE)
    assert poll(board).startswith("0 rows looked at")
    assert Alert.objects.open().exists(), "of the columns nothing was seen"
    NotionBoard.objects.update(data_source_id=kept, polled_to=None)
    vendors.create_page(kept, {"Title": "Bees"})
    poll(board)
    assert not Alert.objects.open().exists()


def test_lacking_names_all_that_is_missing(vendors):
    _, source = vendors.create_database("Videos", {"Name": {"title": {}}, "Status": {"select": {}}})
    page = vendors.create_page(source, {"Name": "Bees"})["id"]
    said = intake.lacking(intake.notion.fetch(page))
    assert said.startswith("The board has no property “Title”, “Channel”, “Topic”, “Story Direction”, “Priority”,")
