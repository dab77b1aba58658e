"""What a person sets in a row that has a task: done as in the admin, or put back with the reason."""

import datetime as dt
import uuid
from importlib import import_module

import pytest
from django.apps import apps
from django.utils import timezone

from channels_app.models import NOTION_GATES
from production import decisions, handling, intake, jobs, lifecycle, outbox, wishes
from production.models import NotionEvent, Priority, Task
from production.stages import ERRORS, STAGE, Status
from sandbox.client import SandboxClient
from tests.factories import fresh, make_channel, make_production, make_stage, make_take, make_task
from tests.production.beside import many
from tests.sandboxes import make_board

pytestmark = pytest.mark.django_db
GATES = [name for name, _ in NOTION_GATES]


@pytest.fixture
def row(vendors: SandboxClient) -> str:
    """The page of a row that a creator has set to Queued."""
    board = make_board(vendors, "Sea Stories")
    facts = {"Title": "Bees", "Channel": "Sea Stories", "Topic": "How bees dance", "Status": "Queued"}
    return vendors.create_page(board, facts)["id"]


def make_told(page: str, status: Status, *, gates: list[str] | None = None, **words: object) -> Task:
    """A task whose row shows its status."""
    channel = make_channel(name="Sea Stories", notion_gates=GATES if gates is None else gates)
    task = make_production(status, channel=channel, page_id=page, **words)
    tell(task)
    return fresh(task)


def tell(task: Task) -> None:
    """The outbox writes what is, as its job does."""
    Task.objects.filter(pk=task.pk).update(tell_at=timezone.now())
    jobs.tell(task.pk)


def hear(page: str, **words: object) -> str:
    """A webhook says that the page has changed; what came of it."""
    event = NotionEvent.objects.create(
        event_id=str(uuid.uuid4()), type="page.properties_updated", author="person", page_id=page
    )
    jobs.take_in()
    assert fresh(event).state != NotionEvent.State.PENDING, event.outcome
    return event.outcome


def set_to(vendors: SandboxClient, page: str, status: str) -> str:
    vendors.edit_page(page, {"Status": status})
    return hear(page)


def cells(vendors: SandboxClient, page: str) -> dict:
    return vendors.page(page)["properties"]


# ---------------------------------------------------------------- done


@pytest.mark.parametrize("name", GATES)
def test_fulfil_a_yes_in_notion_names_its_reviewer(vendors, row, name):
    task = make_told(row, STAGE[name].review)
    assert set_to(vendors, row, STAGE[name].approved.label) == f"task {task.pk}: {STAGE[name].title} approved"
    assert fresh(task).status == STAGE[name].approved
    assert task.approvals.get().by == "notion: Creator"


def test_fulfil_a_yes_that_came_twice_counts_once(vendors, row):
    task = make_told(row, Status.ASSETS_READY)
    set_to(vendors, row, "Assets Approved")
    assert hear(row).endswith(wishes.NOTHING)
    assert task.approvals.count() == 1


def test_fulfil_heard_twice_at_once_is_done_once(transactional_db: None, vendors, row):
    """The webhook's job and the outbox read the row at the same moment."""
    task = make_told(row, Status.VIDEO_READY)
    vendors.edit_page(row, {"Status": "Video Approved"})
    many(4, lambda: intake.look_at(row))
    assert fresh(task).status == Status.VIDEO_APPROVED
    assert task.approvals.count() == 1
    assert not task.changes.filter(is_error=True).exists()


def test_fulfil_a_second_yes_names_the_first(vendors, row):
    task = make_told(row, Status.ASSETS_READY)
    decisions.approve(task, by="ada")
    lifecycle.move(fresh(task), "start", by="system", stage=STAGE["composites"])
    assert "ada has approved Assets already" in set_to(vendors, row, "Assets Approved")
    tell(task)
    assert cells(vendors, row)["Status"] == "Generating Composites"
    assert not cells(vendors, row)["Error Log"]


@pytest.mark.parametrize("status", sorted(ERRORS))
def test_fulfil_queued_after_an_error_goes_on_from_there(vendors, row, status):
    task = make_told(row, status)
    stage = lifecycle.failed_stage(task)
    assert set_to(vendors, row, "Queued").endswith(f"Trying {stage.title} again")
    assert fresh(task).status == stage.lines_up_in


def test_fulfil_draft_cancels(vendors, row):
    task = make_told(row, Status.GENERATING_VIDEO)
    assert "Cancelled" in set_to(vendors, row, "Draft")
    assert fresh(task).status == Status.DRAFT
    assert task.changes.last().by == "notion: Creator"
    assert set_to(vendors, row, "Queued") == f"task {task.pk} queued"


