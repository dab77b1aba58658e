"""Whose turn it is, and what a lane allows: claims as `dispatch` makes them."""

import datetime as dt
import socket

import pytest
from django.utils import timezone
from pytest_django import Settings

from production import dispatch, explain, holders, providers, runner, takes, workspace
from production.models import LedgerEntry, Priority, Provider, Take, Tally, Task
from production.stages import Status
from tests.factories import claim, fresh, make_channel, make_take, make_task
from tests.production.begun import advanced, claimed
from tests.production.lines import by_channel, images, line_up

State = Take.State
HOUR = dt.timedelta(hours=1)
NOBODY = 4194303  # above any process id that this kernel gives by default
pytestmark = pytest.mark.django_db


# ---------------------------------------------------------------- turns


def test_claim_takes_turns_between_channels():
    many_, few = make_channel(name="many"), make_channel(name="few")
    for _ in range(10):
        line_up(many_, 1)
    for _ in range(2):
        line_up(few, 2)
    found = [*(take for _ in range(6) for take in dispatch.claim("images", 1))]
    assert by_channel(found) == {"many": 3, "few": 3}


def test_claim_heeds_the_share():
    line_up(make_channel(name="one"), 9)
    line_up(make_channel(name="two", share=2), 9)
    assert by_channel(dispatch.claim("images", 9)) == {"one": 3, "two": 6}


def test_claim_of_channels_with_as_much_in_flight_the_longest_unserved():
    channels = [make_channel(name=name) for name in "abc"]
    for channel in channels:
        line_up(channel, 3)
    order = []
    for _ in range(6):
        (take,) = dispatch.claim("images", 1)
        order.append(take.channel.name)
        takes.let_go(take)
        Take.objects.filter(pk=take.pk).update(state=State.DONE, slots=0)
    assert order == [*"abcabc"]


def test_claim_high_of_one_channel_leaves_half_to_others():
    images(concurrency=8)
    line_up(make_channel(name="urgent"), 20, priority=Priority.HIGH)
    line_up(make_channel(name="calm"), 20)
    found = dispatch.claim("images", 8)
    assert by_channel(found) == {"urgent": 4, "calm": 4}
    assert [take.channel.name for take in found[:4]] == ["urgent"] * 4


def test_claim_high_has_the_whole_lane_where_nobody_else_waits():
    images(concurrency=8)
    line_up(make_channel(), 20, priority=Priority.HIGH)
    assert len(dispatch.claim("images", 20)) == 8


def test_claim_after_a_change_of_priority():
    channel = make_channel()
    first, second = line_up(channel, 2), line_up(channel, 2)
    Task.objects.filter(pk=second.pk).update(priority=Priority.HIGH)
    assert [take.task_id for take in dispatch.claim("images", 3)] == [second.pk, second.pk, first.pk]


def test_claim_film_waits_for_its_slots_and_is_not_overtaken():
    Provider.objects.filter(pk="ffmpeg").update(concurrency=2)
    channel = make_channel()
    line_up(channel, 1, "composite")
    (composite,) = dispatch.claim("ffmpeg", 1)
    film = make_take(make_task(Status.ASSEMBLING, channel=channel), "film", state=State.WAITING)
    line_up(channel, 3, "composite")
    assert dispatch.claim("ffmpeg", 5) == []
    Take.objects.filter(pk=composite.pk).update(state=State.DONE, slots=0)
    assert [take.pk for take in dispatch.claim("ffmpeg", 5)] == [film.pk]


def test_claim_film_on_a_machine_with_one_core():
    Provider.objects.filter(pk="ffmpeg").update(concurrency=1)
    make_take(make_task(Status.ASSEMBLING), "film", state=State.WAITING)
    assert len(dispatch.claim("ffmpeg", 1)) == 1


def test_claim_slots_of_another_machine_are_not_ours():
    Provider.objects.filter(pk="ffmpeg").update(concurrency=1)
    line_up(make_channel(), 2, "composite")
    dispatch.claim("ffmpeg", 1)
    assert dispatch.claim("ffmpeg", 1) == []
    Take.objects.filter(state=State.CLAIMED).update(host="another")
    assert len(dispatch.claim("ffmpeg", 1)) == 1


def test_claim_to_collect_needs_no_slot():
    Provider.objects.filter(pk="video").update(concurrency=1)
    task = line_up(make_channel(), 2, "clip")
    task.takes.filter(position=2).update(state=State.SUBMITTED, ref="job-2", slots=1, due_at=timezone.now())
    task.takes.filter(position=1).update(ref="job-1", attempt=1)
    assert [take.position for take in dispatch.claim("video", 5)] == [1]


