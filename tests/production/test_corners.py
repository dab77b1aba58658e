"""What a strict reader found by thinking it through: each was once a way to lose money, work or a message."""

import datetime as dt
from contextlib import nullcontext
from decimal import Decimal

import psutil
import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from production import (
    alerts,
    attempts,
    decisions,
    dispatch,
    flow,
    jobs,
    lifecycle,
    recipes,
    runner,
    sweep,
    transports,
    workspace,
)
from production.attempts import Outcome
from production.errors import Kind, Trouble
from production.models import Alert, Delivery, LedgerEntry, Provider, Take, Task
from production.providers import most_tries
from production.stages import STAGE, Status, Verb
from tests.factories import (
    fresh,
    make_channel,
    make_production,
    make_take,
    make_task,
    media,
    write_output,
)
from tests.production.scripts import Scripts
from tests.rings import rings

pytestmark = pytest.mark.django_db
State = Take.State


def advanced(status: Status, **words: object) -> Task:
    """A production whose stage has planned its takes."""
    task = make_production(status, **words)
    with transaction.atomic():
        flow.advance(lifecycle.lock(task.pk))
    return task


def claimed(lane: str) -> Take:
    (take,) = dispatch.claim(lane, 1)
    return take


# ---------------------------------------------------------------- money


def break_landing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("audio/clip_01.mp3")

    monkeypatch.setattr(workspace, "point_to", refuse)


@pytest.mark.parametrize(("said", "counts"), [(Decimal("0.03"), "0.03"), (None, "0.05")])
def test_take_that_was_paid_but_could_not_be_booked_waits_for_a_person(monkeypatch, said, counts):
    task = advanced(Status.GENERATING_AUDIO, clips=1, assets=2)
    take = claimed("voice")
    break_landing(monkeypatch)
    jobs._settle(take, Outcome(**write_output(take, media(".mp3", 8)), seconds=8.0, usd=said))
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
    jobs._settle(take, Outcome(ref="job-1"))
    assert (fresh(take).state, fresh(take).ref) == (State.SUBMITTED, "job-1")


def _raise(error: Exception) -> None:
    raise error


def test_job_id_that_comes_late_is_kept():
    """A machine that was cut off comes back with it, when another one has given the outcome up as unknown."""
    advanced(Status.GENERATING_VIDEO, clips=1, assets=2)
    late = claimed("video")
    Take.objects.filter(pk=late.pk).update(holder="another:1")
    flow.settle(fresh(late), Outcome(trouble=Trouble(Kind.UNKNOWN, "its machine is lost")))
    flow.settle(late, Outcome(ref="job-1"))
    assert (fresh(late).state, fresh(late).ref) == (State.SUBMITTED, "job-1")


def test_cost_that_comes_late_is_kept():
    advanced(Status.GENERATING_VIDEO, clips=1, assets=2)
    late = claimed("video")
    Take.objects.filter(pk=late.pk).update(holder="another:1")
    flow.settle(fresh(late), Outcome(trouble=Trouble(Kind.UNKNOWN, "its machine is lost")))
    flow.settle(late, Outcome(trouble=Trouble(Kind.REFUSED, "billed all the same"), usd=Decimal("0.02")))
    assert LedgerEntry.objects.get(take=late).counts == Decimal("0.02")


@pytest.mark.parametrize(("price", "holds"), [("0.0336", True), ("0.03365", False), ("1e3", False), ("NaN", False)])
def test_price_has_no_more_decimals_than_the_ledger(price, holds):
    lane = Provider.objects.get(pk="images")
    lane.prices = {"image": price}
    with nullcontext() if holds else pytest.raises(ValidationError, match="4 decimals"):
        lane.clean()


def test_piece_of_a_former_stage_is_not_bought_again():
    task = advanced(Status.GENERATING_AUDIO, clips=1, assets=2)
    take = claimed("voice")
    decisions.cancel(fresh(task), by="ada")
    Task.objects.filter(pk=task.pk).update(topic="Something else altogether")
    decisions.submit(fresh(task), by="ada")
    flow.start_waiting(task.channel_id)
    assert fresh(task).status == Status.GENERATING_ASSETS
    flow.settle(take, Outcome(trouble=Trouble(Kind.TRANSIENT, "503", retry_after=0)))
    assert dispatch.claim("voice", 1) == []


def test_quota_met_while_collecting_is_waited_out():
    task = make_production(Status.GENERATING_VIDEO, clips=1, assets=2)
    make_take(task, "clip", 1, state=State.WAITING, ref="job-1", selected=False, attempt=1)
    take = claimed("video")
    flow.settle(take, Outcome(trouble=Trouble(Kind.QUOTA, "no credits")))
    assert fresh(take).due_at > timezone.now() + dt.timedelta(minutes=1)
    assert (fresh(take).ref, dispatch.claim("video", 1)) == ("job-1", [])


def test_provider_that_is_away_does_not_make_renders_fail(settings):
    task = make_production(Status.GENERATING_VIDEO, clips=1, assets=2)
    old = timezone.now() - 2 * settings.RENDER_LIMIT
    take = make_take(task, "clip", 1, state=State.SUBMITTED, ref="job-1", selected=False, attempt=1, started=old)
    for said in ({}, {"state": "unreachable"}):
        jobs._heed(take, said)
    assert fresh(take).state == State.SUBMITTED
    jobs._heed(take, {"state": "generating"})
    assert fresh(take).state != State.SUBMITTED, "a render that is said to go on has a limit"


