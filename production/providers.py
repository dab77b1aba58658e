"""What each vendor is to us: whether its address is its own, what it costs, when to try it again."""

import datetime as dt
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone

from production.errors import Kind, Trouble
from production.models import Provider
from production.stages import Piece


@dataclass(frozen=True)
class Lane:
    """A provider account's capacity as a new installation begins with it; operators edit the row of that name.

    `prices` are upper bounds in USD a take (November 2026). A lane without `addresses` works on this machine.
    """

    name: str
    concurrency: int
    addresses: tuple[str, ...] = ()
    prices: Mapping[str, str] = field(default_factory=dict)
    cluster: str = "calls"


LANES = (
    Lane("planning", 4, ("GEMINI_BASE_URL",), {"plan": "0.02"}),
    Lane("images", 12, ("GEMINI_BASE_URL",), {"image": "0.0336"}),
    Lane("video", 8, ("KIE_BASE_URL", "KIE_UPLOAD_URL"), {"clip": "0.42"}),
    Lane("voice", 6, ("ELEVENLABS_BASE_URL",), {"narration": "0.05", "sound": "0.10"}),
    Lane("ffmpeg", os.cpu_count() or 2, cluster="cpu"),
    Lane("upload", 2, ("YOUTUBE_BASE_URL",), cluster="cpu"),
)
LANE = {lane.name: lane for lane in LANES}
PACIFIC = ZoneInfo("America/Los_Angeles")


def open_lanes(**signal: Any) -> None:
    """After every migrate: a row for each lane that has none yet."""
    rows = [Provider(name=lane.name, concurrency=lane.concurrency, prices=dict(lane.prices)) for lane in LANES]
    Provider.objects.bulk_create(rows, ignore_conflicts=True)


def is_own_address(name: str) -> bool:
    """True where the setting `name` points at the vendor itself."""
    return _origin(settings.OWN_ADDRESSES[name]) == _origin(settings.ADDRESSES[name])


def is_stand_in(name: str) -> bool:
    """True only where the setting `name` points at this machine; anything else may be the vendor by another name."""
    return urlsplit(settings.ADDRESSES[name]).hostname in ("127.0.0.1", "::1", "localhost")


def _origin(address: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def is_simulated(piece: Piece) -> bool:
    """True where a take of this piece does not come from the vendor itself."""
    return not all(is_own_address(name) for name in LANE[piece.lane].addresses)


def cluster(lane: str) -> str:
    return LANE[lane].cluster


def price(lane: Provider, kind: str) -> Decimal:
    """USD that one take is expected to cost at most; the vendor's reply corrects it."""
    return Decimal(str(lane.prices.get(kind, "0")))


def next_try(trouble: Trouble, tries: int) -> dt.datetime | None:
    """When to try again after `tries` failures; None: not by itself.

    Transient: 1, 5, 15, 60 minutes with a tenth of jitter (FR28). Quota: the provider's word, else midnight Pacific.
    A `retry_after` of 0 means at once: the vendor has nothing to recover from.
    """
    now = timezone.now()
    if trouble.kind == Kind.QUOTA:
        return now + dt.timedelta(seconds=trouble.retry_after) if trouble.retry_after else _midnight_pacific(now)
    if trouble.kind != Kind.TRANSIENT or tries > len(settings.RETRY_MINUTES):
        return None
    if trouble.retry_after == 0:
        return now
    pause = settings.RETRY_MINUTES[tries - 1] * 60 * random.uniform(0.9, 1.1)  # noqa: S311 - jitter, not a secret
    return now + dt.timedelta(seconds=max(pause, trouble.retry_after or 0))


def most_tries() -> int:
    return len(settings.RETRY_MINUTES) + 1


def _midnight_pacific(now: dt.datetime) -> dt.datetime:
    tomorrow = (now.astimezone(PACIFIC) + dt.timedelta(days=1)).date()
    return dt.datetime.combine(tomorrow, dt.time(), PACIFIC)
