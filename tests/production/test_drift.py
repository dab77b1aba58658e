"""Where the board and the tasks disagree, and both ways of settling it."""

import uuid

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from production import decisions, drift, jobs
from production.models import NotionBoard, NotionDrift, NotionEvent, Priority, Task
from production.stages import Status
from sandbox.client import SandboxClient
from tests.factories import fresh, make_channel, make_production, make_staff, make_task
from tests.rings import rings
from tests.sandboxes import make_board

pytestmark = pytest.mark.django_db
LIST = "admin:production_notiondrift_changelist"
FACTS = {"Channel": "Sea Stories", "Topic": "The deepest lake", "Status": "Queued", "Title": "Bees"}


@pytest.fixture
def board(vendors: SandboxClient) -> NotionBoard:
    return NotionBoard.objects.create(data_source_id=make_board(vendors, "Sea Stories"))


def make_row(vendors: SandboxClient, board: NotionBoard, **words: object) -> str:
    return vendors.create_page(board.data_source_id, FACTS | words)["id"]


def make_told(vendors: SandboxClient, board: NotionBoard, status: Status, **words: object) -> Task:
    """A task whose row shows what it is."""
    channel = words.pop("channel", None) or make_channel(name="Sea Stories", notion_gates=["assets"])
    page = make_row(vendors, board)
    task = make_production(status, channel=channel, page_id=page, **{"title": "Bees"} | words)
    jobs.tell(task.pk)
    return fresh(task)


def found(board: NotionBoard) -> NotionDrift:
    """The only difference."""
    jobs.compare(board.pk)
    return NotionDrift.objects.get()


def settle(one: NotionDrift, side: str) -> NotionDrift:
    """As a person and then the job do."""
    drift.choose([one], drift.Side(side), by="ada")
    jobs.settle_drift(one.pk)
    return fresh(one)


def cells(vendors: SandboxClient, page: str) -> dict:
    return vendors.page(page)["properties"]


# ---------------------------------------------------------------- found


def test_compare_finds_nothing_where_all_is_well(vendors, board):
    make_told(vendors, board, Status.GENERATING_VIDEO)
    make_row(vendors, board, Status="Draft")
    jobs.compare(board.pk)
    assert not NotionDrift.objects.exists()
    assert fresh(board).compare_outcome == "2 rows and their tasks: 0 differ"


def test_compare_names_each_difference_with_both_sides(vendors, board):
    task = make_told(vendors, board, Status.GENERATING_VIDEO)
    words = {"Title": "Wasps", "Topic": "Other", "Channel": "Another", "Priority": "High", "Privacy": "public"}
    vendors.edit_page(task.page_id, words | {"Status": "Draft", "Publish At": "2026-12-24"})
    one = found(board)
    assert (one.kind, one.task, one.title) == ("differs", task, "Wasps")
    assert one.differs == [
        ["Status", "Generating Video", "Draft"],
        ["Channel", "Sea Stories", "Another"],
        ["Title", "Bees", "Wasps"],
        ["Topic", "The deepest lake", "Other"],
        ["Priority", "Normal", "High"],
        ["Privacy", "", "public"],
        ["Publish At", "", "2026-12-24T00:00:00+00:00"],
    ]


def test_compare_leaves_out_what_is_on_its_way(vendors, board):
    task = make_told(vendors, board, Status.GENERATING_VIDEO)
    decisions.cancel(task, by="ada")
    waiting = make_row(vendors, board)
    NotionEvent.objects.create(event_id="e", type="page.created", page_id=waiting)
    jobs.compare(board.pk)
    assert not NotionDrift.objects.exists()


def test_compare_finds_lost_rows_and_rows_without_a_task(vendors, board):
    lost = make_task(Status.GENERATING_VIDEO, title="Lost")
    make_task(Status.DRAFT, channel=lost.channel)
    make_task(Status.PUBLISHED, channel=lost.channel)
    make_row(vendors, board, Title="Untaken")
    jobs.compare(board.pk)
    assert sorted(NotionDrift.objects.values_list("kind", "title")) == [("missing", "Lost"), ("untaken", "Untaken")]
    jobs.compare(board.pk)
    assert NotionDrift.objects.count() == 2, "in place of what was found before"


def test_compare_while_notion_is_away_keeps_what_was_found(vendors, board):
    make_row(vendors, board)
    jobs.compare(board.pk)
    vendors.plan_fault("notion", "status", "data_sources.query", status=503)
    jobs.compare(board.pk)
    assert NotionDrift.objects.count() == 1
    assert fresh(board).compare_outcome.startswith("failed: Notion board")


