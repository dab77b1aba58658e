"""Where spending ends: which caps there are, and what still fits below them. Written by `ledger` alone."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from django.db.models import CharField, Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Cast
from django.utils import timezone

from channels_app.models import Channel
from production.models import Cap, Meter, Provider, Take, Tally, Task
from production.providers import lane_is_simulated
from production.stages import AT_REST

EVER = dt.date(2000, 1, 1)  # since when a video is counted


class Key(NamedTuple):
    """Names one tally, of what is real or of what is simulated. They are locked in the order of their keys."""

    meter: str
    key: str
    since: dt.date


MONEY = (Meter.VIDEO, Meter.CHANNEL_DAY, Meter.CHANNEL_MONTH, Meter.LANE_DAY)  # what caps are set on


def keys_of(*, task: int, channel: int, lane: str, at: dt.datetime) -> list[Key]:
    """What a call of that moment is counted in."""
    places = {
        Meter.VIDEO: str(task),
        Meter.CHANNEL_DAY: str(channel),
        Meter.CHANNEL_MONTH: str(channel),
        Meter.LANE_DAY: lane,
    }
    return [current(meter, key, at) for meter, key in places.items()]


def current(meter: str, key: str, now: dt.datetime) -> Key:
    """The tally of that meter which counts now."""
    today = timezone.localdate(now)
    since = {Meter.VIDEO: EVER, Meter.CHANNEL_MONTH: today.replace(day=1)}
    return Key(meter, key, since.get(Meter(meter), today))


def ends(meter: str, now: dt.datetime) -> dt.datetime | None:
    """When the meter begins anew; None for a video, which a person has to decide about."""
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    if meter in (Meter.CHANNEL_DAY, Meter.LANE_DAY):
        return midnight + dt.timedelta(days=1)
    if meter == Meter.CHANNEL_MONTH:
        return (midnight.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
    return None


@dataclass
class Full:
    """Of one lane: the kinds of which no more fit below a cap; by channel and by video those that their own hold."""

    kinds: set[str] = field(default_factory=set)
    channels: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    videos: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))


@dataclass(frozen=True)
class Limits:
    """Every cap, by its place. A channel's or lane's own one goes before the common one."""

    own: dict[tuple[str, str], Decimal]
    common: dict[str, Decimal]

    def of(self, key: Key, *, channel: int) -> Decimal | None:
        """The cap of that tally, USD; None where there is none. A video has the cap of its channel."""
        place = str(channel) if key.meter == Meter.VIDEO else key.key
        return self.own.get((key.meter, place), self.common.get(key.meter))

    def smallest(self, meter: str) -> Decimal | None:
        """The lowest cap of that meter, USD; None where it has none."""
        every = [usd for (of, _), usd in self.own.items() if of == meter]
        return min([*every, self.common[meter]] if meter in self.common else every, default=None)


def limits() -> Limits:
    """One query."""
    own: dict[tuple[str, str], Decimal] = {}
    common: dict[str, Decimal] = {}
    for meter, channel, lane, usd in Cap.objects.order_by().values_list("meter", "channel", "lane", "usd"):
        if channel or lane:
            own[meter, str(channel or lane)] = usd
        else:
            common[meter] = usd
    return Limits(own, common)


def spent(keys: Iterable[Key], *, simulated: bool) -> dict[Key, Decimal]:
    """What these tallies show, USD. One query."""
    wanted = set(keys)
    rows = Tally.objects.filter(simulated=simulated, key__in={key.key for key in wanted}, meter__in=Meter.values)
    found = {Key(*row[:3]): row[3] for row in rows.values_list("meter", "key", "since", "usd")}
    return {key: found.get(key, Decimal(0)) for key in wanted}


class Room(NamedTuple):
    """What one cap leaves, USD, to what would be spent below it."""

    meter: str
    key: str
    cap: Decimal
    left: Decimal
    wanted: Decimal
    until: dt.datetime | None

    @property
    def is_short(self) -> bool:
        return self.wanted > self.left

    @property
    def name(self) -> str:
        """Whose money it is."""
        names = {Meter.VIDEO: "this video", Meter.CHANNEL_DAY: "the channel today"}
        names |= {Meter.CHANNEL_MONTH: "the channel this month", Meter.LANE_DAY: f"lane {self.key} today"}
        return names[Meter(self.meter)]


def rooms(task: Task, by_lane: Mapping[str, Decimal], now: dt.datetime) -> list[Room]:
    """What every cap that counts for these costs leaves, the tightest first. Three queries, one without caps."""
    known, found = limits(), list[Room]()
    for simulated in (False, True):
        wanted: dict[Key, Decimal] = defaultdict(Decimal)
        for lane, usd in by_lane.items():
            if usd and lane_is_simulated(lane) == simulated:
                for key in keys_of(task=task.pk, channel=task.channel_id, lane=lane, at=now):
                    wanted[key] += usd
        caps = {key: cap for key in wanted if (cap := known.of(key, channel=task.channel_id)) is not None}
        shown = spent(caps, simulated=simulated) if caps else {}
        for key, cap in caps.items():
            left = max(cap - shown[key], Decimal(0))
            found.append(Room(key.meter, key.key, cap, left, wanted[key], ends(key.meter, now)))
    return sorted(found, key=lambda room: room.left - room.wanted)


def full(lane: Provider, limits: Limits, now: dt.datetime) -> Full:
    """What does not fit any more. No query where nothing is capped; two at most."""
    prices = {kind: price for kind, usd in lane.prices.items() if (price := Decimal(str(usd)))}

    def held(key: Key, usd: Decimal, channel: int = 0) -> set[str]:
        cap = limits.of(key, channel=channel)
        return {kind for kind, price in prices.items() if cap is not None and usd + price > cap}

    dearest = max(prices.values(), default=Decimal(0))
    found, videos = Full(), dict[int, tuple[Key, Decimal]]()
    if any(usd < dearest for usd in (*limits.own.values(), *limits.common.values())):  # with no tally yet
        found.kinds = held(current(Meter.LANE_DAY, lane.pk, now), Decimal(0))
        for channel in Channel.objects.values_list("pk", flat=True):
            keys = keys_of(task=0, channel=channel, lane=lane.pk, at=now)
            found.channels[channel] = set[str]().union(*(held(key, Decimal(0), channel) for key in keys))
    for key, usd in _near(lane, limits, now, dearest):
        if key.meter == Meter.LANE_DAY:
            found.kinds |= held(key, usd)
        elif key.meter == Meter.VIDEO:
            videos[int(key.key)] = key, usd
        else:
            found.channels[int(key.key)] |= held(key, usd)
    for task, channel in _waiting(lane, videos) if videos else ():
        found.videos[task] = held(*videos[task], channel)
    return found


def _near(lane: Provider, limits: Limits, now: dt.datetime, dearest: Decimal) -> Iterator[tuple[Key, Decimal]]:
    """The tallies that count now and show so much that the dearest call could go over a cap of theirs."""
    near = Q()
    for meter in MONEY:
        smallest = limits.smallest(meter)
        if dearest and smallest is not None:
            near |= Q(meter=meter, since=current(meter, "", now).since, usd__gt=smallest - dearest)
    if near:
        unfinished = Task.objects.exclude(status__in=AT_REST).annotate(key=Cast("pk", CharField())).values("key")
        near &= ~Q(meter=Meter.VIDEO) | Q(key__in=unfinished)  # those of years are not read with every claim
        tallies = Tally.objects.filter(near, simulated=lane_is_simulated(lane.pk))
        of_others = Q(meter=Meter.LANE_DAY) & ~Q(key=lane.pk)
        for of, key, since, usd in tallies.exclude(of_others).values_list("meter", "key", "since", "usd"):
            yield Key(of, key, since), usd


def _waiting(lane: Provider, tasks: Iterable[int]) -> QuerySet[Task, tuple[int, int]]:
    """(task, channel) of those that wait in the lane: a video near its cap may be finished long since."""
    takes = Take.objects.filter(task=OuterRef("pk"), lane=lane, state=Take.State.WAITING)
    found: QuerySet[Task, tuple[int, int]] = Task.objects.filter(Exists(takes), pk__in=list(tasks)).values_list(
        "pk", "channel_id"
    )
    return found
