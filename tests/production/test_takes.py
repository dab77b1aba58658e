"""Takes: planned, claimed, settled, selected; who comes late moves nothing."""

import datetime as dt
import uuid

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from production import dispatch, takes
from production.errors import Kind, StaleError, Trouble
from production.models import Take, Task
from production.recipes import Recipe
from production.stages import PIECE, Status
from tests.factories import (
    claim,
    make_take,
    make_task,
)

pytestmark = pytest.mark.django_db
State = Take.State
TROUBLE = Trouble(Kind.TRANSIENT, "no answer")
MINUTE = dt.timedelta(minutes=1)


def planned(task: Task | None = None, kind: str = "image", position: int = 1) -> Take:
    return make_take(task or make_task(Status.GENERATING_ASSETS), kind, position, state=State.WAITING)


def claimed(**words: object) -> Take:
    return claim(planned(**words))


def finish(take: Take) -> None:
    takes.done(take, output="takes/x.png", result={"words": []}, sha256="a" * 64, size=3, seconds=None)


# ---------------------------------------------------------------- planned


def test_plan_numbers_the_takes_of_a_piece_and_keeps_the_selected():
    task = make_task(Status.GENERATING_ASSETS)
    first = make_take(task, "image", 1)
    second, other = planned(task), planned(task, position=2)
    first.refresh_from_db()
    assert [first.number, second.number, other.number] == [1, 2, 1]
    assert first.selected
    assert not second.selected
    assert (str(second), str(other)) == ("image 1, take 2", "image 2")


def test_plan_refuses_a_second_live_take_of_a_piece():
    take = planned()
    with pytest.raises(IntegrityError), transaction.atomic():
        planned(take.task)


def test_plan_due_later():
    due = timezone.now() + MINUTE
    task = make_task(Status.GENERATING_ASSETS)
    words = {"prompt": "", "recipe": {}, "fingerprint": "f", "sources": []}
    assert takes.plan(task, PIECE["image"], 1, due_at=due, **words).due_at == due


@pytest.mark.parametrize(
    ("address", "simulated"), [("https://generativelanguage.googleapis.com:443", False), ("http://127.0.0.1:1", True)]
)
def test_claim_marks_what_will_not_come_from_the_vendor(settings, address, simulated):
    """The address counts that the call goes to, not the one that was set when it was planned."""
    take = planned()
    settings.ADDRESSES = settings.ADDRESSES | {"GEMINI_BASE_URL": address}
    (claimed,) = dispatch.claim("images", 1)
    assert (claimed, claimed.simulated) == (take, simulated)


def test_claim_inherits_the_mark_of_its_sources():
    task = make_task(Status.GENERATING_COMPOSITES)
    image = make_take(task, "image", 1, simulated=True)
    make_take(task, "composite", 1, recipe=Recipe("composite", sources=(image,)), state=State.WAITING, simulated=False)
    (composite,) = dispatch.claim("ffmpeg", 1)
    assert composite.simulated
    assert list(composite.sources.all()) == [image]


# ---------------------------------------------------------------- claimed


def test_claim_gives_a_token_a_lease_and_an_attempt(settings):
    take = claimed()
    take.refresh_from_db()
    assert (take.state, take.holder, take.attempt) == (State.CLAIMED, "here:1", 1)
    assert take.token
    assert timezone.now() < take.lease_until <= timezone.now() + settings.LEASE
    assert takes.is_held(take)


def test_claim_to_collect_is_no_new_attempt():
    take = planned(kind="clip")
    Take.objects.update(ref="job-1", attempt=1)
    take = claim(take)
    assert (take.attempt, take.slots) == (1, 0)


def test_adopt_keeps_the_token_and_shuts_the_former_holder_out():
    take = claimed()
    former = Take.objects.get(pk=take.pk)
    takes.adopt(take, "here:2")
    assert take.token == former.token
    assert not takes.is_held(former)
    assert takes.is_held(take)
    with pytest.raises(StaleError, match="held by somebody else"):
        takes.adopt(former, "here:3")


