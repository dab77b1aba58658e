"""Where spending ends: which caps there are, and what still fits below them. Written by `ledger` alone."""

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from django.db.models import Q
from django.utils import timezone

from production.models import Cap, Meter, Provider, Tally

EVER = dt.date(2000, 1, 1)  # since when a video is counted


class Key(NamedTuple):
    """Names one tally, of what is real or of what is simulated. They are locked in the order of their keys."""

    meter: str
    key: str
    since: dt.date


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


@dataclass(frozen=True)
class Limits:
    """Every cap, by its place. A channel's or lane's own one goes before the common one."""

    own: dict[tuple[str, str], Decimal]
    common: dict[str, Decimal]

    def of(self, key: Key, *, channel: int) -> Decimal | None:
        """The cap of that tally, USD; None where there is none. A video has the cap of its channel."""
        place = str(channel) if key.meter == Meter.VIDEO else key.key
        return self.own.get((key.meter, place), self.common.get(key.meter))


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


def full(lane: Provider, limits: Limits, now: dt.datetime, *, simulated: bool) -> Iterator[tuple[Key, str]]:
    """(tally, kind) of what does not fit any more, of this lane or of a channel. Videos are looked at one by one by
    the claim itself: there are too many of them."""
    today = timezone.localdate(now)
    here = Q(meter=Meter.LANE_DAY, key=lane.pk, since=today)
    channels = Q(meter=Meter.CHANNEL_DAY, since=today) | Q(meter=Meter.CHANNEL_MONTH, since=today.replace(day=1))
    smallest = min((*limits.own.values(), *limits.common.values()), default=None)
    prices = {kind: Decimal(str(usd)) for kind, usd in lane.prices.items()}
    if smallest is None or not prices:
        return
    near = Tally.objects.filter(here | channels, simulated=simulated, usd__gt=smallest - max(prices.values()))
    for row in near.values_list("meter", "key", "since", "usd"):
        key = Key(*row[:3])
        cap = limits.own.get((key.meter, key.key), limits.common.get(key.meter))
        yield from ((key, kind) for kind, usd in prices.items() if cap is not None and row[3] + usd > cap)
