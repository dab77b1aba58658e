"""Whose turn it is, what a lane allows, and where the money ends: claims as `dispatch` makes them."""

import datetime as dt
import socket
from collections import Counter
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from pytest_django import Settings

from channels_app.models import Channel
from production import caps, dispatch, explain, holders, ledger, providers, runner, takes, workspace
from production.models import Cap, LedgerEntry, Meter, Priority, Provider, Take, Tally, Task
from production.stages import Status
from tests.factories import claim, fresh, make_channel, make_take, make_task
from tests.production.begun import advanced, claimed
from tests.production.beside import many

State = Take.State
HOUR = dt.timedelta(hours=1)
IMAGE = Decimal("0.0336")
NOBODY = 4194303  # above any process id that this kernel gives by default
pytestmark = pytest.mark.django_db


def line_up(channel: Channel, count: int, kind: str = "image", priority: int = Priority.NORMAL) -> Task:
    stage = Status.GENERATING_VIDEO if kind == "clip" else Status.GENERATING_ASSETS
    task = make_task(stage, channel=channel, priority=priority)
    for position in range(1, count + 1):
        make_take(task, kind, position, state=State.WAITING)
    return task


def by_channel(found: list[Take]) -> Counter[str]:
    return Counter(take.channel.name for take in found)


def images(**words: object) -> Provider:
    Provider.objects.filter(pk="images").update(**words)
    return Provider.objects.get(pk="images")


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


# ---------------------------------------------------------------- caps


def make_cap(meter: Meter, usd: str, **words: object) -> Cap:
    return Cap.objects.create(meter=meter, usd=Decimal(usd), **words)


@pytest.mark.parametrize("meter", [Meter.VIDEO, Meter.CHANNEL_DAY, Meter.CHANNEL_MONTH, Meter.LANE_DAY])
def test_claim_stops_at_the_cap_and_says_so(meter):
    make_cap(meter, "0.10")  # two images and a bit
    task = line_up(make_channel(), 5)
    assert len(dispatch.claim("images", 5)) == 2
    assert dispatch.claim("images", 5) == []
    blocker = explain.why_take(task.takes.filter(state=State.WAITING).first())
    assert "0.10 USD: 0.07 are spent or set aside" in blocker.reason
    assert (blocker.until is None) == (meter == Meter.VIDEO)
    Cap.objects.update(usd=1)
    assert len(dispatch.claim("images", 5)) == 3


def test_claim_goes_on_with_what_is_under_its_cap():
    poor, rich = make_channel(name="poor"), make_channel(name="rich")
    make_cap(Meter.CHANNEL_DAY, "0.04", channel=poor)
    line_up(poor, 5, priority=Priority.HIGH)
    line_up(rich, 5)
    assert by_channel(dispatch.claim("images", 6)) == {"poor": 1, "rich": 5}


@pytest.mark.parametrize("meter", [Meter.VIDEO, Meter.CHANNEL_DAY, Meter.CHANNEL_MONTH, Meter.LANE_DAY])
def test_claim_looks_at_nobody_whose_cap_is_full(meter, django_assert_max_num_queries):
    """One round is enough, however many wait: also where the cap is below the price and nothing was counted yet."""
    make_cap(meter, "0.01")
    for _ in range(20):
        line_up(make_channel(), 1)
    with django_assert_max_num_queries(9):
        assert dispatch.claim("images", 5) == []


def test_claim_of_the_cheaper_kind_where_the_dearer_one_does_not_fit():
    make_cap(Meter.CHANNEL_DAY, "0.07")
    task = make_task(Status.GENERATING_AUDIO)
    for kind in ("sound", "narration"):
        make_take(task, kind, 1, state=State.WAITING)
    assert [take.kind for take in dispatch.claim("voice", 5)] == ["narration"]


def test_claim_goes_on_with_another_video_of_the_channel():
    make_cap(Meter.VIDEO, "0.04")
    channel = make_channel()
    first, second = line_up(channel, 5), line_up(channel, 5)
    assert [take.task for take in dispatch.claim("images", 9)] == [first, second]
    assert dispatch.claim("images", 9) == []


def test_claim_own_cap_goes_before_the_common_one():
    make_cap(Meter.VIDEO, "0.04")
    channel = make_channel()
    make_cap(Meter.VIDEO, "0.08", channel=channel)
    line_up(channel, 5)
    assert len(dispatch.claim("images", 9)) == 2


def test_claim_free_work_needs_no_cap():
    make_cap(Meter.CHANNEL_DAY, "0")
    line_up(make_channel(), 1, "composite")
    assert len(dispatch.claim("ffmpeg", 1)) == 1


def test_claim_free_work_beside_paid_work_over_its_cap():
    Provider.objects.filter(pk="voice").update(prices={"narration": "0", "sound": "0.10"})
    make_cap(Meter.CHANNEL_DAY, "0.15")
    task = make_task(Status.GENERATING_AUDIO)
    for kind in ("sound", "narration"):
        make_take(task, kind, 1, state=State.WAITING)
    (sound,) = dispatch.claim("voice", 1)
    ledger.settle(sound, Decimal("0.20"))
    assert [take.kind for take in dispatch.claim("voice", 5)] == ["narration"]


