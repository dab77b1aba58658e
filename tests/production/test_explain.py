"""Why isn't it running? Each blocker by its name, and until when."""

import datetime as dt
import socket

import pytest
from django.utils import timezone
from pytest_django import Settings

from production import decisions, explain, flow, lifecycle, sweep, takes, usual
from production.models import Alert, Heartbeat, Priority, Provider, StatusChange, Take, Task, UsualTime
from production.stages import STAGE, Status, Verb
from tests.factories import claim, fresh, make_channel, make_production, make_take, make_task

State = Take.State
HOUR = dt.timedelta(hours=1)
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def workers() -> None:
    for cluster in ("calls", "cpu"):
        Heartbeat.objects.create(name=f"host:{cluster}", cluster=cluster)


def why(task: Task) -> str:
    return explain.why(fresh(task)).reason


# ---------------------------------------------------------------- a task


@pytest.mark.parametrize(
    ("status", "reason", "who"),
    [
        (Status.DRAFT, "It is a draft: set its row in Notion to Queued", "you"),
        (Status.PUBLISHED, "Nothing: it is published", "system"),
        (Status.ASSETS_READY, "Assets: a yes is needed", "you"),
        (Status.QUEUED, "Nothing: it starts with the next round of the sweep", "system"),
    ],
)
def test_why_of_a_task(status, reason, who):
    blocker = explain.why(make_task(status))
    assert (blocker.reason, blocker.who) == (reason, who)


def test_why_of_a_failed_task():
    task = make_task(Status.GENERATING_VIDEO)
    flow.fail(task, STAGE["video"], "The credits are used up", cause="credits")
    lifecycle.note(task, "“Queued” was set in Notion and is put back")
    assert why(task) == "It failed: The credits are used up. It waits for you: retry or redo."


def test_why_of_a_rejected_task():
    task = make_production(Status.VIDEO_READY)
    decisions.reject(task, by="olga", reason="Too dark")
    assert why(task) == "It waits for you: Too dark"


def test_why_without_a_free_slot():
    channel = make_channel(name="Bees", max_concurrent=1)
    make_task(Status.GENERATING_ASSETS, channel=channel)
    first, second = make_task(Status.QUEUED, channel=channel), make_task(Status.QUEUED, channel=channel)
    assert why(first) == "All 1 slots of channel Bees are taken"
    assert why(second) == "All 1 slots of channel Bees are taken; 1 tasks are before it"


def test_why_of_a_fresh_yes(settings: Settings):
    settings.UNDO = HOUR
    task = make_production(Status.ASSETS_READY)
    decisions.approve(task, by="ada")
    blocker = explain.why(fresh(task))
    assert blocker.reason == "The yes of ada may still be taken back"
    assert timezone.now() < blocker.until <= timezone.now() + HOUR


def test_why_without_a_worker():
    Heartbeat.objects.all().delete()
    assert why(make_task(Status.QUEUED)) == "No worker is alive: run manage.py worker"


def test_why_of_a_running_task_is_that_of_its_takes():
    task = make_task(Status.GENERATING_ASSETS)
    assert why(task) == "Nothing: the stage ends with the next round of the sweep"
    first, _ = (make_take(task, "image", position, state=State.WAITING) for position in (1, 2))
    assert why(task) == "Nothing: image 1 is claimed with the lane's next ring"
    claim(first)
    assert why(task) == "image 1 is being made by here:1; 1 more wait"


# ---------------------------------------------------------------- a take


def test_why_take_by_its_state():
    task = make_task(Status.GENERATING_VIDEO)
    take = claim(make_take(task, "clip", 1, state=State.WAITING))
    takes.submitted(take, "job-1")
    blocker = explain.why_take(take)
    assert (blocker.reason, blocker.who) == ("clip 1 is rendered by the provider, job job-1; asked again", "provider")
    assert blocker.until == take.due_at
    unknown = make_take(task, "clip", 2, state=State.UNKNOWN, error="no reply")
    assert explain.why_take(unknown).reason == "Whether clip 2 was bought is unknown: no reply"
    assert explain.why_take(make_take(task, "clip", 3)).reason == "Nothing: clip 3 is done"


def test_why_take_in_its_back_off():
    until = timezone.now() + HOUR
    take = make_take(make_task(Status.GENERATING_ASSETS), "image", 1, state=State.WAITING, due_at=until, error="503")
    assert explain.why_take(take) == explain.Blocker("image 1: 503; tried again", until)


def test_why_take_of_a_channel_that_is_switched_off():
    task = make_task(Status.GENERATING_ASSETS, channel=make_channel(name="Bees", active=False))
    take = make_take(task, "image", 1, state=State.WAITING)
    assert explain.why_take(take).reason == "Channel Bees is switched off: nothing new starts"


