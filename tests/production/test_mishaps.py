"""Mishaps that a strict reviewer thought of: each was a way to pay twice, publish twice, or stand still in silence."""

import threading  # noqa: TID251 - two at once
import uuid
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

import publishing.jobs
from production import (
    asking,
    decisions,
    dispatch,
    flow,
    jobs,
    lifecycle,
    reception,
    recipes,
    review,
    runner,
    settling,
    sweep,
    takes,
)
from production.attempts import Outcome
from production.errors import Kind, Trouble
from production.models import Alert, LedgerEntry, Provider, Take, Task
from production.providers import most_tries
from production.runner import Order
from production.stages import STAGE, Status, Verb
from tests.factories import (
    fresh,
    make_channel,
    make_ledger_entry,
    make_operator,
    make_production,
    make_stage,
    make_take,
    make_task,
    write_output,
)
from tests.pages import review_of
from tests.production.beside import many
from tests.production.scripts import Scripts

pytestmark = pytest.mark.django_db
State = Take.State


def advanced(status: Status, **words) -> Task:
    task = make_production(status, **words)
    with transaction.atomic():
        flow.advance(lifecycle.lock(task.pk))
    return task


def whole(take: Take) -> Outcome:
    return Outcome(**write_output(take, b"{}"), result={"id": "a", "url": "https://x/a", "status": {}})


def test_words_edited_during_the_upload_upload_it_no_second_time():
    task = advanced(Status.UPLOADING)
    (take,) = dispatch.claim("upload", 1)
    Task.objects.filter(pk=task.pk).update(title="Typo mended")
    settling.settle(take, whole(take))
    assert fresh(task).status == Status.PUBLISHED
    assert task.takes.filter(kind="upload").count() == 1


def test_retry_after_an_edit_asks_in_the_new_words(do):
    task = make_production(Status.VIDEO_ERROR, failed="video", clips=1, assets=2)
    (old,) = make_stage(task, STAGE["video"])
    Take.objects.filter(pk=old.pk).update(state=State.FAILED, selected=False)
    task.clips.update(motion_prompt="The camera rises")
    do(decisions.retry, task, by="ada")
    assert fresh(old).state == State.CANCELLED
    assert [take.prompt for take in task.takes.live()] == ["The camera rises"]


def test_retry_buys_nothing_before_its_stage_has_a_slot():
    task = make_production(Status.VIDEO_ERROR, failed="video", clips=1, assets=2)
    (take,) = make_stage(task, STAGE["video"])
    Take.objects.filter(pk=take.pk).update(state=State.FAILED, selected=False)
    decisions.retry(task, by="ada")
    assert dispatch.claim("video", 5) == []
    flow.start_waiting(task.channel_id)
    assert [claimed.pk for claimed in dispatch.claim("video", 5)] == [take.pk]


def test_retry_of_an_unknown_outcome_is_a_persons_yes_to_buy_it_again(do):
    task = make_production(Status.VIDEO_ERROR, failed="video", clips=1, assets=2)
    (take,) = make_stage(task, STAGE["video"])
    Take.objects.filter(pk=take.pk).update(state=State.FAILED, selected=False, error_kind=Kind.UNKNOWN)
    make_ledger_entry(fresh(take), "0.42", state=LedgerEntry.State.UNKNOWN, actual_usd=None)
    do(decisions.retry, task, by="ada")
    assert [claimed.pk for claimed in dispatch.claim("video", 5)] == [take.pk]
    assert sorted(take.ledger.values_list("state", flat=True)) == ["reserved", "written_off"]


def test_cheap_unknown_outcomes_end_with_a_person():
    """A vendor that hangs with every call is not paid for ever."""
    task = advanced(Status.GENERATING_AUDIO, clips=1, assets=2)
    for bought in range(1, 6):
        (take,) = dispatch.claim("voice", 1)
        assert take.attempt == bought
        settling.settle(take, Outcome(trouble=Trouble(Kind.UNKNOWN, "no reply")))
        settling.give_up_asking(take.pk)
    assert fresh(take).state == State.FAILED
    assert fresh(task).status == Status.AUDIO_ERROR
    assert "so you decide" in take.error


def test_cancel_leaves_a_finished_render_to_be_collected():
    task = make_production(Status.GENERATING_VIDEO)
    paid = make_take(task, "clip", 1, state=State.WAITING, ref="job-1", selected=False)
    unpaid = make_take(task, "clip", 2, state=State.WAITING, selected=False)
    decisions.cancel(task, by="ada")
    assert (fresh(paid).state, fresh(unpaid).state) == (State.WAITING, State.CANCELLED)
    assert dispatch.claim("video", 5) == [paid]


def test_pick_after_anothers_yes_asks_again():
    task = make_production(Status.COMPOSITES_READY, channel=make_channel(gates=["composites"]), clips=1, assets=2)
    older = task.takes.of("composite", 1).get()
    make_take(task, "composite", 1, recipe=recipes.needs(task, STAGE["composites"])[0].recipe)
    decisions.approve(task, by="ada")
    decisions.pick(task, older, by="bob")
    assert list(asking.queue(None)) == [task]


