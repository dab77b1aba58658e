"""Tasks move along: stages begin when a slot is free, go on while pieces lack, end once, and stop at gates."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from channels_app.models import Token
from production import decisions, dispatch, flow, jobs, lifecycle, outbox, recipes, settling, sweep, takes, workspace
from production.attempts import Outcome
from production.errors import Kind, Trouble
from production.models import Alert, Approval, Job, LedgerEntry, Provider, Take, Task
from production.stages import STAGE, STAGES, Status
from tests.factories import (
    fresh,
    make_channel,
    make_plan,
    make_plan_takes,
    make_production,
    make_stage,
    make_take,
    make_task,
    media,
    write_output,
)
from tests.production.begun import advanced, claimed
from tests.production.beside import many
from tests.production.scripts import Scripts
from tests.rings import rings

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("at_once")]
State = Take.State
HOUR = dt.timedelta(hours=1)


def running(status: Status = Status.GENERATING_ASSETS, **words: Any) -> Task:
    """A task in a running stage, its pieces planned."""
    task = make_production(status, **words)
    if status == Status.GENERATING_ASSETS:
        make_plan_takes(task)
    flow.advance(task)
    return task


def claim(lane: str = "images") -> Take:
    (take,) = dispatch.claim(lane, 1)
    return take


def settle(take: Take, trouble: Trouble | None = None, **words: Any) -> Take:
    """Settle an attempt as `trouble`, or as done with a file."""
    if not trouble and not words:
        words = write_output(take, b"whole") | {"usd": Decimal("0.02")}
    settling.settle(take, Outcome(trouble=trouble, **words))
    return fresh(take)


# ---------------------------------------------------------------- slots


def test_start_waiting_fills_the_channels_slots_and_no_more():
    channel = make_channel(max_concurrent=2)
    tasks = [make_task(Status.QUEUED, channel=channel) for _ in range(3)]
    assert flow.start_waiting(channel.pk) == 2
    assert flow.start_waiting(channel.pk) == 0
    assert [fresh(task).status for task in tasks] == [Status.GENERATING_ASSETS] * 2 + [Status.QUEUED]


def test_start_waiting_later_stages_and_high_priority_first():
    channel = make_channel(max_concurrent=2)
    late = make_production(Status.AUDIO_APPROVED, channel=channel, priority=3, clips=1, assets=2)
    low, high = (make_task(Status.QUEUED, channel=channel, priority=priority) for priority in (3, 1))
    flow.start_waiting(channel.pk)
    assert fresh(late).status == Status.GENERATING_SFX
    assert fresh(high).status == Status.GENERATING_ASSETS
    assert fresh(low).status == Status.QUEUED


def test_start_waiting_not_for_an_inactive_channel():
    task = make_task(Status.QUEUED, channel=make_channel(active=False))
    assert flow.start_waiting(task.channel_id) == 0


def test_start_waiting_goes_on_with_a_task_that_only_was_claimed():
    task = make_task(Status.CLAIMED, channel=make_channel(max_concurrent=2))
    assert flow.start_waiting(task.channel_id) == 1
    assert fresh(task).status == Status.GENERATING_ASSETS


def test_start_waiting_lets_a_fresh_yes_be_taken_back(settings):
    settings.UNDO = dt.timedelta(seconds=10)
    task = make_production(Status.ASSETS_READY)
    decisions.approve(task, by="Ada")
    assert flow.start_waiting(task.channel_id) == 0
    Approval.objects.update(at=timezone.now() - settings.UNDO)
    assert flow.start_waiting(task.channel_id) == 1


# ---------------------------------------------------------------- stages


def test_advance_plans_only_what_can_be_made_and_rings_its_lane(do):
    task = make_task(Status.GENERATING_ASSETS)
    make_plan(task)
    do(flow.advance, task)
    assert [take.kind for take in task.takes.all()] == ["plan"]
    assert [args for _, args in rings()] == [("planning",)]


def test_advance_a_task_that_runs_nothing_does_nothing():
    task = make_production(Status.ASSETS_READY)
    flow.advance(task)
    assert fresh(task).status == Status.ASSETS_READY


def test_advance_plans_variants_after_their_reference():
    task = make_task(Status.GENERATING_ASSETS)
    make_plan(task)
    hero, variant = task.assets.get(number=1), task.assets.get(number=3)
    variant.reference = hero
    variant.save()
    make_plan_takes(task)
    flow.advance(task)
    assert [take.position for take in task.takes.filter(kind="image")] == [1, 2]
    for _ in range(2):
        settle(claim())
    assert task.takes.get(kind="image", position=3).state == State.WAITING
    settle(claim())
    assert fresh(task).status == Status.ASSETS_READY


def test_settle_the_last_piece_ends_the_stage_once():
    task = running()
    for _ in range(2):
        settle(claim())
        assert fresh(task).status == Status.GENERATING_ASSETS
    settle(claim())
    assert fresh(task).status == Status.ASSETS_READY
    assert task.changes.filter(verb="finish").count() == 1
    assert LedgerEntry.objects.filter(state="settled", actual_usd=Decimal("0.02")).count() == 3


def test_settle_the_last_two_at_once_ends_the_stage_once(transactional_db: None):
    task = running()
    settle(claim())
    last = dispatch.claim("images", 2)
    settled = many(2, lambda: settle(last.pop()))
    assert [take.state for take in settled] == [State.DONE] * 2
    assert fresh(task).status == Status.ASSETS_READY
    assert task.changes.filter(verb="finish").count() == 1


@pytest.mark.parametrize("stage", STAGES[:5], ids=lambda stage: stage.name)
@pytest.mark.parametrize("gated", [True, False], ids=["gate", "no gate"])
def test_finish_stops_at_the_channels_gates_only(do, stage, gated):
    channel = make_channel(gates=[stage.name] if gated else [])
    task = make_production(stage.running, channel=channel, clips=1, assets=2)
    make_stage(task, stage)
    do(flow.advance_by_id, task.pk)
    if gated:
        assert fresh(task).status == stage.review
    else:
        assert fresh(task).status == STAGES[stage.index + 1].running


def test_finish_assembly_waits_for_a_person_whatever_the_channel_says(do):
    task = make_production(Status.ASSEMBLING, channel=make_channel(gates=[]), clips=1, assets=2)
    make_stage(task, STAGE["assembly"])
    do(flow.advance_by_id, task.pk)
    assert fresh(task).status == Status.FINAL_REVIEW


def test_finish_frees_the_slot_for_the_next_task(do):
    task = running(channel=make_channel(max_concurrent=1))
    waiting = make_task(Status.QUEUED, channel=task.channel)
    for _ in range(3):
        do(settle, claim())
    assert (fresh(task).status, fresh(waiting).status) == (Status.ASSETS_READY, Status.GENERATING_ASSETS)


def test_end_with_missing_pieces_is_an_error_in_words():
    task = make_production(Status.GENERATING_VIDEO)
    make_stage(task, STAGE["video"])
    task.takes.filter(kind="composite").update(selected=False)
    flow.advance(task)
    assert fresh(task).status == Status.VIDEO_ERROR
    assert "pieces are missing" in task.changes.last().reason


# ---------------------------------------------------------------- what is made again


def test_changed_prompt_makes_exactly_the_dependent_pieces_again():
    """X6, FR29: a new image 1 means new composites, and nothing else of the stage."""
    task = make_production(Status.GENERATING_ASSETS, clips=2, assets=4)
    make_stage(task, STAGE["assets"])
    task.assets.filter(number=3).update(prompt="A copper kettle")
    flow.advance(task)
    again = task.takes.filter(state=State.WAITING)
    assert [(take.kind, take.position, take.number) for take in again] == [("image", 3, 2)]
    assert "A copper kettle" in again.get().prompt


def test_changed_image_makes_its_composites_again_and_no_narration():
    task = make_production(Status.GENERATING_COMPOSITES, clips=3)
    make_stage(task, STAGE["composites"])
    task.clips.filter(number=3).update(character=task.assets.get(number=3))
    flow.advance(task)
    assert [(t.kind, t.position) for t in task.takes.filter(state=State.WAITING)] == [("composite", 3)]
    make_take(task, "image", 2)  # the environment of every clip
    again = {need.position for need in recipes.needs(task, STAGE["composites"]) if is_stale(task, need)}
    assert again == {1, 2, 3}


def is_stale(task: Task, need: recipes.Need) -> bool:
    take = task.takes.get(kind=need.piece.kind, position=need.position, selected=True)
    return take.fingerprint != need.recipe.fingerprint


def test_changed_voice_leaves_pictures_alone():
    task = make_production(Status.GENERATING_AUDIO)
    make_stage(task, STAGE["audio"])
    task.channel.voice_id = "another"
    for stage in STAGES[:4]:
        stale = [need.piece.kind for need in recipes.needs(task, stage) if is_stale(task, need)]
        assert set(stale) == ({"narration"} if stage.name == "audio" else set())


def test_overruled_take_is_current_although_out_of_date():
    task = make_production(Status.GENERATING_ASSETS)
    make_stage(task, STAGE["assets"])
    takes.overrule(task.takes.get(kind="image", position=1), by="Ada")
    task.assets.filter(number=1).update(prompt="Something else")
    flow.advance(task)
    assert fresh(task).status == Status.ASSETS_READY


def test_failed_take_of_a_piece_that_is_wanted_no_more_breaks_nothing():
    """A new plan may turn a split clip into a composite."""
    task = make_production(Status.GENERATING_COMPOSITES)
    make_stage(task, STAGE["composites"])
    make_take(task, "split", 1, state=State.FAILED, error="no left half")
    flow.advance(task)
    assert fresh(task).status == Status.COMPOSITES_READY


# ---------------------------------------------------------------- attempts


def test_settle_shows_the_take_at_its_place_in_the_workspace():
    task = running()
    take = settle(claim())
    asset = task.assets.get(number=take.position)
    place = workspace.folder(task) / "assets" / f"{asset.kind}s" / f"{asset.key}.png"
    assert place.resolve() == workspace.file_of(take).resolve()
    assert take.sha256
    assert take.size == len(b"whole")
    assert fresh(task).show_at > timezone.now(), "Notion will hear how far it is"


def test_settle_late_leaves_the_booking_to_its_holder():
    task = running()
    take = claim()
    late = Take.objects.get(pk=take.pk)
    takes.adopt(take, "another")
    settling.settle(late, Outcome(trouble=Trouble(Kind.PERMANENT, "late")))
    assert fresh(take).state == State.CLAIMED
    assert not task.changes.filter(is_error=True).exists()
    assert LedgerEntry.objects.get().state == "reserved"


def test_settle_transient_tries_again_five_times_and_then_waits_for_a_person(do):
    task = running()
    for number in range(1, 6):
        take = claim()
        settle(take, Trouble(Kind.TRANSIENT, "no answer"))
        if number < 5:
            assert (take.state, take.tries, take.attempt) == (State.WAITING, number, number)
            Take.objects.filter(pk=take.pk).update(due_at=timezone.now() - HOUR)
        Take.objects.exclude(pk=take.pk).filter(state=State.WAITING).update(due_at=timezone.now() + HOUR)
    assert fresh(take).state == State.FAILED
    assert LedgerEntry.objects.total() == 0
    lines = outbox.error_log(task).splitlines()
    assert len(lines) == 5
    assert "attempt 2 of 5 at" in lines[0]
    assert lines[0].startswith(f"{timezone.now():%Y-%m-%d}")
    assert "no answer (transient)" in lines[4]
    # The stage ends only when what is still live has settled.
    assert fresh(task).status == Status.GENERATING_ASSETS


def test_settle_permanent_ends_in_the_stages_error_with_an_alarm(do):
    task = running()
    first, second, third = dispatch.claim("images", 3)
    settle(first, Trouble(Kind.REFUSED, "no faces"))
    settle(second)
    assert fresh(task).status == Status.GENERATING_ASSETS
    settle(third)
    assert fresh(task).status == Status.ASSET_ERROR
    assert lifecycle.failed_stage(task) == STAGE["assets"]
    assert "1 of 9 pieces failed: image 1: no faces" in Alert.objects.get().message
    assert "It waits for you: retry or redo." in task.changes.last().reason


def test_settle_quota_waits_and_counts_no_try():
    task = running()
    take = settle(claim(), Trouble(Kind.QUOTA, "used up", retry_after=7200))
    assert (take.state, take.tries, take.slots) == (State.WAITING, 0, 0)
    lane = Provider.objects.get(pk="images")
    assert timezone.now() + HOUR < lane.closed_until
    assert (lane.closed_reason, dispatch.claim("images", 9)) == ("used up", [])
    Provider.objects.update(closed_until=None)
    assert take.pk in [again.pk for again in dispatch.claim("images", 9)]
    assert "waits until" in outbox.error_log(task)
    assert fresh(task).status == Status.GENERATING_ASSETS


def test_settle_quota_says_until_when_the_lane_is_really_closed():
    """Two calls were under way: the second one's shorter word undoes nothing, and is not what people read."""
    task = running()
    first, second = dispatch.claim("images", 2)
    settle(first, Trouble(Kind.QUOTA, "used up", retry_after=7200))
    until = Provider.objects.get(pk="images").closed_until
    settle(second, Trouble(Kind.QUOTA, "used up", retry_after=30))
    assert Provider.objects.get(pk="images").closed_until == until
    assert outbox.error_log(task).count(f"waits until {until:%H:%M} UTC") == 2