# ---------------------------------------------------------------- what a lane allows


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"paused": True, "pause_reason": "bill"}, "Lane images is paused: bill"),
        ({"concurrency": 0}, "Lane images has no slots: raise its concurrency"),
        ({"concurrency": None}, "Lane images has no slots: raise its concurrency"),
        ({"closed_until": timezone.now() + HOUR, "closed_reason": "credits"}, "has used up its quota: credits"),
        ({"daily_quota": 0}, "Lane images has made its 0 calls of the day"),
    ],
)
def test_claim_nothing_of_a_lane_that_is_held(words, reason):
    images(**words)
    task = line_up(make_channel(), 1)
    assert dispatch.claim("images", 1) == []
    assert reason in explain.why_take(task.takes.get()).reason


def test_claim_goes_on_when_the_closing_has_ended():
    images(closed_until=timezone.now())
    line_up(make_channel(), 1)
    assert len(dispatch.claim("images", 1)) == 1


def test_claim_as_many_as_the_daily_quota_leaves():
    lane = images(daily_quota=5)
    line_up(make_channel(), 9)
    assert [len(dispatch.claim("images", most)) for most in (3, 9, 9)] == [3, 2, 0]
    hold = providers.holds(lane)
    assert hold.until == providers.quota_reset(lane, timezone.now())
    Tally.objects.update(since=dt.date(2026, 1, 1))  # the next day
    assert len(dispatch.claim("images", 9)) == 4


def test_claim_as_many_as_the_rate_leaves():
    lane = images(rate_calls=4, rate_seconds=10)
    line_up(make_channel(), 9)
    assert [len(dispatch.claim("images", most)) for most in (3, 9, 9)] == [3, 1, 0]
    hold = providers.holds(lane)
    assert timezone.now() < hold.until <= timezone.now() + dt.timedelta(seconds=10)
    LedgerEntry.objects.update(at=timezone.now() - dt.timedelta(seconds=11))
    assert len(dispatch.claim("images", 9)) == 4


def test_calls_are_counted_before_a_quota_is_set():
    line_up(make_channel(), 9)
    dispatch.claim("images", 3)
    lane = images(daily_quota=5)
    assert providers.calls_today(lane, timezone.now()) == 3
    assert len(dispatch.claim("images", 9)) == 2


@pytest.mark.parametrize(
    ("words", "reason"), [({"rate_calls": 2}, "makes 2 calls"), ({"daily_quota": 2}, "its 2 calls")]
)
def test_claim_heeds_the_limits_of_what_is_free(words, reason):
    Provider.objects.filter(pk="ffmpeg").update(concurrency=9, **words)
    task = line_up(make_channel(), 3, "composite")
    assert [len(dispatch.claim("ffmpeg", 9)) for _ in range(2)] == [2, 0]
    assert reason in explain.why_take(task.takes.get(state=State.WAITING)).reason


def test_claim_nothing_where_the_disk_is_nearly_full(settings: Settings):
    settings.DISK_RESERVE = 10**18
    task = line_up(make_channel(), 1)
    assert dispatch.claim("images", 1) == []
    assert "disk is nearly full" in str([*explain._why_waiting(task.takes.get())])


# ---------------------------------------------------------------- clocks and dead holders


def test_adopt_after_the_clock_was_put_back(settings: Settings):
    line_up(make_channel(), 1)
    dispatch.claim("images", 1)
    Take.objects.update(lease_until=timezone.now() + 3 * settings.LEASE)
    assert len(dispatch.adopt("images", 1)) == 1


def test_reap_ends_the_leases_of_the_dead_only():
    task = line_up(make_channel(), 2)
    dead, living = task.takes.order_by("position")
    claim(dead, f"{socket.gethostname()}:{NOBODY}")
    claim(living, holders.me())
    dispatch.reap()
    assert fresh(dead).lease_until <= timezone.now()
    assert fresh(living).lease_until > timezone.now()


def test_reap_leaves_what_another_machine_has_taken_over():
    """Its process number means nothing here."""
    take = line_up(make_channel(), 1).takes.get()
    claim(take, f"not-{socket.gethostname()}:{NOBODY}")
    assert fresh(take).host == socket.gethostname()
    dispatch.reap()
    assert fresh(take).lease_until > timezone.now()


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
