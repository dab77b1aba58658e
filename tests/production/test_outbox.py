"""What Notion is told: the present state, by one teller at a time, as often as it takes."""

import datetime as dt
import uuid
from decimal import Decimal

import pytest
from django.utils import timezone
from pytest_django import Settings

from production import lifecycle, outbox
from production.models import Take, Task
from production.stages import STAGE, Status, Verb
from sandbox.client import SandboxClient
from tests.factories import make_ledger_entry, make_production, make_take, make_task
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
