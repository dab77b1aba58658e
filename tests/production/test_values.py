"""What Notion's values say, however odd; and what Notion would refuse to take."""

import datetime as dt
import json

import pytest
from django.utils import timezone
from pytest_django import Settings

from production import intake, jobs, notion, outbox, reconcile, sharing, values, wishes
from production.errors import Kind, Trouble
from production.models import Alert, NotionBoard, NotionEvent, Sharing, Task
from production.stages import Status
from sandbox.client import SandboxClient, board_properties
from tests.factories import fresh, make_channel, make_task
from tests.sandboxes import make_board
from tests.vendor import answering

pytestmark = pytest.mark.django_db
FACTS = {"Title": "Bees", "Channel": "Sea Stories", "Topic": "How bees dance", "Status": "Queued"}
NONSENSE = ["[]", "{}", '"ok"', "null", '{"id": 5}', '{"object": "page"}', '{"maintenance": true}']


# ---------------------------------------------------------------- written


@pytest.mark.parametrize("text", ["🐝" * 2000, "a" + "🐝" * 3000, "a" * 1999 + "🐝b", "", "ünïcødé" * 999])
def test_chunks_are_as_long_as_notion_counts_and_lose_nothing(text: str) -> None:
    found = [each["text"]["content"] for each in values.chunks(text)]
    assert "".join(found) == text
    assert all(len(chunk.encode("utf-16-le")) <= 2 * values.CHUNK for chunk in found)


def test_tell_a_log_full_of_emojis(vendors: SandboxClient) -> None:
    page = vendors.create_page(make_board(vendors, "Sea Stories"), {"Title": "Bees"})["id"]
    make_task(Status.ASSET_ERROR, failed="assets", page_id=page, reason="🐝" * 2500)
    jobs.tell(Task.objects.get().pk)
    assert vendors.page(page)["properties"]["Error Log"].endswith("🐝" * 2500)
    assert fresh(Task.objects.get()).tell_at is None


# ---------------------------------------------------------------- read


@pytest.mark.parametrize(
    "start",
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2026-02-30", "soon", 5, None, {}, ["2026-01-01"]],
)
def test_moment_that_is_none(start: object) -> None:
    assert values.moment({"type": "date", "date": {"start": start}}) is None


def test_moment_is_told_in_utc() -> None:
    at = values.moment({"type": "date", "date": {"start": "2026-12-01T10:00:00+02:00"}})
    assert at == dt.datetime(2026, 12, 1, 8, tzinfo=dt.UTC)
    assert at.isoformat() == "2026-12-01T08:00:00+00:00"


def test_choice_is_storable() -> None:
    assert values.choice({"type": "select", "select": {"name": "Que\x00ued\ud800"}}) == "Queued?"


@pytest.mark.parametrize("body", NONSENSE)
def test_fetch_what_is_no_page_is_tried_again(settings: Settings, body: str) -> None:
    with answering(200, body.encode()) as (address, _):
        settings.ADDRESSES = settings.ADDRESSES | {"NOTION_BASE_URL": address}
        with pytest.raises(Trouble) as trouble:
            notion.fetch("page")
    assert trouble.value.kind == Kind.TRANSIENT


@pytest.mark.parametrize("body", [*NONSENSE, '{"results": 5}', '{"results": [[], "x", {"object": "page"}]}'])
def test_poll_survives_what_is_no_answer(settings: Settings, body: str) -> None:
    board = NotionBoard.objects.create(data_source_id="source")
    with answering(200, body.encode()) as (address, _):
        settings.ADDRESSES = settings.ADDRESSES | {"NOTION_BASE_URL": address}
        reconcile.poll(board.pk)
    assert fresh(board).poll_outcome.startswith("0 rows looked at" if "object" in body and "[" in body else "failed: ")


@pytest.mark.parametrize("properties", [None, [], "x", {"Title": 5, "Status": [], "Publish At": {"date": "x"}}])
def test_page_of_garbage_lacks_everything(properties: object) -> None:
    page = notion._page({"id": "p", "properties": properties, "parent": [], "last_edited_by": "me"})
    assert (page.title, page.status, page.publish_at) == ("", "", None)
    assert {"Title", "Status", "Publish At"} <= set(page.lacks)


