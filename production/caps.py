"""Where spending ends: which caps there are, and what still fits below them. Tallies are written by `ledger` alone."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection
from django.utils import timezone

from channels_app.models import Channel
from production.models import Meter, Provider, Tally, Task
from production.providers import lane_is_simulated
from production.stages import AT_REST

EVER = dt.date(2000, 1, 1)  # since when a video is counted

# The meters by their names, so that one without a cap (NULL) costs nothing and the others are looked up by their day.
# Videos of years are not read with every claim, only those that wait in the lane.
NEAR = """
SELECT meter, key, since, usd, 0
FROM production_tally
WHERE simulated = %(simulated)s AND (
    meter = 'channel_day' AND since = %(today)s AND usd > %(channel_day)s
    OR meter = 'channel_month' AND since = %(month)s AND usd > %(channel_month)s
    OR meter = 'lane_day' AND since = %(today)s AND key = %(lane)s AND usd > %(lane_day)s)
UNION ALL
SELECT meter, key, since, usd, task.channel_id
FROM production_task AS task
JOIN production_tally AS tally ON meter = 'video' AND key = task.id::text AND since = %(ever)s
WHERE simulated = %(simulated)s AND usd > %(video)s AND task.status <> ALL(%(at_rest)s)
    AND EXISTS (SELECT FROM production_take WHERE task_id = task.id AND lane_id = %(lane)s AND state = 'waiting')
"""


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
    with connection.cursor() as cursor:
        cursor.execute("SELECT meter, channel_id, lane_id, usd FROM production_cap")
        every = cursor.fetchall()
    for meter, channel, lane, usd in every:
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
    """What does not fit any more. No query where nothing is capped; two at most, one of them where a cap is below the
    price of a call."""
    prices = {kind: price for kind, usd in lane.prices.items() if (price := Decimal(str(usd)))}

    def held(key: Key, usd: Decimal, channel: int = 0) -> set[str]:
        cap = limits.of(key, channel=channel)
        return {kind for kind, price in prices.items() if cap is not None and usd + price > cap}

    dearest = max(prices.values(), default=Decimal(0))
    found = Full()
    if any(usd < dearest for usd in (*limits.own.values(), *limits.common.values())):  # with no tally yet
        found.kinds = held(current(Meter.LANE_DAY, lane.pk, now), Decimal(0))
        for channel in Channel.objects.values_list("pk", flat=True):
            keys = keys_of(task=0, channel=channel, lane=lane.pk, at=now)
            found.channels[channel] = set[str]().union(*(held(key, Decimal(0), channel) for key in keys))
    for key, usd, channel in _near(lane, limits, now, dearest):
        if key.meter == Meter.LANE_DAY:
            found.kinds |= held(key, usd)
        elif key.meter == Meter.VIDEO:
            found.videos[int(key.key)] = held(key, usd, channel)
        else:
            found.channels[int(key.key)] |= held(key, usd)
    return found


def _near(lane: Provider, limits: Limits, now: dt.datetime, dearest: Decimal) -> Iterator[tuple[Key, Decimal, int]]:
    """The tallies that count now and show so much that the dearest call could go over a cap of theirs; of a video also
    its channel."""
    if not dearest or not (limits.own or limits.common):
        return
    above = {meter: usd - dearest for meter in MONEY if (usd := limits.smallest(meter)) is not None}
    values: dict[str, Any] = {"lane": lane.pk, "simulated": lane_is_simulated(lane.pk), "at_rest": [*AT_REST]}
    values |= {"today": timezone.localdate(now), "month": current(Meter.CHANNEL_MONTH, "", now).since, "ever": EVER}
    with connection.cursor() as cursor:
        cursor.execute(NEAR, values | dict.fromkeys(MONEY) | above)
        rows = cursor.fetchall()
    yield from ((Key(meter, key, since), usd, channel) for meter, key, since, usd, channel in rows)