def test_settle_quota_of_a_channel_with_its_own_account_closes_the_lane_for_nobody():
    task = running()
    Token.objects.create(channel=task.channel, name="GEMINI_API_KEY", value="its own")
    take = settle(claim(), Trouble(Kind.QUOTA, "used up", retry_after=7200))
    assert timezone.now() + HOUR < take.due_at
    assert Provider.objects.get(pk="images").closed_until is None


def test_settle_billed_trouble_is_booked():
    running()
    settle(claim(), Trouble(Kind.PERMANENT, "junk"), usd=Decimal("0.03"))
    assert LedgerEntry.objects.total() == Decimal("0.03")


def test_settle_unknown_below_the_limit_is_written_off_and_made_again():
    task = running()
    take = settle(claim(), Trouble(Kind.UNKNOWN, "its worker was killed"))
    assert take.state == State.UNKNOWN
    settling.give_up_asking(take.pk)
    assert fresh(take).state == State.WAITING
    assert take.ledger.get().state == LedgerEntry.State.WRITTEN_OFF
    assert "0.0336 USD written off, made again now" in outbox.error_log(task)
    Take.objects.exclude(pk=take.pk).update(due_at=timezone.now() + HOUR)
    assert (claim().pk, fresh(take).attempt, take.ledger.count()) == (take.pk, 2, 2)