# ---------------------------------------------------------------- work


def test_second_yes_to_a_gate_of_the_system_does_not_stop_the_channel(at_once):
    """Approved, made again, approved: two yeses of one stage."""
    channel = make_channel(gates=["composites"], max_concurrent=3)
    task = make_production(Status.COMPOSITES_READY, channel=channel, clips=1, assets=2)
    decisions.approve(task, by="ada")
    decisions.redo(fresh(task), [("composite", 1)], by="ada")
    take = claimed("ffmpeg")
    flow.settle(take, Outcome(**write_output(take, media(".png"))))
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
    monkeypatch.setattr(recipes, "needs", lambda task, stage: 1 // 0 if task.pk == bad.pk else real(task, stage))
    sweep.tick()
    assert fresh(good).status == Status.GENERATING_ASSETS


def test_what_a_vendor_says_can_always_be_written_down():
    advanced(Status.UPLOADING)
    take = claimed("upload")
    jobs._settle(take, Outcome(trouble=Trouble(Kind.PERMANENT, "YouTube said 400: a\x00b\ud800")))
    assert fresh(take).state == State.FAILED


def test_killed_script_is_tried_again(scripts: Scripts):
    """The kernel's OOM killer takes the script and leaves the shell around it."""
    scripts.write("create_composite.py", "say('started')\nos.kill(os.getpid(), 9)")
    task = advanced(Status.GENERATING_COMPOSITES, clips=1, assets=2)
    jobs.work("ffmpeg")
    take = task.takes.get(kind="composite")
    assert (take.error_kind, take.attempt) == (Kind.TRANSIENT, most_tries())


def test_job_that_breaks_leaves_no_pipe_behind(scripts: Scripts):
    scripts.write("create_composite.py", "time.sleep(2)")
    advanced(Status.GENERATING_COMPOSITES, clips=2, assets=2)
    before = psutil.Process().num_fds()

    def away() -> bool:
        raise RuntimeError("the database is away")

    with pytest.raises(RuntimeError):
        list(attempts.carry_out([claimed("ffmpeg")], seconds=5, go_on=away))
    assert psutil.Process().num_fds() == before


def test_call_at_work_hides_no_orphan_behind_it():
    for _ in range(2):
        advanced(Status.UPLOADING)
    at_work, orphan = claimed("upload"), claimed("upload")
    for take, ago in ((at_work, 20), (orphan, 10)):
        Take.objects.filter(pk=take.pk).update(lease_until=timezone.now() - dt.timedelta(seconds=ago))
    folder = workspace.run_folder(at_work)
    folder.mkdir(parents=True)
    with runner.holding(folder):
        assert dispatch.adopt("upload", 1) == [orphan]


def test_lane_is_rung_though_the_clock_was_put_back():
    make_take(make_task(Status.GENERATING_ASSETS), "image", 1, state=State.WAITING)
    Provider.objects.filter(pk="images").update(rung_at=timezone.now() + dt.timedelta(hours=1))
    sweep._ring_lane(Provider.objects.get(pk="images"))
    assert (dispatch.WORK, ("images",)) in rings()


# ---------------------------------------------------------------- messages


def test_second_failure_of_a_task_is_told():
    task = advanced(Status.GENERATING_AUDIO, clips=1, assets=2)
    for _ in range(2):
        flow.settle(claimed("voice"), Outcome(trouble=Trouble(Kind.PERMANENT, "the key is wrong")))
        assert Alert.objects.get().tell_at is not None
        Alert.objects.update(tell_at=None, told=timezone.now() - dt.timedelta(hours=3))
        decisions.retry(fresh(task), by="ada")
        flow.start_waiting(task.channel_id)


def test_alert_that_a_task_has_just_joined_is_not_closed():
    """The sweep had seen it over; before it closes, another task fails of the same cause."""
    first = make_production(Status.AUDIO_ERROR, failed="audio")
    alerts.raise_alarm("x", cause="c", task=first, stage="audio")
    seen = Alert.objects.get()
    lifecycle.move(first, Verb.ADOPT, by="ada", stage=STAGE["audio"])
    second = make_production(Status.AUDIO_ERROR, failed="audio")
    alerts.raise_alarm("x", cause="c", task=second, stage="audio")
    alerts._close_if_over(seen)
    assert Alert.objects.open().get().tasks.count() == 2
    lifecycle.move(second, Verb.ADOPT, by="ada", stage=STAGE["audio"])
    alerts.close_what_is_over()
    assert not Alert.objects.open().exists()


def test_delivery_that_breaks_is_given_up_in_the_end(monkeypatch):
    def send(text: str) -> None:
        raise ValueError("boom")

    monkeypatch.setattr(alerts, "transports", lambda: {"slack": transports.Transport("slack", lambda: "x", send)})
    alert = Alert.objects.create(cause="x", message="x")
    delivery = Delivery.objects.create(alert=alert, transport="slack", level="error", text="x")
    for _ in range(alerts.TRIES):
        Delivery.objects.update(due_at=timezone.now())
        alerts.deliver(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.tries, delivery.due_at) == (alerts.TRIES, None)
    assert "boom" in delivery.trouble
