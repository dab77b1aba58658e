"""What Notion is told: the present state, by one teller at a time, as often as it takes."""

import datetime as dt
import uuid
from decimal import Decimal

import pytest
from django.utils import timezone
from pytest_django import Settings

from production import budget, intake, lifecycle, notion, outbox
from production.models import Alert, NotionBoard, Priority, Provider, Take, Task
from production.stages import STAGE, Status, Verb
from sandbox.client import SandboxClient, board_properties
from tests.factories import fresh, make_ledger_entry, make_production, make_take, make_task
from tests.sandboxes import make_board

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(vendors: SandboxClient) -> str:
    return vendors.create_page(make_board(vendors, "Sea Stories"), {"Title": "Bees", "Status": "Queued"})["id"]


def writes(vendors: SandboxClient) -> int:
    return len([call for call in vendors.calls("notion") if call["operation"] == "pages.update"])


def test_tell_writes_the_present_state(vendors, page):
    task = make_production(Status.ASSET_ERROR, failed="assets", page_id=page, reason="image 1: no faces")
    make_take(task, "image", 1, usd="0.0336")
    Task.objects.update(youtube_url="https://youtu.be/x")
    outbox.tell(task.pk)
    found = vendors.page(page)["properties"]
    assert (found["Status"], found["YouTube URL"], found["Cost"]) == ("Asset Error", "https://youtu.be/x", 0.0336)
    assert found["Error Log"].endswith("UTC Assets: image 1: no faces")
    task.refresh_from_db()
    assert (task.tell_at, task.telling_until, task.tell_tries) == (None, None, 0)
    assert outbox.due() == []


def test_tell_a_burst_in_one_write(vendors, page):
    task = make_task(Status.GENERATING_ASSETS, page_id=page)
    before = writes(vendors)
    for _ in range(3):
        outbox.tell(task.pk)
    assert writes(vendors) == before + 1


def test_tell_one_at_a_time(vendors, page):
    task = make_task(Status.QUEUED, page_id=page)
    Task.objects.update(telling_until=timezone.now() + dt.timedelta(seconds=5))
    outbox.tell(task.pk)
    assert vendors.page(page)["properties"]["Error Log"] == ""
    task.refresh_from_db()
    assert task.tell_at, "it stays due for the next"
    Task.objects.update(telling_until=timezone.now() + 3 * outbox.LEASE)
    assert outbox.due(), "no lease is so long: the clock was put back"
    Task.objects.update(telling_until=timezone.now())
    outbox.tell(task.pk)
    task.refresh_from_db()
    assert task.tell_at is None


def test_told_leaves_a_newer_change_due(vendors, page):
    task = make_task(Status.QUEUED, page_id=page)
    assert outbox._begin(task.pk)
    task.refresh_from_db()
    lifecycle.move(Task.objects.get(pk=task.pk), Verb.CLAIM, by="system")
    outbox._told(task)
    assert outbox.due() == [task.pk]
    outbox.tell(task.pk)
    assert outbox.due() == []


def test_tell_backs_off_for_ever(settings: Settings, dead_address: str):
    settings.ADDRESSES = settings.ADDRESSES | {"NOTION_BASE_URL": dead_address}
    task = make_task(Status.QUEUED)
    waits = []
    for _ in range(9):
        Task.objects.update(tell_at=timezone.now())
        outbox.tell(task.pk)
        task.refresh_from_db()
        waits.append(round((task.tell_at - timezone.now()).total_seconds() / 60))
        assert task.telling_until is None
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_tell_a_deleted_page_is_dropped(vendors):
    task = make_task(Status.QUEUED, page_id=str(uuid.uuid4()))
    outbox.tell(task.pk)
    task.refresh_from_db()
    assert task.tell_at is None


def test_error_log_keeps_the_newest_lines_oldest_first():
    task = make_task(Status.GENERATING_AUDIO)
    for number in range(50):
        lifecycle.note(task, f"line {number}", stage=STAGE["audio"])
    lines = outbox.error_log(task).splitlines()
    assert len(lines) == outbox.LINES
    assert (lines[0][-7:], lines[-1][-7:]) == ("line 10", "line 49")
    assert "UTC Audio: line 10" in lines[0]


def test_cost_counts_what_is_open_and_unknown_as_its_upper_bound():
    task = make_task(Status.GENERATING_VIDEO)
    make_take(task, "clip", 1, usd="0.42")
    make_ledger_entry(make_take(task, "clip", 2, attempt=1), "0.42", state="unknown", actual_usd=None)
    make_ledger_entry(make_take(task, "clip", 3, attempt=1), "0.42", state="released", actual_usd=None)
    assert outbox.cost(task) == Decimal("0.84")