def test_settle_unknown_above_the_limit_is_for_a_person():
    task = running(Status.GENERATING_VIDEO, clips=1, assets=2)
    take = settle(claim("video"), Trouble(Kind.UNKNOWN, "reply lost"))
    settling.give_up_asking(take.pk)
    assert fresh(take).state == State.UNKNOWN, "the provider may still call back"
    Take.objects.update(due_at=timezone.now())
    settling.give_up_asking(take.pk)
    assert fresh(take).state == State.FAILED
    assert take.ledger.get().state == LedgerEntry.State.UNKNOWN
    assert LedgerEntry.objects.total() == Decimal("0.42")
    assert fresh(task).status == Status.VIDEO_ERROR
    assert "it may have cost 0.4200 USD, so you decide" in outbox.error_log(task)


def test_give_up_asking_a_cancelled_task_buys_nothing():
    task = running()
    take = settle(claim(), Trouble(Kind.UNKNOWN, "killed"))
    decisions.cancel(task, by="Ada")
    settling.give_up_asking(take.pk)
    assert fresh(take).state == State.FAILED
    assert take.ledger.get().state == LedgerEntry.State.UNKNOWN


# ---------------------------------------------------------------- renders


def render(task: Task | None = None) -> Take:
    running(Status.GENERATING_VIDEO, clips=1, assets=2) if task is None else None
    return settle(claim("video"), ref="job-1")