def test_compare_takes_the_same_number_of_queries_for_any_number_of_rows(vendors, board):
    channel = make_channel(name="Sea Stories")

    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            jobs.compare(board.pk)
        return len(seen)

    make_told(vendors, board, Status.CLAIMED, channel=channel)
    few = queries()
    for number in range(5):
        task = make_told(vendors, board, Status.CLAIMED, channel=channel)
        vendors.edit_page(task.page_id, {"Title": f"Bee {number}"})
    assert queries() - few <= 1  # the INSERT


# ---------------------------------------------------------------- ours into Notion


def test_settle_ours_writes_status_and_words_into_the_row(vendors, board):
    task = make_told(vendors, board, Status.GENERATING_VIDEO, priority=Priority.LOW, privacy="unlisted")
    vendors.edit_page(task.page_id, {"Status": "Draft", "Title": "Wasps", "Topic": "Other", "Priority": "High"})
    one = settle(found(board), "ours")
    jobs.tell(task.pk)
    shown = cells(vendors, task.page_id)
    assert (shown["Status"], shown["Title"], shown["Topic"]) == ("Generating Video", "Bees", "The deepest lake")
    assert (shown["Priority"], shown["Privacy"]) == ("Low", "unlisted")
    assert (fresh(task).status, task.priority) == (Status.GENERATING_VIDEO, Priority.LOW)
    assert (one.settled, one.chosen_by) == (True, "ada")
    assert one.outcome == "Status, Title, Topic, Priority, Privacy of the task written into the row"
    jobs.compare(board.pk)
    assert not NotionDrift.objects.exists()


def test_settle_ours_heeds_a_move_that_came_after_the_look(vendors, board):
    task = make_told(vendors, board, Status.GENERATING_VIDEO)
    vendors.edit_page(task.page_id, {"Status": "Published"})
    one = found(board)
    vendors.edit_page(task.page_id, {"Status": "Draft"})
    settle(one, "ours")
    jobs.tell(task.pk)
    assert fresh(task).status == Status.DRAFT


def test_settle_ours_makes_a_lost_row_anew(vendors, board):
    task = make_task(Status.GENERATING_VIDEO, channel=make_channel(name="Sea Stories"), title="Bees")
    settle(found(board), "ours")
    assert cells(vendors, fresh(task).page_id)["Title"] == "Bees"
    jobs.tell(task.pk)
    assert cells(vendors, task.page_id)["Status"] == "Generating Video"
    assert fresh(task).status == Status.GENERATING_VIDEO


def test_settle_ours_puts_an_untaken_row_back(vendors, board):
    page = make_row(vendors, board)
    settle(found(board), "ours")
    assert cells(vendors, page)["Status"] == "Draft"
    assert not Task.objects.exists()


# ---------------------------------------------------------------- theirs into ours


def test_settle_theirs_takes_title_priority_and_privacy(vendors, board):
    task = make_told(vendors, board, Status.GENERATING_VIDEO)
    vendors.edit_page(task.page_id, {"Title": "Wasps", "Priority": "High", "Privacy": "public"})
    one = settle(found(board), "theirs")
    assert (fresh(task).title, task.priority, task.privacy) == ("Wasps", Priority.HIGH, "public")
    assert one.outcome == "Title, privacy changed; priority High, was Normal"
    assert task.changes.last().by == "ada"


def test_settle_theirs_moves_as_a_person_in_notion_would(vendors, board):
    task = make_told(vendors, board, Status.ASSETS_READY)
    vendors.edit_page(task.page_id, {"Status": "Assets Approved"})
    assert settle(found(board), "theirs").outcome == "Assets approved"
    assert task.approvals.get().by == "ada"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"Status": "Published"}, "the task is in Generating Video"),
        ({"Topic": "Other", "Channel": "Another"}, "The plan is made from Topic and Channel: set the row to Draft"),
    ],
)
def test_settle_theirs_that_can_not_be_is_open_again_with_the_reason(vendors, board, words, why):
    task = make_told(vendors, board, Status.GENERATING_VIDEO)
    vendors.edit_page(task.page_id, words)
    one = settle(found(board), "theirs")
    assert why in one.outcome
    assert (one.settled, one.side, fresh(task).status) == (False, "", Status.GENERATING_VIDEO)
    assert settle(one, "ours").settled