def test_fulfil_draft_of_a_published_row_prepares_another_run(vendors, row):
    task = make_told(row, Status.PUBLISHED)
    assert "another run" in set_to(vendors, row, "Draft")
    assert fresh(task).tell_at is None
    set_to(vendors, row, "Queued")
    second = Task.objects.exclude(pk=task.pk).get()
    assert (fresh(task).status, second.status, second.page_id) == (Status.PUBLISHED, Status.QUEUED, row)
    tell(task)
    assert cells(vendors, row)["Status"] == "Queued", "the newer run has the row"


def test_fulfil_priority_privacy_and_publish_at(vendors, row):
    task = make_told(row, Status.GENERATING_VIDEO)
    take = make_take(task, "clip", 1, state="waiting")
    vendors.edit_page(row, {"Priority": "High", "Privacy": "unlisted", "Publish At": "2026-12-24T18:00:00+01:00"})
    assert hear(row) == f"task {task.pk}: Privacy, publish at changed; priority High, was Normal"
    task = fresh(task)
    assert (task.priority, task.privacy) == (Priority.HIGH, "unlisted")
    assert task.publish_at == dt.datetime(2026, 12, 24, 17, tzinfo=dt.UTC)
    assert fresh(take).priority == Priority.HIGH
    vendors.edit_page(row, {"Priority": None, "Privacy": None, "Publish At": None})
    hear(row)
    assert (fresh(task).priority, task.privacy, task.publish_at) == (Priority.NORMAL, "", None)


def test_fulfil_keeps_what_was_changed_in_the_admin(vendors, row):
    """The row still says what it said: that is nobody's wish."""
    task = make_told(row, Status.GENERATING_VIDEO)
    handling.edit(task, {"priority": Priority.LOW}, by="ada")
    hear(row)
    assert fresh(task).priority == Priority.LOW


def test_rows_of_before_are_known_where_they_had_heard_of_everything():
    told, due = make_task(Status.CLAIMED), make_task(Status.CLAIMED)
    Task.objects.filter(pk=told.pk).update(tell_at=None)
    import_module("production.migrations.0009_know_what_rows_show").note(apps, None)
    assert (fresh(told).row_status, fresh(due).row_status) == ("Claimed", "")


# ---------------------------------------------------------------- put back


@pytest.mark.parametrize(
    ("status", "gates", "wanted", "why"),
    [
        (Status.GENERATING_VIDEO, GATES, "Published", "the task is in Generating Video"),
        (Status.GENERATING_VIDEO, GATES, "Queued", "the task is in Generating Video"),
        (Status.GENERATING_VIDEO, GATES, "Video Approved", "not at that gate"),
        (Status.GENERATING_VIDEO, GATES, "Nearly done", "there is no such status"),
        (Status.ASSETS_READY, [], "Assets Approved", "Assets of channel Sea Stories can be approved in the admin only"),
        (Status.FINAL_REVIEW, GATES, "Approved", "Assembly of channel Sea Stories can be approved in the admin only"),
        (Status.PUBLISHED, GATES, "Uploading", "the task is in Published"),
    ],
)
def test_fulfil_puts_back_what_can_not_be(vendors, row, status, gates, wanted, why):
    task = make_told(row, status, gates=gates)
    outcome = set_to(vendors, row, wanted)
    assert f"“{wanted}” was set in Notion and is put back" in outcome
    assert why in outcome
    assert "Possible in Notion: " in outcome
    jobs.tell(task.pk)
    assert cells(vendors, row)["Status"] == status.label
    assert why in cells(vendors, row)["Error Log"]
    before = task.changes.count()
    hear(row)
    assert (fresh(task).status, task.changes.count()) == (status, before)


def test_fulfil_a_yes_binds_to_what_the_row_was_told_of(vendors, row):
    task = make_told(row, Status.ASSETS_READY)
    make_take(task, "image", 1)  # another one lies there now
    assert "has changed since the row heard of it" in set_to(vendors, row, "Assets Approved")
    assert fresh(task).status == Status.ASSETS_READY
    jobs.tell(task.pk)
    assert set_to(vendors, row, "Assets Approved").endswith("Assets approved")


