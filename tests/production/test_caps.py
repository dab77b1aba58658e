"""Where the money ends: what a cap holds, until when, and that no two lanes spend the same dollar."""

import datetime as dt
from collections import Counter
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from pytest_django import Settings

from production import caps, dispatch, explain, ledger, takes
from production.fairness import Candidate
from production.models import Cap, LedgerEntry, Meter, Priority, Provider, Take, Tally, Task
from production.stages import Status
from tests.factories import make_channel, make_take, make_task
from tests.production.beside import many
from tests.production.lines import by_channel, images, line_up

State = Take.State
IMAGE = Decimal("0.0336")
pytestmark = pytest.mark.django_db


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


@pytest.mark.parametrize("meter", caps.MONEY)
@pytest.mark.parametrize(
    ("days", "still"), [(0, {*caps.MONEY}), (1, {Meter.VIDEO, Meter.CHANNEL_MONTH}), (31, {Meter.VIDEO})]
)
def test_full_until_its_meter_begins_anew(meter, days, still):
    lane, noon = images(), dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)
    candidate = in_line(line_up(make_channel(), 1))
    ledger.set_aside([candidate, candidate], lane, noon, caps.limits())
    make_cap(meter, "0.07")  # two images
    full = caps.full(lane, caps.limits(), noon + dt.timedelta(days=days))
    held = full.kinds | full.channels[candidate.channel] | full.videos[candidate.task]
    assert ("image" in held) == (meter in still)
    Cap.objects.update(usd="0.11")
    assert caps.full(lane, caps.limits(), noon + dt.timedelta(days=days)) == caps.Full(), "a third one fits"


def test_full_names_no_video_with_nothing_in_the_lane():
    make_cap(Meter.VIDEO, "0.04")
    lane, task, now = images(), line_up(make_channel(), 1), timezone.now()
    ledger.set_aside([in_line(task)], lane, now, caps.limits())
    assert set(caps.full(lane, caps.limits(), now).videos) == {task.pk}
    task.takes.update(state=State.CANCELLED)
    assert not caps.full(lane, caps.limits(), now).videos


def in_line(task: Task) -> Candidate:
    return Candidate(task.takes.get().pk, task.pk, task.channel_id, "image", Priority.NORMAL, 1)


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