def test_settle_theirs_cancels_a_task_without_a_row(vendors, board):
    task = make_task(Status.GENERATING_VIDEO)
    assert "Cancelled" in settle(found(board), "theirs").outcome
    assert (fresh(task).status, task.changes.last().reason) == (Status.DRAFT, "Its row is gone from Notion")


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_settle_a_row_that_is_on_another_board_is_left_alone(vendors, board, side):
    page = vendors.create_page(make_board(vendors, "Sea Stories"), FACTS)["id"]
    task = make_task(Status.GENERATING_VIDEO, page_id=page)
    one = settle(found(board), side)
    assert one.outcome.startswith("The row is there, but not on this board")
    assert (fresh(task).page_id, task.status, one.settled) == (page, Status.GENERATING_VIDEO, False)


def test_settle_theirs_makes_a_task_of_an_untaken_row(vendors, board):
    make_channel(name="Sea Stories")
    page = make_row(vendors, board)
    one = settle(found(board), "theirs")
    assert Task.objects.get(page_id=page).status == Status.QUEUED
    assert one.outcome.endswith("queued")


def test_settle_while_notion_is_away_is_open_again(vendors, board):
    make_row(vendors, board)
    one = found(board)
    vendors.plan_fault("notion", "status", "pages.update", status=503)
    assert settle(one, "ours").outcome.endswith("choose again")
    assert settle(one, "ours").settled


def test_settle_what_breaks_is_open_again_with_the_reason():
    task = make_task(Status.QUEUED)
    board = NotionBoard.objects.create(data_source_id="source")
    found = NotionDrift.objects.create(board=board, page_id=task.page_id, task=task, kind="differs", side="ours")
    NotionDrift.objects.update(differs=[["A column of yesterday", "a", "b"]])
    drift.settle(found.pk)
    assert (fresh(found).settled, fresh(found).side) == (False, "")
    assert "A column of yesterday" in fresh(found).outcome


def test_settle_twice_does_it_once(vendors, board):
    task = make_task(Status.GENERATING_VIDEO, channel=make_channel(name="Sea Stories"))
    one = settle(found(board), "ours")
    jobs.settle_drift(one.pk)
    assert len(vendors.pages(board.data_source_id)) == 1
    assert fresh(task).page_id != one.page_id


# ---------------------------------------------------------------- the page


def make_drifts(number: int) -> list[NotionDrift]:
    board, channel = NotionBoard.objects.first_or_new(), make_channel()
    differs = [["Status", "Claimed", "Draft"], ["Title", "Bees", "<b>Wasps</b>"]]
    return [
        NotionDrift.objects.create(
            board=board,
            page_id=str(uuid.uuid4()),
            task=make_task(Status.CLAIMED, channel=channel),
            kind="differs",
            differs=differs,
        )
        for _ in range(number)
    ]


def test_list_lets_a_person_choose_a_side_for_many(operator_client: Client):
    drifts = make_drifts(3)
    html = operator_client.get(reverse(LIST)).content.decode()
    assert "Claimed → Draft" in html
    assert "<b>Wasps</b>" not in html
    chosen = {"action": "push_ours", "_selected_action": [one.pk for one in drifts[:2]]}
    reply = operator_client.post(reverse(LIST), chosen, follow=True)
    assert "2 rows are being settled" in str(next(iter(reply.context["messages"])))
    assert [fresh(one).side for one in drifts] == ["ours", "ours", ""]
    assert fresh(drifts[0]).chosen_by == "olga"
    assert rings() == [(drift.SETTLE, (one.pk,)) for one in drifts[:2]]
    operator_client.post(reverse(LIST), chosen | {"action": "take_theirs"})
    assert fresh(drifts[0]).side == "ours", "it is on its way"


def test_list_decides_nothing_by_get_and_for_who_may_only_look(client: Client):
    (one,) = make_drifts(1)
    client.force_login(make_staff("view_notiondrift", "view_task"))
    client.get(reverse(LIST), {"action": "push_ours", "_selected_action": one.pk})
    client.post(reverse(LIST), {"action": "push_ours", "_selected_action": [one.pk]})
    assert fresh(one).side == ""


def test_list_takes_the_same_number_of_queries_for_any_number_of_rows(operator_client: Client):
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert operator_client.get(reverse(LIST)).status_code == 200
        return len(seen)

    make_drifts(1)
    few = queries()
    make_drifts(60)
    assert queries() == few


def test_board_rings_for_a_comparison_by_post_only(operator_client: Client):
    board = NotionBoard.objects.create(data_source_id="source", compared=timezone.now(), compare_outcome="0 differ")
    url = reverse("admin:production_notionboard_compare", args=[board.pk])
    operator_client.get(url)
    assert not rings()
    operator_client.post(url, {"_form_submitted": "on"})
    assert rings() == [(drift.COMPARE, (board.pk,))]
    NotionBoard.objects.update(data_source_id="")
    assert operator_client.post(url, {"_form_submitted": "on"}).status_code == 403