def test_progress_counts_the_pieces_of_the_running_stage():
    task = make_production(Status.GENERATING_VIDEO)
    make_take(task, "clip", 1)
    make_take(task, "clip", 2, state=Take.State.WAITING)
    make_take(task, "clip", 9, state=Take.State.CANCELLED)  # of a plan that had more
    assert outbox.present_state(task).progress == "clip 1/2"


def test_progress_is_empty_at_a_gate():
    assert outbox.present_state(make_production(Status.VIDEO_READY)).progress == ""


# ---------------------------------------------------------------- what else a row shows


def test_tell_the_next_attempt(vendors, page):
    task = make_production(Status.GENERATING_VIDEO, page_id=page)
    take = make_take(task, "clip", 1, state=Take.State.WAITING)
    soon = timezone.now() + dt.timedelta(minutes=5)
    Take.objects.filter(pk=take.pk).update(tries=1, due_at=soon)
    outbox.tell(task.pk)
    assert vendors.page(page)["properties"]["Retry"] == f"Attempt 2/5, next {soon:%H:%M} UTC"
    Take.objects.filter(pk=take.pk).update(due_at=timezone.now())
    Task.objects.update(tell_at=timezone.now())
    outbox.tell(task.pk)
    assert vendors.page(page)["properties"]["Retry"] == ""


def test_tell_a_priority_only_when_it_was_changed_here(vendors, page):
    task = make_task(Status.QUEUED, page_id=page, row_status="Queued", row_words={"priority": ""})
    vendors.edit_page(page, {"Priority": "Low"})  # by the creator, and not read yet
    outbox.tell(task.pk)
    assert vendors.page(page)["properties"]["Priority"] == "Low"
    Task.objects.update(tell_at=timezone.now())
    outbox.tell(task.pk, first=intake.look_before_telling)
    assert Task.objects.get().priority == Priority.LOW
    Task.objects.update(priority=Priority.HIGH, tell_at=timezone.now())
    outbox.tell(task.pk, first=intake.look_before_telling)
    assert vendors.page(page)["properties"]["Priority"] == "High"
    Task.objects.update(priority=Priority.LOW, tell_at=timezone.now())
    outbox.tell(task.pk, first=intake.look_before_telling)
    assert (vendors.page(page)["properties"]["Priority"], Task.objects.get().priority) == ("Low", Priority.LOW)


def test_tell_a_board_whose_status_is_of_notions_own_kind(vendors):
    columns = board_properties(["Sea Stories"], [], ["High"])
    columns["Status"] = {"status": {"options": [{"name": "Queued"}]}}
    source = vendors.create_database("Videos", columns)[1]
    NotionBoard.objects.create(data_source_id=source, status_kind="status")
    page = vendors.create_page(source, {"Title": "Bees"})["id"]
    outbox.tell(make_task(Status.QUEUED, page_id=page).pk)
    assert vendors.page(page)["properties"]["Status"] == "Queued"


# ---------------------------------------------------------------- progress


def test_progress_is_shown_in_its_own_time(vendors, page, settings: Settings):
    task = make_production(Status.GENERATING_VIDEO, page_id=page)
    outbox.tell(task.pk)
    make_take(task, "clip", 1)
    lifecycle.show(task)
    lifecycle.show(task)
    assert outbox.due() == [], "not with every piece"
    before = writes(vendors)
    Task.objects.update(show_at=timezone.now())
    assert outbox.due() == [task.pk]
    outbox.tell(task.pk)
    assert (writes(vendors), vendors.page(page)["properties"]["Progress"]) == (before + 1, "clip 1/2")
    assert fresh(task).show_at is None
    assert outbox.due() == []


def test_progress_leaves_the_status_to_people(vendors, page):
    task = make_production(Status.GENERATING_VIDEO, page_id=page)
    vendors.edit_page(page, {"Status": "Draft"})  # and nobody has read it yet
    Task.objects.update(tell_at=None, show_at=timezone.now())
    outbox.tell(task.pk)
    found = vendors.page(page)["properties"]
    assert (found["Status"], found["Progress"]) == ("Draft", "clip 0/2")