def test_render_is_submitted_asked_collected():
    take = render()
    assert (take.state, take.ref) == (State.SUBMITTED, "job-1")
    assert take.ledger.get().state == LedgerEntry.State.SUBMITTED
    settling.heed(take, {"state": "generating"})
    assert fresh(take).state == State.SUBMITTED
    settling.heed(take, {"state": "success"})
    take = claim("video")
    assert take.ref == "job-1"
    settle(take)
    assert take.ledger.get().state == LedgerEntry.State.SETTLED
    assert fresh(take.task).status == Status.VIDEO_READY


def test_render_that_failed_is_bought_anew_on_retry(do):
    """The dead job is not collected for ever."""
    take = render()
    settling.heed(take, {"state": "fail", "kind": "refused", "message": "a face"})
    assert fresh(take).state == State.FAILED
    assert take.ledger.get().state == LedgerEntry.State.RELEASED
    assert fresh(take.task).status == Status.VIDEO_ERROR
    do(decisions.retry, take.task, by="Ada")
    again = claim("video")
    assert (again.pk, again.ref, again.attempt) == (take.pk, "", 2)


def test_render_that_proves_dead_while_it_is_collected_is_bought_anew():
    """A callback names the job of a lost reply; whoever collects it hears that it has failed."""
    take = render()
    settling.heed(take, {"state": "success"})
    dead = settle(claim("video"), Trouble(Kind.TRANSIENT, "generation failed", retry_after=0), dead_ref=True)
    assert (dead.state, dead.ref, dead.ledger.get().state) == (State.WAITING, "", LedgerEntry.State.RELEASED)
    again = claim("video")
    assert (again.pk, again.attempt, again.ledger.count()) == (take.pk, 2, 2)


