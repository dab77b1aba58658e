"""What each vendor is to us: whether its address is its own, what it costs, when to try it again."""

import datetime as dt
import os
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone

from channels_app.models import Channel
from production import budget
from production.errors import Kind, Trouble
from production.models import LedgerEntry, Meter, Provider, Take, Tally
from production.outside import HERE
from production.stages import PIECE, Piece, pieces_in


@dataclass(frozen=True)
class Lane:
    """A provider account's capacity as a new installation begins with it; operators edit the row of that name.

    `prices` are upper bounds in USD a take (November 2026). A lane without `addresses` works on this machine.
    """

    name: str
    concurrency: int | None = None  # None: as many as the machine has cores, on each machine
    addresses: tuple[str, ...] = ()
    prices: Mapping[str, str] = field(default_factory=dict)
    cluster: str = "calls"  # "cpu" where a job may hold its worker for long: a function of ours can't be left alone
    limits: Mapping[str, Any] = field(default_factory=dict)  # what the row begins with besides
    budget: bool = False  # requests are counted in it, not takes: it has a rate and no slots

    @property
    def per_host(self) -> bool:
        """Each machine has these slots for itself; what goes to a vendor shares one account's."""
        return not self.addresses


PACIFIC = {"quota_zone": "America/Los_Angeles"}  # where Google's day ends
LANES = (
    Lane("planning", 4, ("GEMINI_BASE_URL",), {"plan": "0.02"}, "cpu", PACIFIC),
    Lane("images", 12, ("GEMINI_BASE_URL",), {"image": "0.0336"}, limits=PACIFIC),
    # KIE takes 20 new jobs in ten seconds; it has credits instead of a day's quota.
    Lane(
        "video", 8, ("KIE_BASE_URL", "KIE_UPLOAD_URL"), {"clip": "0.42"}, limits={"rate_calls": 20, "rate_seconds": 10}
    ),
    Lane("voice", 6, ("ELEVENLABS_BASE_URL",), {"narration": "0.05", "sound": "0.10"}),
    Lane("ffmpeg", cluster="cpu"),
    Lane("upload", 2, ("YOUTUBE_BASE_URL",), cluster="cpu", limits=PACIFIC | {"daily_quota": 100}),
    # Plans below Business; those have 600. Per connection, so per NOTION_API_KEY.
    Lane(budget.NOTION, addresses=("NOTION_BASE_URL",), limits={"rate_calls": 180, "rate_seconds": 60}, budget=True),
)
# Characters that a provider takes at most (November 2026): Gemini's by its tokens, KIE's and ElevenLabs' as they say.
PROMPT_LIMITS = {"image": 8000, "clip": 2500, "narration": 5000, "sound": 450}
LANE = {lane.name: lane for lane in LANES}
QUOTA_LOOK = dt.timedelta(hours=1)  # at a used-up quota that begins anew at no fixed hour


def open_lanes(**signal: Any) -> None:
    """After every migrate: a row for each lane that has none yet."""
    rows = [
        Provider(name=lane.name, concurrency=lane.concurrency, prices=dict(lane.prices), **lane.limits)
        for lane in LANES
    ]
    Provider.objects.bulk_create(rows, ignore_conflicts=True)


# ---------------------------------------------------------------- whose address it is


def is_own_address(name: str) -> bool:
    """True where the setting `name` points at the vendor itself."""
    return _origin(settings.OWN_ADDRESSES[name]) == _origin(settings.ADDRESSES[name])


def is_stand_in(name: str) -> bool:
    """True only where the setting `name` points at this machine; anything else may be the vendor by another name."""
    return urlsplit(settings.ADDRESSES[name]).hostname in HERE


