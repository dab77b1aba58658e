"""The board is made, looked over and mended by command, and knows every channel."""

import datetime as dt
import io
import uuid

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from production import board as boards
from production import budget, intake, outbox, sweep
from production.models import NotionBoard, Priority, Provider, Task
from production.schema import SCHEMA
from production.stages import Status
from sandbox.client import SandboxClient
from tests.factories import fresh, make_channel, make_task
from tests.rings import rings

pytestmark = pytest.mark.django_db
PARENT = str(uuid.uuid4())


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("notion_board", *arguments, stdout=out)
    return out.getvalue()


def faults(*arguments: str) -> str:
    out = io.StringIO()
    with pytest.raises(CommandError, match="not as it should be"):
        call_command("notion_board", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def board(vendors: SandboxClient) -> NotionBoard:
    """Made by the command, for two channels."""
    make_channel(name="Sea Stories")
    make_channel(name="Night Train")
    run("create", "--parent", PARENT)
    return NotionBoard.objects.get()


def names(column: dict) -> list[str]:
    return [option["name"] for option in column[column["type"]]["options"]]


# ---------------------------------------------------------------- made


def test_create_makes_every_column(board: NotionBoard, vendors: SandboxClient):
    columns = vendors.database(board.data_source_id)
    assert {name: column["type"] for name, column in columns.items()} == {each.name: each.kind for each in SCHEMA}
    assert names(columns["Status"]) == list(Status.labels)
    assert names(columns["Priority"]) == list(Priority.labels)
    assert names(columns["Channel"]) == ["Night Train", "Sea Stories"]
    colours = {option["name"]: option["color"] for option in columns["Status"]["select"]["options"]}
    looked_up = ("Draft", "Generating Video", "Video Ready", "Video Approved", "Video Error", "Published")
    assert [colours[name] for name in looked_up] == ["gray", "blue", "yellow", "green", "red", "green"]
    assert run("check") == "The board is as it should be.\n"


def test_create_takes_a_page_by_its_address(vendors: SandboxClient):
    run("create", "--parent", f"https://www.notion.so/Our-Studio-{uuid.uuid4().hex}?pvs=4", "--name", "Films")
    assert NotionBoard.objects.get().name == "Films"
    with pytest.raises(CommandError, match="no id of a Notion page"):
        run("create", "--parent", "studio")


def test_create_once_only(board: NotionBoard, vendors: SandboxClient):
    before = len(vendors.calls("notion", "databases.create"))
    with pytest.raises(CommandError, match="There is a board already"):
        run("create", "--parent", PARENT)
    assert len(vendors.calls("notion", "databases.create")) == before


def test_create_behind_an_error_is_taken_over(vendors: SandboxClient):
    body = {"object": "error", "status": 503, "code": "service_unavailable", "message": "Try again"}
    body["additional_data"] = {"committed_resource_id": "$ref"}
    vendors.plan_fault("notion", "status_after", "databases.create", status=503, body=body)
    before = len(vendors.calls("notion", "databases.create"))
    run("create", "--parent", PARENT)
    assert len(vendors.calls("notion", "databases.create")) == before + 1
    assert run("check") == "The board is as it should be.\n"


def test_a_row_of_a_made_board_can_be_queued_and_told(board: NotionBoard, vendors: SandboxClient):
    row = {"Title": "Bees", "Topic": "Swarms", "Channel": "Sea Stories", "Status": "Queued", "Priority": "High"}
    page = vendors.create_page(board.data_source_id, row)["id"]
    intake.queue(intake.notion.fetch(page))
    task = Task.objects.get()
    outbox.tell(task.pk)
    assert vendors.page(page)["properties"]["Status"] == "Queued"
    assert task.priority == Priority.HIGH


# ---------------------------------------------------------------- looked over and mended


def test_check_and_repair_of_a_board_made_by_hand(vendors: SandboxClient):
    make_channel(name="Sea Stories")
    some = {"Name": {"title": {}}, "Topic": {"number": {}}, "Status": {"select": {"options": [{"name": "Queued"}]}}}
    database, source = vendors.create_database("Ours", some | {"Channel": {"select": {"options": [{"name": "Old"}]}}})
    said = faults("check", "--database", database)
    assert "“Title” is called “Name”: we find columns by their names. (repair mends it)" in said
    assert "“Retry” (text) is missing. (repair mends it)" in said
    assert "“Topic” is of the kind number, not text: change it in Notion, by hand.\n" in said
    assert "“Status” lacks the options Draft, Claimed, " in said
    assert "“Channel” has options that no channel here is called: Old.\n" in said
    page = vendors.create_page(source, {"Name": "Bees", "Status": "Queued"})["id"]
    left = faults("repair")
    assert left.splitlines() == [
        "“Channel” has options that no channel here is called: Old.",
        "“Topic” is of the kind number, not text: change it in Notion, by hand.",
    ]
    columns = vendors.database(source)
    assert set(names(columns["Status"])) == set(Status.labels)
    assert names(columns["Channel"]) == ["Old", "Sea Stories"], "no option goes: rows may have it"
    assert vendors.page(page)["properties"]["Title"] == "Bees"
    vendors.edit_database(source, {"Topic": {"rich_text": {}}})
    assert run("repair").endswith("The board is as it should be.\n")


def test_check_of_a_status_of_notions_own_kind(vendors: SandboxClient):
    columns = {each.name: each.config(["Sea Stories"]) for each in SCHEMA}
    columns["Status"] = {"status": {"options": [{"name": label} for label in Status.labels[:-2]]}}
    database, source = vendors.create_database("Ours", columns)
    said = faults("check", "--database", database)
    assert "only a person can add: Audio Error, Upload Error." in said
    assert "repair mends it" not in said
    before = len(vendors.calls("notion", "data_sources.update"))
    assert faults("repair") == said
    assert len(vendors.calls("notion", "data_sources.update")) == before, "nothing it could do"
    page = vendors.create_page(source, {"Title": "Bees"})["id"]
    outbox.tell(make_task(Status.QUEUED, page_id=page, channel=make_channel(name="Sea Stories")).pk)
    assert vendors.page(page)["properties"]["Status"] == "Queued"
    options = [{"name": label} for label in Status.labels]
    vendors.edit_database(source, {"Status": {"status": {"options": options}}})
    assert run("check").endswith("The board is as it should be.\n")


def test_a_renamed_column_is_recognised_and_gets_its_name_back(board: NotionBoard, vendors: SandboxClient):
    source = board.data_source_id
    page = vendors.create_page(source, {"Title": "Bees", "Topic": "Swarms"})["id"]
    vendors.edit_database(source, {"Topic": {"name": "Subject"}, "Channel": {"name": "Programme"}})
    make_channel(name="Third Rail")
    said = faults("check")
    assert "“Topic” is called “Subject”" in said
    assert "missing" not in said
    assert run("repair").endswith("The board is as it should be.\n")
    assert vendors.page(page)["properties"]["Topic"] == "Swarms"
    assert "Third Rail" in names(vendors.database(source)["Channel"])


def test_check_names_a_channel_that_no_row_can_choose(board: NotionBoard):
    make_channel(name="Sun, Moon")
    assert "No row can choose the channel “Sun, Moon”" in faults("check")


def test_check_without_a_board_says_what_to_do(vendors: SandboxClient):
    with pytest.raises(CommandError, match="There is no board yet: make one, or name a database"):
        run("check")


def test_check_of_a_database_that_is_not_shared(vendors: SandboxClient):
    with pytest.raises(CommandError, match="not shared with the integration"):
        run("check", "--database", str(uuid.uuid4()))


# ---------------------------------------------------------------- its channels


def told(board: NotionBoard, vendors: SandboxClient) -> list[str]:
    boards.tell_channels(board.pk)
    return names(vendors.database(board.data_source_id)["Channel"])


def test_a_new_channel_becomes_an_option_by_itself(board: NotionBoard, vendors: SandboxClient, do):
    assert boards.due() == []
    make_channel(name="Third Rail")
    do(sweep.tick)
    assert ("production.jobs.tell_board", (board.pk,)) in set(rings())
    assert told(board, vendors) == ["Night Train", "Sea Stories", "Third Rail"]
    assert boards.due() == []
    before = len(vendors.calls("notion", "data_sources.update"))
    told(board, vendors)
    assert len(vendors.calls("notion", "data_sources.update")) == before, "once"


def test_a_new_channel_is_told_again_when_notion_was_away(
    board: NotionBoard, vendors: SandboxClient, settings: Settings, dead_address: str
):
    make_channel(name="Third Rail")
    there = settings.ADDRESSES
    settings.ADDRESSES = there | {"NOTION_BASE_URL": dead_address}
    boards.tell_channels(board.pk)
    settings.ADDRESSES = there
    assert boards.due() == []
    assert fresh(board).tell_at - timezone.now() > dt.timedelta(seconds=50)
    NotionBoard.objects.update(tell_at=timezone.now())
    assert "Third Rail" in told(board, vendors)
    assert fresh(board).tell_tries == 0


def test_a_new_channel_waits_for_the_budget(board: NotionBoard, vendors: SandboxClient):
    make_channel(name="Third Rail")
    Provider.objects.filter(pk=budget.NOTION).update(paused=True)
    assert "Third Rail" not in told(board, vendors)
    assert fresh(board).tell_tries == 0
    assert boards.due() == []