def test_renew_pushes_the_lease_of_the_holder_only():
    take = claimed()
    former = Take.objects.get(pk=take.pk)
    takes.adopt(take, "here:2")
    Take.objects.update(lease_until=timezone.now() - MINUTE)
    former.progress = "1/9"
    takes.renew([former])
    take.refresh_from_db()
    assert take.lease_until < timezone.now()
    take.progress = "3/9"
    takes.renew([take])
    take.refresh_from_db()
    assert take.lease_until > timezone.now()
    assert take.progress == "3/9"


def test_let_go_ends_the_lease_at_once():
    take = claimed()
    takes.let_go(take)
    take.refresh_from_db()
    assert (take.state, take.lease_until <= timezone.now()) == (State.CLAIMED, True)


# ---------------------------------------------------------------- settled


@pytest.mark.parametrize(
    "settle",
    [
        lambda take: finish(take),
        lambda take: takes.submitted(take, "job-2"),
        lambda take: takes.failed(take, TROUBLE),
        lambda take: takes.unknown(take, TROUBLE, timezone.now()),
        lambda take: takes.again_at(take, TROUBLE, timezone.now(), counts=True, keep_ref=False),
    ],
    ids=["done", "submitted", "failed", "unknown", "again"],
)
def test_settle_late_moves_nothing(settle):
    take = claimed()
    late = Take.objects.get(pk=take.pk)
    takes.adopt(take, "here:2")
    finish(take)
    with pytest.raises(StaleError):
        settle(late)
    take.refresh_from_db()
    assert (take.state, take.selected) == (State.DONE, True)


def test_submitted_lets_go_and_is_asked_about_soon(settings):
    take = claimed(kind="clip")
    takes.submitted(take, "job-1")
    assert (take.state, take.ref, take.holder, take.lease_until) == (State.SUBMITTED, "job-1", "", None)
    assert timezone.now() < take.due_at <= timezone.now() + settings.ASK_EVERY


def test_done_selects_the_newest():
    first = make_take(make_task(Status.GENERATING_ASSETS), "image", 1)
    second = claim(planned(first.task))
    finish(second)
    first.refresh_from_db()
    assert (first.selected, second.selected) == (False, True)
    assert (second.state, second.size, second.holder) == (State.DONE, 3, "")
    assert second.finished


@pytest.mark.parametrize(("counts", "tries"), [(True, 1), (False, 0)])
@pytest.mark.parametrize(("keep", "ref"), [(True, "job-1"), (False, "")])
def test_again_at_waits_with_its_reason(counts, tries, keep, ref):
    take = claimed()
    Take.objects.filter(pk=take.pk).update(ref="job-1")
    take.refresh_from_db()
    due = timezone.now() + MINUTE
    takes.again_at(take, TROUBLE, due, counts=counts, keep_ref=keep)
    assert (take.state, take.due_at, take.tries, take.ref) == (State.WAITING, due, tries, ref)
    assert (take.error, take.error_kind) == ("no answer", "transient")


def test_failed_and_unknown_say_why():
    first, second = claimed(), claimed()
    takes.failed(first, TROUBLE)
    takes.unknown(second, TROUBLE, timezone.now())
    assert (first.state, first.error, bool(first.finished)) == (State.FAILED, "no answer", True)
    assert (second.state, second.error_kind, second.holder) == (State.UNKNOWN, "transient", "")


@pytest.mark.parametrize(
    ("state", "after"),
    [(State.WAITING, State.CANCELLED), (State.FAILED, State.CANCELLED), (State.DONE, State.DONE)],
)
def test_cancel_lets_go_of_what_nobody_works_on(state, after):
    take = make_take(make_task(Status.GENERATING_ASSETS), "image", 1, state=state)
    assert takes.cancel([take]) == int(state != after)
    take.refresh_from_db()
    assert take.state == after


def test_cancel_leaves_a_claimed_take_to_its_holder():
    take = claimed()
    assert takes.cancel([take]) == 0
    assert takes.is_held(take)


# ---------------------------------------------------------------- selected


