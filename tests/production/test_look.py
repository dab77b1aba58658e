"""What is believed of what a page tells, what is kept of a decision."""

import json

import pytest
from django.db import DatabaseError, transaction
from django.test import Client
from django.utils import timezone

from production import decisions, look, reasons, review
from production.look import Look
from production.models import Take
from production.stages import STAGES, Status
from tests.factories import make_production
from tests.pages import review_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def clip() -> Take:
    return make_production(Status.VIDEO_READY, clips=1).takes.get(kind="clip")


def told(take: Take, said: object, *, ago: float = 60) -> tuple:
    opened = look.signing.dumps([take.task_id, timezone.now().timestamp() - ago], salt=look.SALT)
    return look.told(json.dumps(said), opened, take.task_id, [take])


def test_told_is_believed_where_it_can_be_true(clip):
    assert told(clip, {"seconds": 31.26, "played": {str(clip.pk): 0.5}}) == (31.3, {str(clip.pk): 0.5})


@pytest.mark.parametrize(
    "said",
    [
        {"seconds": 90},  # longer than the page is old
        {"seconds": -1},
        {"seconds": "30"},
        {"seconds": True},
        {"seconds": float("nan")},
        {"played": {}},
        [],
        "x" * 50_000,
    ],
)
def test_told_is_not_believed_where_it_can_not(clip, said):
    assert told(clip, said) == (None, {})


@pytest.mark.parametrize("played", [{"99999": 1}, {"x": 1}, [], 5, {"1": "all"}])
def test_told_of_other_takes_is_left_out(clip, played):
    assert told(clip, {"seconds": 10, "played": played}) == (10, {})


def test_told_more_than_the_time_can_hold_was_not_played(clip):
    Take.objects.filter(pk=clip.pk).update(seconds=300)
    clip.refresh_from_db()
    assert told(clip, {"seconds": 1, "played": {str(clip.pk): 7}}) == (1, {})
    assert told(clip, {"seconds": 59, "played": {str(clip.pk): 7}}) == (59, {str(clip.pk): 1})


def test_told_with_a_token_of_another_page_is_not_believed(clip):
    other = look.opened(clip.task_id + 1)
    for opened in (other, "forged", ""):
        assert look.told('{"seconds": 0.5}', opened, clip.task_id, [clip]) == (None, {})


# ---------------------------------------------------------------- kept


def test_approve_keeps_what_was_shown_for_how_long_at_which_price(operator_client: Client):
    task = make_production(Status.ASSETS_READY, clips=2)
    said = json.dumps({"seconds": 0.4, "played": {}})
    words = {"verb": "approve", "seen": review.seen(task), "opened": look.opened(task.pk), "look": said}
    operator_client.post(review_of(task), words)
    decision = task.decisions.get()
    assert set(decision.shown) == set(task.takes.values_list("pk", flat=True))
    assert (decision.seconds, str(decision.usd), decision.user.username) == (0.4, "0.8400", "olga")
    assert decision.content_hash == task.approvals.get().content_hash


def test_reject_keeps_codes_and_words_for_the_statistics(operator_client: Client):
    task = make_production(Status.VIDEO_READY)
    words = {"verb": "reject", "seen": review.seen(task), "codes": ["motion", "nonsense"], "reason": "she slides"}
    operator_client.post(review_of(task), words)
    decision = task.decisions.get()
    assert (decision.codes, decision.reason) == (["motion"], "Moves wrongly or hardly: she slides")
    assert task.changes.last().reason == decision.reason


def test_decision_is_never_changed():
    task = make_production(Status.VIDEO_READY)
    decisions.approve(task, by="olga")
    with pytest.raises(DatabaseError), transaction.atomic():
        task.decisions.update(seconds=300)
    decisions.undo(task, by="olga")
    assert task.decisions.count() == 2


def test_reasons_are_offered_at_every_gate_under_names_of_their_own():
    assert len(reasons.REASON) == len(reasons.REASONS)
    assert all(len(reason.code) <= 12 for reason in reasons.REASONS)
    assert all(reasons.offered_at(stage) for stage in STAGES if stage.review)


def test_look_of_notion_and_the_api_tells_nothing():
    task = make_production(Status.VIDEO_READY)
    decisions.approve(task, by="notion: Ada")
    decision = task.decisions.get()
    assert (decision.seconds, decision.played, decision.user) == (None, {}, None)
    assert Look().seconds is None
