"""How people decide: counted from what they have decided, and from what still waits for them."""

import datetime as dt

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from production import decisions, reviewing
from production.models import StatusChange, Task
from production.stages import Status
from tests.factories import make_channel, make_operator, make_production, make_task

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def decide(by: str, ago: float, asked: float, deed: str = "approve") -> None:
    """A decision of that person so many seconds ago, at a gate that opened `asked` seconds ago."""
    task = make_production(Status.ASSETS_READY)
    opened = task.changes.last()
    if deed == "approve":
        decisions.approve(task, by=by)
    else:
        decisions.reject(task, by=by, reason="Wrong brand")
    for change, seconds in ((opened, asked), (task.changes.last(), ago)):
        StatusChange.objects.filter(pk=change.pk).update(at=NOW - dt.timedelta(seconds=seconds))


def reviewers() -> dict[str, reviewing.Reviewer]:
    return {person.name: person for person in reviewing.reviewers(reviewing.decisions(make_operator()))}


def test_reviewers_counts_what_each_has_decided() -> None:
    decide("rita", ago=10, asked=20)
    decide("rita", ago=5, asked=20, deed="reject")
    decide("omar", ago=5, asked=20)
    found = reviewers()
    assert list(found) == ["rita", "omar"]
    rita = found["rita"]
    assert (len(rita.decisions), rita.approved, rita.rejected, rita.redone) == (2, 1, 1, 0)


def test_seconds_are_since_the_same_persons_decision_before() -> None:
    for ago in (120, 90, 30):
        decide("rita", ago=ago, asked=3600)
    assert round(reviewers()["rita"].median or 0) == 45


def test_seconds_begin_when_the_gate_has_opened() -> None:
    decide("rita", ago=600, asked=3600)
    decide("rita", ago=30, asked=40)
    assert round(reviewers()["rita"].median or 0) == 10


def test_seconds_after_a_pause_are_unknown() -> None:
    decide("rita", ago=7200, asked=9000)
    decide("rita", ago=30, asked=9000)
    assert reviewers()["rita"].median is None


def test_hasty_counts_yeses_that_nobody_can_have_looked_at() -> None:
    for ago, deed in ((100, "approve"), (98.5, "approve"), (97.5, "reject"), (30, "approve")):
        decide("rita", ago=ago, asked=3600, deed=deed)
    assert reviewers()["rita"].hasty == 1


def test_waited_is_how_long_the_gates_had_been_open() -> None:
    decide("rita", ago=10, asked=3610)
    waited = reviewers()["rita"].waited
    assert waited is not None
    assert round(waited.total_seconds()) == 3600


def test_decisions_of_long_ago_do_not_count() -> None:
    decide("rita", ago=40 * 86_400, asked=41 * 86_400)
    assert reviewers() == {}


def test_gates_are_told_by_how_long_they_have_waited() -> None:
    channel = make_channel()
    for hours in (0.5, 2, 3, 5, 30):
        task = make_task(Status.VIDEO_READY, channel=channel)
        Task.objects.filter(pk=task.pk).update(status_since=timezone.now() - dt.timedelta(hours=hours))
    make_task(Status.AUDIO_ERROR, channel=channel)
    make_task(Status.GENERATING_VIDEO, channel=channel)
    gates = reviewing.gates(make_operator())
    assert [(gate.title, gate.counts) for gate in gates] == [
        ("Video Ready", [1, 2, 1, 1]),
        ("Audio Error", [1, 0, 0, 0]),
    ]
    assert gates[0].total == 5


def test_page_shows_people_and_gates(operator_client: Client) -> None:
    decide("rita", ago=100, asked=3600)
    decide("rita", ago=99, asked=3600)
    make_task(Status.VIDEO_READY)
    html = operator_client.get(reverse("admin:production_task_reviewers")).content.decode()
    for words in ("Video Ready", "rita", '<td class="warning">1</td>', "Decisions a day"):
        assert words in html, words