def test_select_only_what_is_done():
    task = make_task(Status.GENERATING_ASSETS)
    take = make_take(task, "image", 1, state=State.FAILED)
    takes.select(take)
    assert not take.selected


def test_overrule_picks_an_older_take_and_a_failed_newer_one_stands_back():
    task = make_task(Status.ASSETS_READY)
    old, new = make_take(task, "image", 1), make_take(task, "image", 1)
    failed = make_take(task, "image", 1, state=State.FAILED)
    takes.overrule(old, by="Ada")
    new.refresh_from_db()
    failed.refresh_from_db()
    assert (old.selected, old.overruled_by) == (True, "Ada")
    assert (new.selected, new.state, failed.state) == (False, State.DONE, State.CANCELLED)


# ---------------------------------------------------------------- asked about, asked for again


def submitted(ref: str = "job-1") -> Take:
    take = claimed(kind="clip")
    takes.submitted(take, ref)
    return take


def test_ask_later_is_granted_once():
    take = submitted()
    other = Take.objects.get(pk=take.pk)
    assert takes.ask_later(take)
    assert not takes.ask_later(other)


def test_line_up_to_collect_keeps_the_job():
    take = submitted()
    takes.line_up_to_collect(take)
    take.refresh_from_db()
    assert (take.state, take.ref) == (State.WAITING, "job-1")


def test_heard_of_finds_a_take_whose_reply_was_lost():
    take = claimed(kind="clip")
    takes.unknown(take, Trouble(Kind.UNKNOWN, "reply lost"), timezone.now() + MINUTE)
    assert takes.heard_of(take.token, "job-9") == take
    take.refresh_from_db()
    assert (take.state, take.ref, take.error, take.error_kind) == (State.SUBMITTED, "job-9", "", "")
    assert take.due_at <= timezone.now()


def test_heard_of_knows_no_stranger():
    take = submitted()
    assert takes.heard_of(uuid.uuid4(), "job-1") is None
    assert takes.heard_of(take.token, "job-of-another") is None
    take.refresh_from_db()
    assert take.ref == "job-1"
    assert takes.heard_of(take.token, "job-1") == take


def test_heard_of_a_take_that_is_done_changes_nothing():
    take = claimed(kind="clip")
    finish(take)
    assert takes.heard_of(take.token, "job-1") is None


@pytest.mark.parametrize("state", [State.FAILED, State.UNKNOWN])
def test_retry_gives_new_tries(state):
    take = make_take(make_task(Status.GENERATING_ASSETS), "image", 1, state=state, tries=5)
    takes.retry(take)
    take.refresh_from_db()
    assert (take.state, take.tries, take.finished) == (State.WAITING, 0, None)


def test_hurry_ends_a_back_off():
    take = planned()
    Take.objects.update(due_at=timezone.now() + 60 * MINUTE, tries=4)
    takes.hurry(take.task)
    take.refresh_from_db()
    assert take.due_at <= timezone.now()
    assert take.tries == 0


# ---------------------------------------------------------------- what the database refuses


@pytest.mark.parametrize(
    "words",
    [
        {"selected": True},
        {"state": State.CLAIMED},
        {"state": State.CLAIMED, "token": uuid.uuid4()},
        {"state": State.SUBMITTED},
    ],
    ids=["selected but not done", "claimed without token", "claimed without lease", "submitted without ref"],
)
def test_database_refuses(words):
    take = planned()
    with pytest.raises(IntegrityError), transaction.atomic():
        Take.objects.filter(pk=take.pk).update(**words)


def test_database_refuses_two_selected_takes():
    task = make_task(Status.GENERATING_ASSETS)
    make_take(task, "image", 1)
    second = make_take(task, "image", 1, state=State.FAILED)
    with pytest.raises(IntegrityError), transaction.atomic():
        Take.objects.filter(pk=second.pk).update(state=State.DONE, selected=True)


def test_take_knows_its_words_and_whether_it_lives():
    take = make_take(make_task(Status.GENERATING_AUDIO), "narration", 1, result={"words": [["Once", 0, 0.4]]})
    assert take.words == [["Once", 0, 0.4]]
    assert not take.is_live
    assert planned().is_live