def test_settled_costs_make_room_or_take_it():
    make_cap(Meter.CHANNEL_DAY, "0.07")
    line_up(make_channel(), 5)
    first, second = dispatch.claim("images", 5)
    ledger.settle(first, Decimal("0.0010"))
    ledger.release(second, "refused unbilled")
    assert len(dispatch.claim("images", 5)) == 2
    ledger.settle(second, Decimal(5))  # closed already
    assert_tallies_say_what_the_lines_say()


def test_unknown_counts_as_its_upper_bound():
    make_cap(Meter.CHANNEL_DAY, "0.04")
    line_up(make_channel(), 2)
    (take,) = dispatch.claim("images", 5)
    ledger.unknown(take, "its reply was lost")
    assert dispatch.claim("images", 5) == []
    ledger.write_off(take, "for good")
    assert dispatch.claim("images", 5) == []
    assert_tallies_say_what_the_lines_say()


def test_simulated_spending_uses_up_no_real_budget(settings: Settings):
    make_cap(Meter.CHANNEL_DAY, "0.04")
    line_up(make_channel(), 3)
    own = settings.ADDRESSES
    settings.ADDRESSES = own | {"GEMINI_BASE_URL": "http://127.0.0.1:1"}
    assert len(dispatch.claim("images", 5)) == 1
    settings.ADDRESSES = own
    assert len(dispatch.claim("images", 5)) == 1


def test_claim_of_two_lanes_at_once_never_over_a_common_cap(transactional_db):
    """Each lane has its own lock; the channel's tally is where they meet."""
    channel = make_channel()
    make_cap(Meter.CHANNEL_DAY, "1.00")
    line_up(channel, 40)
    clips = line_up(channel, 8, "clip")
    Provider.objects.update(rate_calls=None)
    lanes = iter([*["images"] * 12, *["video"] * 12])
    many(24, lambda: dispatch.claim(next(lanes), 2))
    spent = LedgerEntry.objects.total()
    left = Decimal(1) - spent
    assert left >= 0
    assert left < IMAGE or Take.objects.in_flight().filter(lane="images").count() == 12
    assert clips.takes.filter(state=State.CLAIMED).exists()
    assert_tallies_say_what_the_lines_say()


def test_claim_of_two_lanes_at_once_in_channels_that_fill_up(transactional_db):
    """Who does not fit leaves the turn to others, and no two lanes wait for each other's tallies for ever."""
    for number in range(8):
        channel = make_channel(name=f"channel {number}")
        make_cap(Meter.CHANNEL_DAY, "0.45", channel=channel)
        line_up(channel, 3)
        line_up(channel, 2, "clip")
    Provider.objects.update(rate_calls=None, concurrency=99)
    lanes = iter([*["images"] * 10, *["video"] * 10])
    many(20, lambda: dispatch.claim(next(lanes), 5))
    assert max(LedgerEntry.objects.sums_by("channel").values()) <= Decimal("0.45")
    assert_tallies_say_what_the_lines_say()


def test_claim_puts_back_what_somebody_else_has_locked():
    make_cap(Meter.CHANNEL_DAY, "5")
    task = line_up(make_channel(), 2)
    gone, kept = task.takes.order_by("position")

    def cancelled_meanwhile(*args: object, **beside: object) -> list[Take]:
        Take.objects.filter(pk=gone.pk).update(state=State.CANCELLED)
        return real(*args, **beside)

    real = takes.claim
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(takes, "claim", cancelled_meanwhile)
        assert [take.pk for take in dispatch.claim("images", 2)] == [kept.pk]
    assert_tallies_say_what_the_lines_say()


def assert_tallies_say_what_the_lines_say() -> None:
    """Both ways: each line is in all its tallies, and no tally shows what no line says."""
    expected: Counter[tuple[caps.Key, bool]] = Counter()
    for line in LedgerEntry.objects.select_related("take"):
        keys = caps.keys_of(task=line.take.task_id, channel=line.channel_id, lane=line.lane_id, at=line.at)
        expected.update({(key, line.simulated): line.counts for key in keys})
    tallies = Tally.objects.exclude(meter=Meter.QUOTA).values_list("meter", "key", "since", "simulated", "usd")
    told = {(caps.Key(*row[:3]), row[3]): row[4] for row in tallies}
    assert {key: usd for key, usd in told.items() if usd} == {key: usd for key, usd in expected.items() if usd}


def test_cap_fits_its_meter():
    lane = Provider.objects.get(pk="images")
    for words in ({"meter": Meter.VIDEO, "lane": lane}, {"meter": Meter.LANE_DAY, "channel": make_channel()}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Cap.objects.create(usd=1, **words)


def test_cap_is_said_once_a_place():
    make_cap(Meter.VIDEO, "1")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_cap(Meter.VIDEO, "2")


def test_ends_of_a_month():
    december = dt.datetime(2026, 12, 31, 23, tzinfo=dt.UTC)
    assert caps.ends(Meter.CHANNEL_MONTH, december) == dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
    assert caps.ends(Meter.LANE_DAY, december) == dt.datetime(2027, 1, 1, tzinfo=dt.UTC)


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