def test_render_that_cannot_be_fetched_yet_is_collected_again():
    take = render()
    settling.heed(take, {"state": "success"})
    settle(claim("video"), Trouble(Kind.TRANSIENT, "the download broke off", retry_after=0))
    again = claim("video")
    assert (again.pk, again.ref, again.attempt, again.ledger.count()) == (take.pk, "job-1", 1, 1)


@pytest.mark.parametrize("said", [{"state": "fail", "kind": "x"}, {"state": "fail", "message": None}])
def test_render_failure_in_odd_words_is_permanent(said):
    take = render()
    settling.heed(take, said)
    assert (fresh(take).state, take.error_kind) == (State.FAILED, "permanent")


def test_render_without_end_waits_for_a_person_and_a_retry_asks_once_more(settings):
    take = render()
    Take.objects.update(started=timezone.now() - settings.RENDER_LIMIT - HOUR)
    settling.heed(fresh(take), {"state": "generating"})
    assert fresh(take).state == State.FAILED
    assert "may still bill it" in take.error
    assert take.ledger.get().state == LedgerEntry.State.UNKNOWN
    takes.retry(take)
    assert (fresh(take).state, take.ref) == (State.WAITING, "job-1")


def test_render_that_cannot_be_fetched_keeps_its_job_and_its_cost(do):
    take = render()
    settling.heed(take, {"state": "success"})
    take = settle(claim("video"), Trouble(Kind.TRANSIENT, "download broke"))
    assert (take.state, take.ref, take.tries) == (State.WAITING, "job-1", 1)
    Take.objects.update(due_at=timezone.now())
    take = settle(claim("video"), Trouble(Kind.PERMANENT, "gone"))
    assert (take.state, take.ref) == (State.FAILED, "job-1")
    assert take.ledger.get().state == LedgerEntry.State.SETTLED
    do(decisions.retry, take.task, by="Ada")
    again = claim("video")
    assert (again.ref, again.attempt) == ("job-1", 1)