# ---------------------------------------------------------------- a column of another kind


def test_column_of_another_kind_changes_no_task(vendors: SandboxClient) -> None:
    """Else a private video would be published as its channel's default, and at once."""
    make_channel(name="Sea Stories", privacy="public")
    board = NotionBoard.objects.create(data_source_id=make_board(vendors, "Sea Stories"))
    words = {"Priority": "High", "Privacy": "private", "Publish At": "2027-01-01"}
    page = vendors.create_page(board.data_source_id, FACTS | words)["id"]
    hear(page)
    task = Task.objects.get()
    said = notion.fetch(page)
    assert (task.priority, task.privacy, task.publish_at) == (1, "private", said.publish_at)
    raw = {
        "id": page,
        "properties": {
            "Status": {"type": "select", "select": {"name": "Queued"}},
            **{name: {"type": "rich_text", "rich_text": []} for name in words},
        },
    }
    odd = notion._page(json.loads(json.dumps(raw)))
    assert set(words) <= set(odd.lacks)
    assert not wishes.differs(task, odd)


def test_column_of_another_kind_is_named_with_the_remedy(vendors: SandboxClient) -> None:
    make_channel(name="Sea Stories")
    properties = board_properties(["Sea Stories"], ["Draft", "Queued"], ["High"]) | {"Cost": {"rich_text": {}}}
    _, source = vendors.create_database("Videos", properties)
    NotionBoard.objects.create(data_source_id=source)
    outcome = hear(vendors.create_page(source, FACTS)["id"])
    alert = Alert.objects.open().get()
    assert alert.message.startswith("The board has no property “Cost”: renamed, deleted or of another kind? Mend")
    assert outcome.endswith("queued")


def test_column_that_is_back_ends_its_alert_without_the_poll(vendors: SandboxClient) -> None:
    make_channel(name="Sea Stories")
    board = NotionBoard.objects.create(data_source_id=make_board(vendors, "Sea Stories"))
    intake.board.heed_columns("The board has no property “Topic”")
    stranger = vendors.create_page(vendors.create_database("Wiki", {"Name": {"title": {}}})[1], {"Name": "x"})["id"]
    hear(stranger)
    assert Alert.objects.open().exists(), "another database tells nothing of ours"
    hear(vendors.create_page(board.data_source_id, FACTS)["id"])
    assert not Alert.objects.open().exists()


def test_repair_ends_the_alert_of_a_missing_column(vendors: SandboxClient) -> None:
    properties = board_properties(["Sea Stories"], ["Draft"], ["High"])
    del properties["Privacy"]
    board = NotionBoard.objects.create(data_source_id=vendors.create_database("Videos", properties)[1])
    intake.board.heed_columns("The board has no property “Privacy”")
    intake.board.check(board)
    assert Alert.objects.open().exists()
    intake.board.repair(board)
    assert not Alert.objects.open().exists()


def hear(page: str) -> str:
    event = NotionEvent.objects.create(event_id=page, type="page.properties_updated", author="person", page_id=page)
    intake.process()
    return fresh(event).outcome


# ---------------------------------------------------------------- what nobody has foreseen


def test_tell_what_breaks_is_noted_and_tried_again() -> None:
    """Without a note its lease would bring it back for ever, and nobody would hear of it."""
    task = make_task(Status.QUEUED)

    def breaks(task: Task) -> None:
        raise KeyError("a fault of ours")

    outbox.tell(task.pk, first=breaks)
    task.refresh_from_db()
    assert (task.tell_tries, task.telling_until) == (1, None)
    assert task.tell_at > timezone.now() + dt.timedelta(seconds=50)
    assert task.unheard_since


def test_share_what_breaks_is_noted_and_tried_again(settings: Settings) -> None:
    task = make_task(Status.QUEUED, channel=make_channel(storage="notion"))
    sharing_row = Sharing.objects.create(task=task)
    with answering(200, b'{"bot": {"workspace_limits": [1]}}') as (address, _):
        settings.ADDRESSES = settings.ADDRESSES | {"NOTION_BASE_URL": address}
        sharing.share(task.pk)
    assert (fresh(sharing_row).tries, fresh(sharing_row).lease_until) == (1, None)
