"""Turns, limits and caps against a simple model: by themselves, and as claims of many at once on a real database."""

import datetime as dt
from collections import Counter
from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from production import dispatch, ledger
from production.fairness import Candidate, Lane, Standing
from production.models import Cap, LedgerEntry, Meter, Priority, Provider, Take, Tally
from production.stages import Status
from tests.factories import make_channel, make_take, make_task
from tests.production.beside import many

NOW = dt.datetime(2026, 11, 25, tzinfo=dt.UTC)
CHANNELS = 4

candidates = st.lists(
    st.tuples(st.integers(1, CHANNELS), st.sampled_from([*Priority]), st.sampled_from([1, 1, 1, 2])), max_size=30
).map(
    lambda rows: [
        Candidate(number, number, channel, "image", priority, slots)
        for number, (channel, priority, slots) in enumerate(sorted(rows))
    ]
)
standings = st.dictionaries(
    st.integers(1, CHANNELS),
    st.builds(
        lambda share, used, high, age: Standing(share, NOW - dt.timedelta(seconds=age), used, min(used, high)),
        *(st.integers(1, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 99)),
    ),
)


def lane_of(slots: int, found: dict[int, Standing]) -> Lane:
    lane = Lane(slots)
    for channel, standing in found.items():
        lane.standings[channel] = standing
    return lane


@given(candidates, standings, st.integers(0, 12), st.integers(0, 12))
def test_pick_each_is_the_best_that_may_begin(line, found, slots, most):
    lane = lane_of(slots, found)
    waiting = {channel: [c for c in line if c.channel == channel] for channel in range(1, CHANNELS + 1)}
    picks = lane.pick(line, most, NOW)
    for _ in range(most + 1):
        before = {c: (lane.standings[c].used, lane.standings[c].used_high, lane.standings[c].share) for c in waiting}
        free = lane.free
        heads = [queue[0] for queue in waiting.values() if queue]
        picked = next(picks, None)
        if picked is None:
            break
        assert picked in heads
        assert free > 0
        assert picked.slots <= free or free == slots, "only a lane that is empty is given away whole"
        half = max(1, slots // 2)
        within = [h for h in heads if h.priority != Priority.HIGH or before[h.channel][1] + h.slots <= half]
        rivals = within if within and len(heads) > 1 else heads
        assert picked in rivals, "one channel's High work leaves half of the lane to others"
        best = min((h.priority, before[h.channel][0] / before[h.channel][2]) for h in rivals)
        assert (picked.priority, before[picked.channel][0] / before[picked.channel][2]) == best
        waiting[picked.channel].pop(0)


@given(candidates, standings, st.integers(1, 12))
def test_pick_stops_only_where_nothing_more_fits(line, found, slots):
    lane = lane_of(slots, found)
    picked = list(lane.pick(line, len(line), NOW))
    left = [c for c in line if c not in picked]
    assert not left or lane.free < max(c.slots for c in left)


@given(st.lists(st.integers(1, 3), min_size=2, max_size=CHANNELS), st.integers(1, 6))
def test_pick_gives_each_channel_its_share(shares, rounds):
    """Where all have enough in line, slots in use stand to each other as the shares do, to within one."""
    total = sum(shares) * rounds
    lane = lane_of(total, {channel: Standing(share) for channel, share in enumerate(shares, 1)})
    line = [
        Candidate(channel * 1000 + n, n, channel, "image", Priority.NORMAL, 1)
        for channel in range(1, len(shares) + 1)
        for n in range(total)
    ]
    count = Counter(pick.channel for pick in lane.pick(line, total, NOW))
    assert [count[channel] for channel in range(1, len(shares) + 1)] == [share * rounds for share in shares]


class Claims(RuleBasedStateMachine):
    """Three channels, a lane and its caps; claimers come several at once, takes end in every way."""

    @initialize(
        concurrency=st.integers(0, 9), cap=st.sampled_from(["0.05", "0.2", "9"]), video=st.sampled_from(["0.04", "9"])
    )
    def open(self, concurrency: int, cap: str, video: str) -> None:
        self.channels = [make_channel(share=share) for share in (1, 1, 2)]
        self.concurrency = concurrency
        Provider.objects.filter(pk="images").update(concurrency=concurrency)
        for channel in self.channels:
            Cap.objects.create(meter=Meter.CHANNEL_DAY, channel=channel, usd=Decimal(cap))
        Cap.objects.create(meter=Meter.VIDEO, usd=Decimal(video))

    @rule(which=st.integers(0, 2), count=st.integers(1, 5), priority=st.sampled_from([*Priority]))
    def line_up(self, which: int, count: int, priority: Priority) -> None:
        task = make_task(Status.GENERATING_ASSETS, channel=self.channels[which], priority=priority)
        for position in range(1, count + 1):
            make_take(task, "image", position, state=Take.State.WAITING)

    @rule(claimers=st.integers(1, 6), most=st.integers(1, 4))
    def claim(self, claimers: int, most: int) -> None:
        found = [take.pk for claimed in many(claimers, lambda: dispatch.claim("images", most)) for take in claimed]
        assert len(found) == len(set(found))

    @rule(how=st.sampled_from(["settle", "dearer", "release", "unknown"]))
    @transaction.atomic
    def end_one(self, how: str) -> None:
        take = self.mine().filter(state=Take.State.CLAIMED).order_by("pk").first()
        if take is None:
            return
        if how == "release":
            ledger.release(take, "unbilled")
        elif how == "unknown":
            ledger.unknown(take, "lost")
        else:
            ledger.settle(take, Decimal("0.0100") if how == "settle" else None)
        Take.objects.filter(pk=take.pk).update(state=Take.State.CANCELLED, slots=0)

    @invariant()
    def limits_hold(self) -> None:
        if not hasattr(self, "channels"):
            return
        assert self.mine().in_flight().count() <= self.concurrency
        for channel in self.channels:
            spent = LedgerEntry.objects.filter(channel=channel).total()
            assert spent <= channel.caps.get().usd
            tally = Tally.objects.filter(meter=Meter.CHANNEL_DAY, key=str(channel.pk)).first()
            assert (tally.usd if tally else 0) == spent
        video = Cap.objects.get(meter=Meter.VIDEO).usd
        for tally in Tally.objects.filter(meter=Meter.VIDEO):
            assert tally.usd <= video or not self.mine().filter(task_id=int(tally.key)).exists()

    def mine(self):
        return Take.objects.filter(channel__in=self.channels)

    def teardown(self) -> None:
        Take.objects.live().update(state=Take.State.CANCELLED, slots=0)
        Cap.objects.all().delete()


@pytest.mark.usefixtures("transactional_db")
def test_claims_of_many_at_once_keep_every_limit():
    run_state_machine_as_test(
        Claims,
        settings=settings(
            max_examples=8, stateful_step_count=12, deadline=None, suppress_health_check=[*HealthCheck], database=None
        ),
    )