def test_progress_that_is_not_heard_waits_for_its_next_turn(vendors, page):
    task = make_production(Status.GENERATING_VIDEO, page_id=page)
    Task.objects.update(tell_at=None, show_at=timezone.now())
    vendors.plan_fault("notion", "drop", "pages.update")
    outbox.tell(task.pk)
    assert (fresh(task).telling_until, outbox.due(), fresh(task).unheard_since) == (None, [], None)
    lifecycle.show(task)
    Task.objects.update(show_at=timezone.now())
    outbox.tell(task.pk)
    assert vendors.page(page)["properties"]["Progress"] == "clip 0/2"


def test_progress_gives_way_to_statuses(vendors, page):
    """Of a budget that is nearly used up a status still gets its share."""
    Provider.objects.filter(pk=budget.NOTION).update(rate_calls=10)
    for _ in range(7):
        budget.spend(budget.Use.READ)
    shown = make_task(Status.QUEUED, page_id=page)
    Task.objects.update(tell_at=None, show_at=timezone.now())
    outbox.tell(shown.pk)
    assert vendors.page(page)["properties"]["Cost"] is None
    shown.refresh_from_db()
    assert shown.show_at > timezone.now()
    assert shown.tell_at is None, "it has not failed"
    Task.objects.update(tell_at=timezone.now())
    outbox.tell(shown.pk)
    assert vendors.page(page)["properties"]["Cost"] == 0
    assert fresh(shown).show_at is None, "a status says it too"


def test_due_asks_for_no_more_than_there_is_room():
    """A hundred that wait for a budget must not keep the workers busy with being refused."""
    tasks = [make_task(Status.QUEUED) for _ in range(5)]
    Provider.objects.filter(pk=budget.NOTION).update(rate_calls=4)
    assert outbox.due() == [task.pk for task in tasks[:3]]
    budget.spend(budget.Use.READ)
    assert outbox.due() == [task.pk for task in tasks[:2]]
    Provider.objects.filter(pk=budget.NOTION).update(closed_until=timezone.now() + dt.timedelta(minutes=1))
    assert outbox.due() == []
    Provider.objects.filter(pk=budget.NOTION).update(closed_until=None, rate_calls=None)
    assert len(outbox.due()) == 5


def test_due_tells_statuses_first():
    shown, told = make_task(Status.QUEUED), make_task(Status.QUEUED)
    past = timezone.now() - dt.timedelta(hours=1)
    Task.objects.filter(pk=shown.pk).update(tell_at=None, show_at=past)
    assert outbox.due() == [told.pk, shown.pk]


# ---------------------------------------------------------------- when Notion hears nothing


def try_again(*tasks: Task) -> None:
    for task in tasks:
        Task.objects.filter(pk=task.pk).update(tell_at=timezone.now())
        outbox.tell(task.pk)


def test_an_hour_of_silence_is_one_alert_and_resumed_once(vendors, settings: Settings, dead_address: str):
    source = make_board(vendors, "Sea Stories")
    pages = [vendors.create_page(source, {"Title": name})["id"] for name in ("Bees", "Ants", "Wasps")]
    tasks = [make_task(Status.QUEUED, page_id=page) for page in pages]
    there = settings.ADDRESSES
    settings.ADDRESSES = there | {"NOTION_BASE_URL": dead_address}
    try_again(*tasks)
    assert not Alert.objects.exists()
    Task.objects.update(unheard_since=timezone.now() - outbox.UNHEARD)
    try_again(*tasks)
    try_again(*tasks)
    (alert,) = Alert.objects.all()
    assert (alert.cause, alert.tasks.count()) == ("notion:away", 3)
    assert "for an hour: Notion page" in alert.message
    settings.ADDRESSES = there
    try_again(*tasks[:2])
    assert fresh(alert).closed is None, "one is not told yet"
    try_again(tasks[2])
    assert fresh(alert).closed
    assert fresh(tasks[2]).unheard_since is None


def test_what_lasts_is_a_cause_of_its_own(vendors, page):
    """Somebody has deleted a column: it is no outage."""
    task = make_task(Status.QUEUED, page_id=page)
    with notion.asking("it") as api:
        source = api.pages.retrieve(page)["parent"]["data_source_id"]
    vendors.edit_database(source, {"Retry": None})
    Task.objects.update(unheard_since=timezone.now() - outbox.UNHEARD)
    outbox.tell(task.pk)
    (alert,) = Alert.objects.all()
    assert alert.cause.startswith("notion:permanent:")
    assert "Retry is not a property that exists" in alert.message