def test_why_take_to_collect_minds_no_closed_lane():
    Provider.objects.update(paused=True)
    take = make_take(make_task(Status.GENERATING_VIDEO), "clip", 1, state=State.WAITING, ref="job-1")
    assert explain.why_take(take).reason == "Nothing: clip 1 is claimed with the lane's next ring"


def test_why_take_in_a_full_lane():
    Provider.objects.filter(pk="images").update(concurrency=1)
    task = make_task(Status.GENERATING_ASSETS)
    claim(make_take(task, "image", 1, state=State.WAITING))
    second = make_take(task, "image", 2, state=State.WAITING)
    second.lane.refresh_from_db()
    assert explain.why_take(second).reason == "Lane images is full: 1 of 1 slots; 1 takes are in line"


def test_why_take_of_a_lane_that_each_machine_has_for_itself():
    """Full is only what is full everywhere."""
    Provider.objects.filter(pk="ffmpeg").update(concurrency=1)
    task = make_task(Status.GENERATING_COMPOSITES)
    claim(make_take(task, "composite", 1, state=State.WAITING))
    waiting = make_take(task, "composite", 2, state=State.WAITING)
    waiting.lane.refresh_from_db()
    Heartbeat.objects.filter(cluster="cpu").update(name=f"{socket.gethostname()}:2")
    assert explain.why_take(waiting).reason.startswith("Lane ffmpeg is full: 1 of 1 slots")
    Heartbeat.objects.create(name="idle:1", cluster="cpu")
    assert explain.why_take(waiting).reason.startswith("Nothing")


def test_why_take_beyond_the_half_of_high_work():
    Provider.objects.filter(pk="images").update(concurrency=2)
    first = make_task(Status.GENERATING_ASSETS, channel=make_channel(name="Bees"), priority=Priority.HIGH)
    claim(make_take(first, "image", 1, state=State.WAITING))
    high = make_take(first, "image", 2, state=State.WAITING)
    high.lane.refresh_from_db()
    assert explain.why_take(high).reason.startswith("Nothing"), "nobody else waits"
    make_take(make_task(Status.GENERATING_ASSETS), "image", 1, state=State.WAITING)
    assert explain.why_take(high).reason == (
        "Channel Bees's High work has its half of lane images: 1 of 2 slots; other channels wait for the rest"
    )


def test_why_take_without_a_worker_of_its_cluster():
    Heartbeat.objects.filter(cluster="cpu").delete()
    take = make_take(make_task(Status.GENERATING_COMPOSITES), "composite", 1, state=State.WAITING)
    assert explain.why_take(take).reason == "No worker is alive: run manage.py worker --cluster cpu"


# ---------------------------------------------------------------- stuck


def pass_stage(minutes: float) -> None:
    """A task that has been in Generating Assets for so long."""
    task = make_task(Status.GENERATING_ASSETS)
    now = timezone.now()
    task.changes.filter(verb=Verb.START).update(at=now - dt.timedelta(minutes=minutes))
    lifecycle.move(task, Verb.FINISH, by="tests", stage=STAGE["assets"])


def test_learn_the_median_of_each_stage():
    for minutes in (1, 8, 10, 12, 500):
        pass_stage(minutes)
    usual.learn()
    learned = UsualTime.objects.get()
    assert (learned.stage, learned.sample, round(learned.seconds)) == ("assets", 5, 600)
    assert usual.limits() == {"assets": pytest.approx(dt.timedelta(minutes=30), abs=dt.timedelta(seconds=5))}


def test_learn_nothing_from_a_few():
    pass_stage(5)
    usual.learn()
    assert not UsualTime.objects.exists()
    assert usual.newly_stuck() == []


def test_tick_flags_a_stuck_task_once_until_it_moves():
    UsualTime.objects.create(stage="assets", seconds=600, sample=9, learned=timezone.now())
    task, quick = make_task(Status.GENERATING_ASSETS), make_task(Status.GENERATING_ASSETS)
    for each in (task, quick):
        make_take(each, "image", 1, state=State.WAITING)
    Task.objects.filter(pk=task.pk).update(status_since=timezone.now() - HOUR)
    sweep.tick()
    sweep.tick()
    assert fresh(task).stuck_since
    assert fresh(quick).stuck_since is None
    assert "is stuck in Generating Assets" in Alert.objects.get().message
    lifecycle.move(fresh(task), Verb.FAIL, by="tests", stage=STAGE["assets"])
    assert fresh(task).stuck_since is None
    assert StatusChange.objects.filter(task=task, verb=Verb.FAIL).exists()
