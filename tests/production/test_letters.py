"""Each write to a row of Notion is written down before it is sent, with its answer, and people see it."""

import datetime as dt
import uuid

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from production import letters, notion, outbox, sweep, timeline
from production.errors import Trouble
from production.models import NotionWrite, Provider, Task
from production.stages import Status
from sandbox.client import SandboxClient
from tests.factories import make_channel, make_task
from tests.sandboxes import make_board

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(vendors: SandboxClient) -> str:
    board = make_board(vendors, "Sea Stories")
    return str(vendors.create_page(board, {"Title": "Bees", "Channel": "Sea Stories", "Status": "Queued"})["id"])


def told_task(page: str) -> Task:
    task = make_task(Status.QUEUED, page_id=page, channel=make_channel(name="Sea Stories"))
    outbox.tell(task.pk)
    return task


def test_note_tells_what_was_written_and_how_it_was_answered(page: str) -> None:
    told_task(page)
    letter = NotionWrite.objects.get()
    assert (letter.page_id, letter.status, letter.outcome) == (page, 200, "Taken")
    assert {"Status: Queued", "Cost: 0.0", "Error Log: –"} <= set(letter.said.splitlines())


def test_note_reads_leave_no_line(page: str) -> None:
    notion.fetch(page)
    assert not NotionWrite.objects.exists()


def test_note_a_refusal_with_its_reason(page: str) -> None:
    with pytest.raises(Trouble):
        notion.write(page, notion.Row(priority="A, B"))
    assert NotionWrite.objects.get().outcome.startswith("Answered 400: Invalid select option")


def test_note_a_lost_answer_as_one_that_has_not_come(vendors: SandboxClient, page: str) -> None:
    vendors.plan_fault("notion", "lost_reply", "pages.update")
    with pytest.raises(Trouble):
        notion.write(page, notion.Row(status="Draft"))
    assert (NotionWrite.objects.get().status, NotionWrite.objects.get().outcome) == (None, "No answer has come")


def test_note_what_the_budget_has_no_room_for_was_never_written(page: str) -> None:
    Provider.objects.filter(pk="notion").update(paused=True)
    with pytest.raises(Trouble):
        notion.write(page, notion.Row(status="Draft"))
    assert not NotionWrite.objects.exists()


def test_note_a_new_row_by_the_id_that_it_was_given(vendors: SandboxClient) -> None:
    board = make_board(vendors, "Sea Stories")
    page = notion.create(board, title="Bees", topic="How", channel="Sea Stories", status="Draft")
    assert NotionWrite.objects.get().page_id == page
    assert "Title: Bees" in NotionWrite.objects.get().said


def test_history_shows_what_notion_was_told(page: str, operator_client: Client) -> None:
    task = told_task(page)
    (event,) = [event for event in timeline.read(task, "notion") if event.what == "Written to Notion"]
    assert event.words.startswith("Status: Queued · ")
    assert event.tone == "done"
    html = operator_client.get(reverse("admin:production_task_change", args=[task.pk])).content.decode()
    assert "Written to Notion" in html
    writes = operator_client.get(reverse("admin:production_notionwrite_changelist")).content.decode()
    assert "Status: Queued" in writes
    assert str(task) in writes


def test_history_shows_a_refusal_among_errors(page: str) -> None:
    task = told_task(page)
    NotionWrite.objects.update(status=400, answer="Cost is expected to be number.")
    assert "Written to Notion" in [event.what for event in timeline.read(task, "errors")]


def test_forget_drops_what_is_old() -> None:
    old, new = [NotionWrite.objects.create(page_id=str(uuid.uuid4())) for _ in range(2)]
    NotionWrite.objects.filter(pk=old.pk).update(at=timezone.now() - letters.KEEP - dt.timedelta(days=1))
    assert sweep.tick()
    assert list(NotionWrite.objects.all()) == [new]