# ---------------------------------------------------------------- cancelled and begun again


def test_cancel_buys_nothing_more(do):
    task = running()
    take = claim()
    do(decisions.cancel, task, by="Ada")
    settle(take, Trouble(Kind.TRANSIENT, "no answer"))
    assert dispatch.claim("images", 9) == []
    assert fresh(task).status == Status.DRAFT
    assert not task.takes.live().exists()


def test_cancel_keeps_what_comes_in_later(do):
    task = running()
    take = claim()
    do(decisions.cancel, task, by="Ada")
    settle(take)
    assert (take.state, take.selected) == (State.DONE, True)
    assert fresh(task).status == Status.DRAFT
    do(decisions.submit, task, by="Ada")
    left = task.takes.filter(kind="image", state=State.WAITING)
    assert left.count() == 2
    assert not left.filter(position=take.position).exists()


def fail(do) -> Task:
    task = running()
    settle(claim(), Trouble(Kind.PERMANENT, "no answer"))
    for _ in range(2):
        settle(claim())
    assert fresh(task).status == Status.ASSET_ERROR
    return task


def test_submit_after_a_cancelled_error_tries_again_what_failed(do):
    task = fail(do)
    do(decisions.cancel, task, by="Ada")
    do(decisions.submit, task, by="Ada")
    assert fresh(task).status == Status.GENERATING_ASSETS
    take = claim()
    assert (take.position, take.number, take.attempt) == (1, 1, 2)


def test_submit_after_a_change_replaces_what_failed(do):
    task = fail(do)
    do(decisions.cancel, task, by="Ada")
    task.assets.filter(number=1).update(prompt="Another lantern")
    do(decisions.submit, task, by="Ada")
    take = claim()
    assert (take.position, take.number, take.attempt) == (1, 2, 1)
    assert "Another lantern" in take.prompt


def test_send_back_tries_again_what_failed(do):
    task = make_production(Status.GENERATING_SFX, clips=1, assets=2)
    flow.advance(task)
    settle(claim("voice"), Trouble(Kind.PERMANENT, "no answer"))
    assert fresh(task).status == Status.AUDIO_ERROR
    do(decisions.send_back, task, "audio", by="Ada")
    assert fresh(task).status == Status.AUDIO_READY
    do(decisions.approve, task, by="Ada")
    assert fresh(task).status == Status.GENERATING_SFX
    assert claim("voice").kind == "sound"


# ---------------------------------------------------------------- jobs


def test_work_carries_out_a_lane_and_rings_again(do, scripts: Scripts):
    task = running()
    scripts.write("generate_asset.py", "finish()\nsay('cost', usd=0.03)")
    Job.objects.all().delete()
    do(jobs.work, "images")
    assert fresh(task).status == Status.ASSETS_READY
    assert [args for _, args in rings()] == [("images",)]
    assert LedgerEntry.objects.total() == Decimal("0.09")


def test_work_of_a_script_that_prints_nul_ends_in_words(do, scripts: Scripts):
    task = running()
    scripts.write("generate_asset.py", "say('started')\nsys.exit('bad\\0bytes')")
    do(jobs.work, "images")
    assert fresh(task).status == Status.ASSET_ERROR
    assert "badbytes" in outbox.error_log(task)


def test_work_takes_over_orphans_first_and_leaves_more_to_others(do, scripts: Scripts, settings):
    settings.BATCH = 1
    running()
    scripts.write("generate_asset.py", "finish()")
    orphan = claim()
    Take.objects.filter(pk=orphan.pk).update(lease_until=timezone.now(), holder="dead")
    Job.objects.all().delete()
    do(jobs.work, "images")
    assert fresh(orphan).state == State.DONE
    assert len(rings()) == 2, "before it begins, for others; when it has ended, for what became possible"