def test_fulfil_a_yes_does_not_count_for_what_the_row_could_not_be_told_of(vendors, row):
    task = make_told(row, Status.ASSETS_READY)
    make_take(task, "image", 1)
    vendors.plan_fault("notion", "status", "pages.update", status=503)
    tell(task)
    assert "has changed since the row heard of it" in set_to(vendors, row, "Assets Approved")


def test_fulfil_a_plan_is_approved_in_the_admin_only(vendors, row):
    channel = make_channel(name="Sea Stories", gates=["plan", "assets"], notion_gates=GATES)
    task = make_task(Status.ASSETS_READY, channel=channel, page_id=row)
    tell(task)
    assert "its plan waits for a yes" in set_to(vendors, row, "Assets Approved")


# ---------------------------------------------------------------- before we write


def test_tell_a_persons_move_found_before_the_write_goes_first(vendors, row):
    """No webhook has come: the row is read before it is written."""
    task = make_told(row, Status.GENERATING_ASSETS)
    vendors.edit_page(row, {"Status": "Draft"})
    make_stage(task, STAGE["assets"])
    lifecycle.move(task, "finish", by="system", stage=STAGE["assets"])
    jobs.tell(task.pk)
    assert fresh(task).status == Status.DRAFT
    assert cells(vendors, row)["Status"] == "Draft"
    assert not task.approvals.exists()


def test_tell_an_illegal_move_found_before_the_write_is_put_back_once(vendors, row):
    task = make_told(row, Status.GENERATING_ASSETS)
    vendors.edit_page(row, {"Status": "Published"})
    for _ in range(2):
        tell(task)
    assert cells(vendors, row)["Status"] == "Generating Assets"
    assert task.changes.filter(is_error=True).count() == 1


def test_tell_what_was_written_without_an_answer_is_no_persons_move(vendors, row):
    task = make_told(row, Status.GENERATING_ASSETS)
    vendors.plan_fault("notion", "lost_reply", "pages.update")
    lifecycle.move(task, "cancel", by="ada")
    jobs.tell(task.pk)
    assert (fresh(task).row_status, task.telling_status) == ("Generating Assets", "Draft")
    decisions.submit(task, by="ada")
    tell(task)
    assert (cells(vendors, row)["Status"], fresh(task).status) == ("Queued", Status.QUEUED)
    assert not task.changes.filter(is_error=True).exists()


def test_tell_leaves_a_row_alone_for_whoever_has_overslept_its_lease(vendors, row):
    """It was stopped while it read; somebody else is telling now."""
    task = make_told(row, Status.GENERATING_ASSETS)
    Task.objects.update(tell_at=timezone.now())
    before = len(vendors.calls("notion", "pages.update"))
    other = timezone.now() + dt.timedelta(seconds=40)
    outbox.tell(task.pk, first=lambda told: Task.objects.update(telling_until=other))
    assert len(vendors.calls("notion", "pages.update")) == before
    assert (fresh(task).telling_until, task.tell_at is None) == (other, False)


def test_tell_says_nothing_to_a_row_in_the_trash_and_all_when_it_is_back(vendors, row, process):
    task = make_told(row, Status.GENERATING_ASSETS)
    vendors._ask("PATCH", f"/notion/pages/{row}", {"in_trash": True})
    make_stage(task, STAGE["assets"])
    lifecycle.move(task, "finish", by="system", stage=STAGE["assets"])
    jobs.tell(task.pk)
    assert (fresh(task).tell_at, task.row_status) == (None, "Generating Assets")
    vendors._ask("PATCH", f"/notion/pages/{row}", {"in_trash": False})
    hear(row)
    jobs.tell(task.pk)
    assert cells(vendors, row)["Status"] == "Assets Ready"


def test_look_at_a_page_that_was_read_before_our_write_is_read_again(vendors, row, monkeypatch):
    """Between the read and its meaning the outbox has written: what was read says nothing any more."""
    task = make_told(row, Status.GENERATING_ASSETS)
    fetch, reads = intake.notion.fetch, []

    def read(page_id: str) -> intake.Page:
        page = fetch(page_id)
        reads.append(page.status)
        if len(reads) == 1:
            lifecycle.move(fresh(task), "finish", by="system", stage=STAGE["assets"])
            monkeypatch.setattr(intake.notion, "fetch", fetch)
            jobs.tell(task.pk)
            monkeypatch.setattr(intake.notion, "fetch", read)
        return page

    monkeypatch.setattr(intake.notion, "fetch", read)
    assert hear(row).endswith(wishes.NOTHING)
    assert reads == ["Generating Assets", "Assets Ready"]
    assert fresh(task).status == Status.ASSETS_READY