def _origin(address: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def is_simulated(piece: Piece) -> bool:
    """True where a take of this piece does not come from the vendor itself."""
    return lane_is_simulated(piece.lane)


def lane_is_simulated(lane: str) -> bool:
    return not all(is_own_address(name) for name in LANE[lane].addresses)


def key_of(channel: Channel, name: str) -> str:
    """The secret `name` that work for this channel is done with: its own, else the common one. Errors: ValueError where
    its own can't be decrypted."""
    own = channel.tokens.filter(name=name).first()
    return own.value if own and own.value else str(getattr(settings, name))


# ---------------------------------------------------------------- how much it can do


@dataclass(frozen=True)
class Limit:
    """How many takes a lane may still begin, and what holds it there; `until` when, where that is known."""

    left: int
    reason: str
    until: dt.datetime | None = None


def slots_of(lane: Provider) -> int:
    """Takes in flight at once; of a lane that each machine has for itself, on this one."""
    if lane.concurrency is not None:
        return lane.concurrency
    return (os.cpu_count() or 1) if LANE[lane.pk].per_host else 0


def limits(lane: Provider, now: dt.datetime) -> Iterator[Limit]:
    """What keeps a lane from beginning as many takes as it has slots. At most two queries."""
    if lane.paused:
        yield Limit(0, f"Lane {lane} is paused{f': {lane.pause_reason}' if lane.pause_reason else ''}")
    if slots_of(lane) < 1 and not LANE[lane.pk].budget:
        yield Limit(0, f"Lane {lane} has no slots: raise its concurrency")
    if lane.closed_until and lane.closed_until > now:
        yield Limit(0, f"Lane {lane} has used up its quota: {lane.closed_reason}", lane.closed_until)
    if lane.daily_quota is not None:
        left = lane.daily_quota - calls_today(lane, now)
        yield Limit(left, f"Lane {lane} has made its {lane.daily_quota} calls of the day", quota_reset(lane, now))
    if lane.rate_calls:
        yield _rate(lane, lane.rate_calls, now)


def holds(lane: Provider) -> Limit | None:
    """Why nothing may begin in the lane now."""
    return next((limit for limit in limits(lane, timezone.now()) if limit.left < 1), None)


def _rate(lane: Provider, calls: int, now: dt.datetime) -> Limit:
    window = dt.timedelta(seconds=lane.rate_seconds)
    found = budget.used(lane, now)[::-1][:calls] if LANE[lane.pk].budget else _started(lane, calls, now - window)
    until = found[-1] + window if found else None
    return Limit(calls - len(found), f"Lane {lane} makes {calls} calls in {lane.rate_seconds} s at most", until)


def _started(lane: Provider, most: int, since: dt.datetime) -> list[dt.datetime]:
    """The newest of a lane's calls, counted in the ledger, which knows every paid one; what is free only by its last
    start."""
    paid = any(piece.paid for piece in pieces_in(lane.pk))
    rows, at = (LedgerEntry.objects.filter(lane=lane), "at") if paid else (Take.objects.filter(lane=lane), "started")
    recent = rows.filter(**{f"{at}__gt": since}).order_by(f"-{at}").values_list(at, flat=True)
    return list(recent[:most])


def calls_today(lane: Provider, now: dt.datetime) -> int:
    """Calls since the lane's quota began anew."""
    meter, key, since = quota_key(lane, now)
    rows = Tally.objects.filter(meter=meter, key=key, since=since, simulated=lane_is_simulated(lane.pk))
    return rows.values_list("calls", flat=True).first() or 0


def quota_key(lane: Provider, now: dt.datetime) -> tuple[str, str, dt.date]:
    """The tally of the lane's quota: its day is the provider's."""
    return Meter.QUOTA, lane.pk, now.astimezone(_zone(lane)).date()


def quota_reset(lane: Provider, now: dt.datetime) -> dt.datetime:
    """When a quota that is used up now begins anew, or is worth another look."""
    if not lane.quota_zone:
        return now + QUOTA_LOOK
    tomorrow = now.astimezone(_zone(lane)).date() + dt.timedelta(days=1)
    return dt.datetime.combine(tomorrow, dt.time(), _zone(lane))


def _zone(lane: Provider) -> dt.tzinfo:
    return ZoneInfo(lane.quota_zone) if lane.quota_zone else timezone.get_current_timezone()


# ---------------------------------------------------------------- who works on it, what it costs, when again


def cluster(lane: str) -> str:
    return LANE[lane].cluster


def has_own_key(take: Take) -> bool:
    """Its channel pays with an account of its own."""
    return take.channel.tokens.filter(name__in=take.piece.secrets).exists()


def price(lane: Provider, kind: str) -> Decimal:
    """USD that one take is expected to cost at most; the vendor's reply corrects it. What nobody is paid for has no
    line in the ledger, so it is set aside for nothing, whatever the lane's list says."""
    return Decimal(str(lane.prices.get(kind, "0"))) if PIECE[kind].paid else Decimal(0)


def next_try(trouble: Trouble, tries: int, lane: Provider) -> dt.datetime | None:
    """When to try again after `tries` failures; None: not by itself.

    Transient: 1, 5, 15, 60 minutes with a tenth of jitter (FR28). Quota: the provider's word, else its real reset.
    A `retry_after` of 0 means at once: the vendor has nothing to recover from.
    """
    now = timezone.now()
    if trouble.kind == Kind.QUOTA:
        return now + dt.timedelta(seconds=trouble.retry_after) if trouble.retry_after else quota_reset(lane, now)
    if trouble.kind != Kind.TRANSIENT or tries > len(settings.RETRY_MINUTES):
        return None
    if trouble.retry_after == 0:
        return now
    pause = settings.RETRY_MINUTES[tries - 1] * 60 * random.uniform(0.9, 1.1)  # noqa: S311 - jitter, not a secret
    return now + dt.timedelta(seconds=max(pause, trouble.retry_after or 0))


def most_tries() -> int:
    return len(settings.RETRY_MINUTES) + 1