def test_work_with_nothing_to_do_is_quiet(do):
    do(jobs.work, "images")
    assert not rings()


def test_ask_collects_what_is_ready(do, scripts: Scripts):
    take = render()
    scripts.write("generate_video.py", "say('state', ref='job-1', state='success')")
    Take.objects.update(due_at=timezone.now())
    Job.objects.all().delete()
    do(jobs.ask, "video")
    assert rings() == [(dispatch.WORK, ("video",))]
    collecting = claim("video")
    assert (collecting.pk, collecting.ref, collecting.attempt) == (take.pk, "job-1", 1)


def test_settle_in_jobs_survives_a_stale_take():
    take = render()
    late = Take.objects.get(pk=take.pk)
    late.holder = "somebody"
    settling.settle_surely(late, Outcome(ref="job-2"))
    assert fresh(take).ref == "job-1"


# ---------------------------------------------------------------- a yes binds to the content


def test_start_words_changed_after_the_final_yes_are_shown_again(settings):
    settings.UNDO = dt.timedelta(minutes=1)
    task = make_production(Status.FINAL_REVIEW, clips=1)
    decisions.approve(task, by="Ada")
    Task.objects.filter(pk=task.pk).update(privacy="public")
    settings.UNDO = dt.timedelta(0)
    flow.start_waiting(task.channel_id)
    assert fresh(task).status == Status.FINAL_REVIEW
    assert task.changes.filter(before=Status.APPROVED, after=Status.SFX_READY).exists()
    assert not task.takes.filter(kind="upload").exists()


def break_landing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("audio/clip_01.mp3")

    monkeypatch.setattr(workspace, "point_to", refuse)


@pytest.mark.parametrize(("said", "counts"), [(Decimal("0.03"), "0.03"), (None, "0.05")])
def test_take_that_was_paid_but_could_not_be_booked_waits_for_a_person(monkeypatch, said, counts):
    task = advanced(Status.GENERATING_AUDIO, clips=1, assets=2)
    take = claimed("voice")
    break_landing(monkeypatch)
    settling.settle_surely(take, Outcome(**write_output(take, media(".mp3", 8)), seconds=8.0, usd=said))
    assert (fresh(take).state, fresh(take).error_kind) == (State.FAILED, Kind.PERMANENT)
    assert (take.ledger.get().state, take.ledger.get().counts) == (LedgerEntry.State.SETTLED, Decimal(counts))
    assert fresh(task).status == Status.AUDIO_ERROR
    assert dispatch.claim("voice", 1) == []


def test_submission_that_could_not_be_booked_keeps_its_job_id(monkeypatch):
    advanced(Status.GENERATING_VIDEO, clips=1, assets=2)
    take = claimed("video")
    broken = iter([RuntimeError("no")])
    real = flow.advance
    monkeypatch.setattr(flow, "advance", lambda task: real(task) if not (e := next(broken, None)) else _raise(e))
    settling.settle_surely(take, Outcome(ref="job-1"))
    assert (fresh(take).state, fresh(take).ref) == (State.SUBMITTED, "job-1")


def _raise(error: Exception) -> None:
    raise error


def test_job_id_that_comes_late_is_kept():
    """A machine that was cut off comes back with it, when another one has given the outcome up as unknown."""
    advanced(Status.GENERATING_VIDEO, clips=1, assets=2)
    late = claimed("video")
    Take.objects.filter(pk=late.pk).update(holder="another:1")
    settling.settle(fresh(late), Outcome(trouble=Trouble(Kind.UNKNOWN, "its machine is lost")))
    settling.settle(late, Outcome(ref="job-1"))
    assert (fresh(late).state, fresh(late).ref) == (State.SUBMITTED, "job-1")


