"""Everything of a task in one history, and the page that shows it."""

import datetime as dt

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from production import alerts, decisions, review, silence, timeline
from production.look import Look
from production.models import LedgerEntry, NotionEvent, NotionWrite, Take
from production.stages import Status
from tests.factories import fresh, make_production, make_take, make_task

pytestmark = pytest.mark.django_db


def whats(task, show=""):
    return [event.what for event in timeline.read(task, show)]


def test_read_bundles_takes_in_a_row_with_their_cost():
    task = make_task(Status.GENERATING_VIDEO)
    for position in (1, 2, 3):
        make_take(task, "clip", position, usd="0.42")
    newest = timeline.read(task, "takes")[0]
    assert (newest.what, str(newest.usd), len(newest.parts)) == ("3 × clip done", "1.2600", 3)
    assert whats(task, "money") == ["3 × clip done"]


def test_read_tells_a_decision_with_what_was_looked_at():
    task = make_production(Status.ASSETS_READY)
    take = task.takes.get(kind="image", position=1)
    decisions.approve(task, by="olga", look=Look(34.0, {str(take.pk): 1.0}, usd=None))
    first = timeline.read(task, "moves")[0]
    assert (first.what, first.who, first.tone) == ("Assets Approved", "olga", "done")
    assert first.words.startswith("Looked for 34 s at")


def test_read_shows_errors_of_every_source():
    task = make_task(Status.GENERATING_VIDEO)
    lost = make_take(task, "clip", 1, state=Take.State.FAILED, error="refused", finished=timezone.now(), usd="0.42")
    LedgerEntry.objects.filter(take=lost).update(state=LedgerEntry.State.WRITTEN_OFF, note="never known")
    NotionEvent.objects.create(event_id="1", type="page.moved", page_id=task.page_id, state="failed", outcome="no row")
    alerts.raise_alarm("The lamp is out", cause="lamp", task=task, stage="video")
    assert {"clip 1 failed", "clip 1: written off as spent", "Notion said page.moved", "Alert"} <= set(
        whats(task, "errors")
    )


def test_read_says_what_notion_said_and_has():
    task = make_task(Status.QUEUED)
    for number, (author, state) in enumerate([("person", "done"), ("bot", "ignored")]):
        words = {"type": f"page.{state}", "author": author, "state": state}
        NotionEvent.objects.create(event_id=str(number), page_id=task.page_id, **words)
    NotionWrite.objects.create(page_id=task.page_id, said="Status: Queued\nRetry: –", status=200)
    lines = timeline.read(task, "notion")
    assert {line.what for line in lines} == {
        "Notion said page.done",
        "Written to Notion",
        "Notion is told the present state",
    }
    assert [line.words for line in lines if line.what == "Written to Notion"] == ["Status: Queued"]


def test_read_leaves_out_what_was_said_of_another_run_of_its_page():
    now = timezone.now()
    former = make_task(Status.PUBLISHED, page_id="page", created=now - dt.timedelta(days=2))
    task = make_task(Status.QUEUED, page_id="page", created=now - dt.timedelta(days=1))
    for name, days in {"led to it": 3, "former": 1.5, "newer": 0.5}.items():
        at = now - dt.timedelta(days=days)
        NotionEvent.objects.create(event_id=name, type=name, page_id="page", received=at)
        NotionWrite.objects.create(page_id="page", said=name, at=at, status=200)
    assert told(former) == {"led to it", "former"}
    assert told(task) == {"newer"}


def told(task) -> set[str]:
    """What Notion said; as much was written."""
    lines = [line for event in timeline.read(task, "notion") for line in event.parts or [event]]
    said = {line.what.removeprefix("Notion said ") for line in lines if line.what.startswith("Notion said ")}
    assert {line.words.partition("\n")[0] for line in lines if line.what == "Written to Notion"} == said
    return said


@pytest.mark.parametrize("kind", [silence.QUEUED, silence.OTHER, silence.OLD])
def test_read_says_what_the_poll_found(operator_client: Client, kind: str):
    task = make_task(Status.QUEUED)
    NotionEvent.objects.create(event_id="1", type=kind, page_id=task.page_id)
    assert "The poll found a change" in whats(task, "notion")
    listed = operator_client.get(reverse("admin:production_notionevent_changelist")).content.decode()
    assert "The poll found a change" in listed


def test_read_takes_the_same_few_queries_for_any_number_of_takes(django_assert_num_queries: DjangoAssertNumQueries):
    task = make_production(Status.VIDEO_READY, clips=20)
    decisions.pick(task, task.takes.get(kind="clip", position=1), by="olga")
    task = fresh(task)
    with django_assert_num_queries(8):
        assert "Picked clip 1" in whats(task)


# ---------------------------------------------------------------- its page


def page_of(task):
    return reverse("admin:production_task_change", args=[task.pk])


def press(client: Client, task, verb: str, **words: object) -> str:
    words = {"verb": verb, "seen": review.seen(task), "from": "task"} | words
    reply = client.post(reverse("admin:production_task_review", args=[task.pk]), words, follow=True)
    assert reply.redirect_chain[0][0] == page_of(task)
    task.refresh_from_db()
    return reply.content.decode()


def test_page_pauses_resumes_and_puts_first(operator_client: Client):
    task = make_task(Status.GENERATING_ASSETS)
    assert "Paused; what is under way" in press(operator_client, task, "pause", reason="wrong topic")
    assert task.paused
    assert "olga has paused it: wrong topic" in operator_client.get(page_of(task)).content.decode()
    press(operator_client, task, "resume")
    assert not task.paused
    press(operator_client, task, "priority", priority="1")
    assert task.priority == 1


def test_page_retries_and_cancels(operator_client: Client):
    task = make_task(Status.VIDEO_ERROR, failed="video", reason="no credits")
    assert "no credits" in operator_client.get(page_of(task)).content.decode()
    press(operator_client, task, "retry")
    assert task.status == Status.COMPOSITES_READY
    press(operator_client, task, "cancel", reason="never mind")
    assert task.status == Status.DRAFT


def test_page_shows_a_looker_no_button(looker_client: Client):
    html = looker_client.get(page_of(make_task(Status.GENERATING_ASSETS))).content.decode()
    assert 'id="timeline"' in html
    assert 'value="pause"' not in html


@pytest.mark.parametrize("show", [*timeline.KINDS, "nonsense"])
def test_page_shows_one_kind(operator_client: Client, show: str):
    task = make_production(Status.VIDEO_READY)
    assert operator_client.get(page_of(task), {"show": show}).status_code == 200
