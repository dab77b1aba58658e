"""How people decide: counted from what they have decided, and from what still waits for them."""

import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from production import decisions, lifecycle, reviewing
from production.look import Look
from production.models import Decision, Task
from production.stages import Status, Verb
from tests.factories import make_channel, make_operator, make_production, make_task

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def decide(by: str, ago: float, asked: float, verb: str = "approve", **told: Any) -> Decision:
    """A decision of that person so many seconds ago, at a gate that had opened `asked` seconds ago."""
    moments = {"at": NOW - dt.timedelta(seconds=ago), "asked": NOW - dt.timedelta(seconds=asked)}
    return Decision.objects.create(**{"task": make_task(), "stage": "video", "verb": verb, "by": by} | moments | told)


def reviewers() -> dict[str, reviewing.Reviewer]:
    return {person.name: person for person in reviewing.reviewers(reviewing.decisions(make_operator()))}


def test_reviewers_counts_what_each_has_decided() -> None:
    decide("rita", ago=10, asked=20)
    decide("rita", ago=5, asked=20, verb="reject")
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
    for ago, verb in ((100, "approve"), (98.5, "approve"), (97.5, "reject"), (30, "approve")):
        decide("rita", ago=ago, asked=3600, verb=verb)
    assert reviewers()["rita"].hasty == 1


def test_seconds_that_the_page_told_go_before_what_is_guessed() -> None:
    decide("rita", ago=60, asked=3600, seconds=40.0)
    decide("rita", ago=50, asked=3600, seconds=1.5)
    rita = reviewers()["rita"]
    assert ([one.seconds for one in rita.decisions], rita.hasty) == ([1.5, 40.0], 1)


def test_decisions_are_those_of_people_each_once() -> None:
    """Moves that the system makes, and two decisions of one person in one second, are no reason to guess."""
    task = make_production(Status.ASSETS_READY)
    decisions.approve(task, by="rita", look=Look(12.0))
    decisions.undo(task, by="rita")
    decisions.reject(task, by="rita", reason="Wrong brand", look=Look(3.0))
    lifecycle.move(make_production(Status.VIDEO_READY), Verb.APPROVE, by="system")
    found = reviewing.decisions(make_operator())
    assert [(one.by, one.verb, one.seconds) for one in found] == [("rita", "reject", 3.0), ("rita", "approve", 12.0)]


def test_decision_keeps_since_when_it_was_awaited() -> None:
    task = make_production(Status.ASSETS_READY)
    since = task.status_since
    decisions.approve(task, by="rita")
    assert task.decisions.get().asked == since


def test_played_is_of_what_lay_there_and_plays() -> None:
    for played in ({"1": 1.0, "2": 0.5, "77": 1.0}, {}, {"1": 1.0, "2": 1.0}):
        decide("rita", ago=10, asked=20, seconds=9.0, shown=[1, 2], played=played)
    decide("rita", ago=10, asked=20, seconds=9.0, shown=[1, 2], played={}, verb="redo")
    decide("rita", ago=10, asked=20, seconds=9.0, shown=[1, 2], stage="assets")
    decide("omar", ago=10, asked=20, shown=[1, 2])
    found = reviewers()
    assert (found["rita"].played, found["omar"].played) == (0.75, None)


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
    decide("rita", ago=99, asked=3600, seconds=1.0, shown=[1, 2], played={"2": 0.5})
    make_task(Status.VIDEO_READY)
    html = operator_client.get(reverse("admin:production_task_reviewers")).content.decode()
    for words in ("Video Ready", "rita", '<td class="warning">1</td>', "<td>25 %</td>", "Decisions a day"):
        assert words in html, words