def test_cost_that_comes_late_is_kept():
    advanced(Status.GENERATING_VIDEO, clips=1, assets=2)
    late = claimed("video")
    Take.objects.filter(pk=late.pk).update(holder="another:1")
    settling.settle(fresh(late), Outcome(trouble=Trouble(Kind.UNKNOWN, "its machine is lost")))
    settling.settle(late, Outcome(trouble=Trouble(Kind.REFUSED, "billed all the same"), usd=Decimal("0.02")))
    assert LedgerEntry.objects.get(take=late).counts == Decimal("0.02")


def test_piece_of_a_former_stage_is_not_bought_again():
    task = advanced(Status.GENERATING_AUDIO, clips=1, assets=2)
    take = claimed("voice")
    decisions.cancel(fresh(task), by="ada")
    Task.objects.filter(pk=task.pk).update(topic="Something else altogether")
    decisions.submit(fresh(task), by="ada")
    flow.start_waiting(task.channel_id)
    assert fresh(task).status == Status.GENERATING_ASSETS
    settling.settle(take, Outcome(trouble=Trouble(Kind.TRANSIENT, "503", retry_after=0)))
    assert dispatch.claim("voice", 1) == []


def test_quota_met_while_collecting_is_waited_out():
    task = make_production(Status.GENERATING_VIDEO, clips=1, assets=2)
    make_take(task, "clip", 1, state=State.WAITING, ref="job-1", selected=False, attempt=1)
    take = claimed("video")
    settling.settle(take, Outcome(trouble=Trouble(Kind.QUOTA, "no credits")))
    assert fresh(take).due_at > timezone.now() + dt.timedelta(minutes=1)
    assert (fresh(take).ref, dispatch.claim("video", 1)) == ("job-1", [])


def test_provider_that_is_away_does_not_make_renders_fail(settings):
    task = make_production(Status.GENERATING_VIDEO, clips=1, assets=2)
    old = timezone.now() - 2 * settings.RENDER_LIMIT
    take = make_take(task, "clip", 1, state=State.SUBMITTED, ref="job-1", selected=False, attempt=1, started=old)
    for said in ({}, {"state": "unreachable"}):
        settling.heed(take, said)
    assert fresh(take).state == State.SUBMITTED
    assert fresh(take).slots == 0, "it keeps nobody from the lane"
    settling.heed(take, {"state": "generating"})
    assert fresh(take).state != State.SUBMITTED, "a render that is said to go on has a limit"


def test_second_yes_to_a_gate_of_the_system_does_not_stop_the_channel(at_once):
    """Approved, made again, approved: two yeses of one stage."""
    channel = make_channel(gates=["composites"], max_concurrent=3)
    task = make_production(Status.COMPOSITES_READY, channel=channel, clips=1, assets=2)
    decisions.approve(task, by="ada")
    decisions.redo(fresh(task), [("composite", 1)], by="ada")
    take = claimed("ffmpeg")
    settling.settle(take, Outcome(**write_output(take, media(".png"))))
    decisions.approve(fresh(task), by="ada")
    assert task.approvals.filter(stage="composites").count() == 2
    other = make_task(Status.QUEUED, channel=channel)
    flow.start_waiting(channel.pk)
    assert fresh(task).status == Status.GENERATING_VIDEO
    assert fresh(other).status == Status.GENERATING_ASSETS


def test_task_that_cannot_start_does_not_stop_its_channel(monkeypatch, at_once):
    channel = make_channel(max_concurrent=3)
    bad = make_production(Status.ASSETS_APPROVED, channel=channel, clips=1, assets=2)
    good = make_task(Status.QUEUED, channel=channel)
    real = recipes.needs
    monkeypatch.setattr(recipes, "needs", lambda task, *about: 1 // 0 if task.pk == bad.pk else real(task, *about))
    sweep.tick()
    assert fresh(good).status == Status.GENERATING_ASSETS


def test_what_a_vendor_says_can_always_be_written_down():
    advanced(Status.UPLOADING)
    take = claimed("upload")
    settling.settle_surely(take, Outcome(trouble=Trouble(Kind.PERMANENT, "YouTube said 400: a\x00b\ud800")))
    assert fresh(take).state == State.FAILED