def test_callback_between_a_failure_and_its_booking_is_not_forgotten():
    task = advanced(Status.GENERATING_VIDEO, clips=1, assets=2)
    (take,) = dispatch.claim("video", 1)
    assert takes.heard_of(take.token, "job-1") is None
    takes.again_at(take, Trouble(Kind.TRANSIENT, "reply cut"), timezone.now(), counts=True, keep_ref=True)
    assert fresh(take).ref == "job-1"
    assert task.takes.live().count() == 1


def test_callback_for_what_is_written_off_and_in_line_saves_the_second_purchase():
    advanced(Status.GENERATING_AUDIO, clips=1, assets=2)
    (take,) = dispatch.claim("voice", 1)
    settling.settle(take, Outcome(trouble=Trouble(Kind.UNKNOWN, "no reply")))
    settling.give_up_asking(take.pk)
    assert fresh(take).state == State.WAITING
    takes.heard_of(take.token, "job-1")
    assert fresh(take).ref == "job-1"


def test_result_that_can_not_land_fails_its_take(monkeypatch):
    task = advanced(Status.UPLOADING)
    (take,) = dispatch.claim("upload", 1)
    monkeypatch.setattr("publishing.jobs.land", lambda take: 1 // 0)
    settling.settle_surely(take, whole(take))
    assert fresh(take).state == State.FAILED
    assert fresh(task).status == Status.UPLOAD_ERROR
    assert "ZeroDivisionError" in take.error


def test_mended_title_buys_no_new_plan():
    task = make_production(Status.ASSETS_READY, assets=6)
    Task.objects.filter(pk=task.pk).update(title="Typo mended")
    decisions.redo(task, [("image", 3)], by="bob")
    assert list(task.takes.filter(state=State.WAITING).values_list("kind", "position")) == [("image", 3)]


def test_old_yes_to_the_same_content_does_not_shut_the_gate():
    """Approved, sent back, another clip made, the old one picked again: the reviewer can still say yes."""
    task = make_production(Status.VIDEO_READY)
    clip = task.takes.get(kind="clip", position=1)
    decisions.approve(task, by="anna")
    decisions.send_back(fresh(task), "composites", by="anna")
    for verb, stage in [(Verb.START, "composites"), (Verb.FINISH, "composites"), (Verb.START, "video")]:
        lifecycle.move(task := fresh(task), verb, stage=STAGE[stage], by="tests")
    make_take(task, "clip", 1)
    lifecycle.move(fresh(task), Verb.FINISH, stage=STAGE["video"], by="tests")
    decisions.pick(task, clip, by="bob")
    decisions.approve(task, by="bob")
    assert fresh(task).status == Status.VIDEO_APPROVED


def test_error_of_ours_is_said_and_stops_the_stage_once(monkeypatch: pytest.MonkeyPatch):
    def broken(take, beat):
        raise KeyError("id")

    monkeypatch.setattr(publishing.jobs, "upload", broken)
    task = advanced(Status.UPLOADING)
    jobs.work("upload")
    assert fresh(task).status == Status.UPLOAD_ERROR
    assert "KeyError" in task.takes.get(kind="upload").error
    assert Alert.objects.filter(tasks=task).count() == 1


def test_result_that_the_database_refuses_is_trouble_not_a_loop():
    task = advanced(Status.UPLOADING)
    (take,) = dispatch.claim("upload", 1)
    settling.settle_surely(take, Outcome(output=whole(take).output, sha256="x" * 99, size=2))
    assert fresh(task).status == Status.UPLOAD_ERROR
    assert fresh(take).state == State.FAILED
    assert "DataError" in take.error
    assert dispatch.claim("upload", 1) == dispatch.adopt("upload", 1) == []


def test_unknown_purchase_is_not_repeated_by_sending_back():
    task = make_production(Status.VIDEO_ERROR, failed="video")
    first, second = recipes.needs(task, STAGE["video"])
    take = make_take(
        task, "clip", 1, recipe=first.recipe, state=State.FAILED, selected=False, error_kind=Kind.UNKNOWN, attempt=1
    )
    make_take(task, "clip", 2, recipe=second.recipe)
    decisions.send_back(task, "video", by="bob")
    flow.start_waiting(task.channel_id)
    assert (fresh(task).status, fresh(take).state) == (Status.VIDEO_ERROR, State.FAILED)


def test_script_is_started_once_even_by_a_holder_who_overslept(tmp_path: Path, settings):
    settings.SCRIPTS_DIR = tmp_path
    (tmp_path / "pay.py").write_text(f"open({str(tmp_path / 'calls')!r}, 'a').write('paid ')")
    order = Order("pay.py", [], {}, {}, tmp_path / "run", None, 20)
    runner.start(order).report()
    assert runner.start(order).report().code == 0
    assert (tmp_path / "calls").read_text() == "paid "


def test_claim_and_start_do_not_deadlock(transactional_db: None):
    """Both lock their own row and refer to the other's; PostgreSQL checks references at commit."""
    channel = make_channel()
    with transaction.atomic():
        flow.advance(lifecycle.lock(make_production(Status.GENERATING_ASSETS, channel=channel).pk))
    make_task(Status.QUEUED, channel=channel)
    acts = {
        "claimed": lambda: len(dispatch.claim("planning", 4)),
        "started": lambda: flow.start_waiting(channel.pk),
    }
    both_have_acted = threading.Barrier(2)

    def act() -> tuple[str, int]:
        name, deed = acts.popitem()
        with transaction.atomic():
            count = deed()
            both_have_acted.wait(5)
        return name, count

    assert dict(many(2, act)) == {"claimed": 1, "started": 1}


def test_sweep_goes_on_behind_an_item_that_breaks(monkeypatch: pytest.MonkeyPatch):
    def broken(channel_id):
        raise RuntimeError("one channel's own fault")

    task, queued = make_production(Status.GENERATING_VIDEO), make_task(Status.QUEUED)
    lost = {"state": State.UNKNOWN, "due_at": timezone.now(), "error": "lost", "selected": False}
    take = make_take(task, "clip", 1, recipe=recipes.needs(task, STAGE["video"])[0].recipe, **lost)
    make_ledger_entry(take, "0.42", state=LedgerEntry.State.UNKNOWN, actual_usd=None)
    monkeypatch.setattr(flow, "start_waiting", broken)
    assert sweep.tick()
    assert fresh(queued).status == Status.QUEUED
    assert fresh(take).state == State.FAILED
    assert "so you decide" in take.error


def test_callback_during_the_claim_is_kept():
    """The worker is dead and nobody has adopted yet: the job id must not get lost."""
    task = make_production(Status.GENERATING_VIDEO)
    lease = {"token": uuid.uuid4(), "lease_until": timezone.now(), "selected": False}
    take = make_take(task, "clip", 1, state=State.CLAIMED, **lease)
    takes.heard_of(take.token, "job-1")
    assert fresh(take).ref == "job-1"
    settling.settle(take, Outcome(trouble=Trouble(Kind.UNKNOWN, "its process was killed")))
    assert (fresh(take).state, take.ref) == (State.SUBMITTED, "job-1")


def test_failed_render_that_was_billed_is_booked():
    task = make_production(Status.GENERATING_VIDEO)
    take = make_take(task, "clip", 1, state=State.SUBMITTED, ref="job-1", selected=False, attempt=1)
    LedgerEntry.objects.create(
        take=take, attempt=1, channel=task.channel, lane_id="video", state="submitted", intended_usd="0.42"
    )
    settling.heed(fresh(take), {"state": "fail", "kind": "permanent", "message": "no", "usd": 0.42})
    assert (take.ledger.get().state, float(take.ledger.get().actual_usd)) == ("settled", 0.42)


def test_paused_lane_still_collects_what_is_paid_for():
    task = make_production(Status.GENERATING_VIDEO)
    make_take(task, "clip", 1, state=State.WAITING, ref="job-1", selected=False)
    make_take(task, "clip", 2, state=State.WAITING, selected=False)
    Provider.objects.filter(pk="video").update(paused=True)
    assert [take.position for take in dispatch.claim("video", 5)] == [1]


def test_event_of_a_person_beside_our_own_is_read():
    assert reception._author([{"type": "bot"}, {"type": "person"}]) == "person"
    assert reception._author([{"type": "bot"}]) == "bot"
    assert reception._author("junk") == ""


def test_reason_with_a_nul_is_stored_without_it(client):
    client.force_login(make_operator())
    task = make_production(Status.ASSETS_READY)
    words = {"verb": "reject", "reason": "too\x00dark", "seen": review.seen(task)}
    assert client.post(review_of(task), words).status_code == 302
    assert task.changes.last().reason == "toodark"


@pytest.mark.parametrize(
    "prices", [{"image": "abc"}, {"image": "NaN"}, {"image": -1}, {}, [], {"image": "1", "x": "y"}]
)
def test_lane_prices_that_mean_nothing_are_refused(prices):
    lane = Provider.objects.get(pk="images")
    lane.prices = prices
    with pytest.raises(ValidationError):
        lane.full_clean()


def test_killed_script_is_tried_again(scripts: Scripts):
    """The kernel's OOM killer takes the script and leaves the shell around it."""
    scripts.write("create_composite.py", "say('started')\nos.kill(os.getpid(), 9)")
    task = advanced(Status.GENERATING_COMPOSITES, clips=1, assets=2)
    jobs.work("ffmpeg")
    take = task.takes.get(kind="composite")
    assert (take.error_kind, take.attempt) == (Kind.TRANSIENT, most_tries())
