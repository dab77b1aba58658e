"""One budget of requests over all processes and machines: who may ask Notion now, and who waits.

Notion counts a connection's requests in a window of a minute. So do we, exactly: the moments of the last minute stand
in one row (`Window`), which is locked for as long as it takes to count one more in, never across the request itself.
"""

import datetime as dt
from enum import Enum

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from production.errors import Kind, Trouble
from production.models import Provider, Window

log = structlog.get_logger(__name__)
NOTION = "notion"
PAUSED_LOOK = 60.0  # seconds at a budget that a person has paused or set to nothing
UNLIMITED = 1000  # as good as that: nobody rings for more at once
UNSAID = 15.0  # seconds a vendor that is overloaded gets, where it names no time


class Use(Enum):
    """What a request is for; the value is the share of the budget that this use and those before it may fill, in
    percent. What is left above it is kept for those before it."""

    READ = 100  # a creator waits for an answer
    STATUS = 90
    PROGRESS = 65
    FILES = 45


class OverBudgetError(Trouble):
    """Not asked at all; `retry_after` seconds from now, at `until`, there may be room. Nothing has failed."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(Kind.TRANSIENT, message, retry_after=retry_after)
        self.until = timezone.now() + dt.timedelta(seconds=retry_after)


def spend(use: Use, lane: str = NOTION) -> None:
    """Count one request in, just before it is made. Errors: OverBudgetError.

    A transaction of its own: inside another one its row would stay locked, and everybody's requests with it.
    """
    Window.objects.get_or_create(lane_id=lane)
    with transaction.atomic(durable=True):
        window = Window.objects.select_for_update(no_key=True).get(pk=lane)
        now = timezone.now()
        provider = Provider.objects.get(pk=lane)
        _refuse_where_closed(provider, now)
        if not provider.rate_calls:
            return
        span = dt.timedelta(seconds=provider.rate_seconds)
        recent = _within(window.requests, span, now)
        most = _most(provider.rate_calls, use)
        if len(recent) >= most:
            free = recent[len(recent) - most] + span - now  # when so many have left the window that one fits
            raise OverBudgetError(f"The budget of {lane} is used up", max(free.total_seconds(), 0.1))
        window.requests = [*recent, now]
        window.save(update_fields=["requests"])


def room(use: Use, lane: str = NOTION) -> int:
    """How many requests of this use would be let through now."""
    now, provider = timezone.now(), Provider.objects.get(pk=lane)
    if provider.paused or (provider.closed_until and provider.closed_until > now):
        return 0
    if not provider.rate_calls:
        return UNLIMITED
    return max(_most(provider.rate_calls, use) - len(used(provider, now)), 0)


def used(lane: Provider, now: dt.datetime) -> list[dt.datetime]:
    """The moments of its requests that count now, the oldest first."""
    window = Window.objects.filter(pk=lane.pk).first()
    return _within(window.requests, dt.timedelta(seconds=lane.rate_seconds), now) if window else []


def hush(seconds: float | None, reason: str, lane: str = NOTION) -> None:
    """The vendor wants silence for so long."""
    close(lane, timezone.now() + dt.timedelta(seconds=UNSAID if seconds is None else seconds), reason)


def close(lane: str, until: dt.datetime, reason: str) -> dt.datetime:
    """Nobody asks before `until`. A shorter word does not undo a longer one. Returns until when it is closed now."""
    shorter = Q(closed_until=None) | Q(closed_until__lt=until)
    if Provider.objects.filter(shorter, pk=lane).update(closed_until=until, closed_reason=reason[:300]):
        log.warning("budget_lane_closed", lane=lane, until=until.isoformat(), reason=reason)
        return until
    return Provider.objects.values_list("closed_until", flat=True).get(pk=lane) or until


def stop(reason: str, lane: str = NOTION) -> None:
    """The vendor has shut us out: asking again would make it worse. A person finds out why and ends the pause."""
    Provider.objects.filter(pk=lane, paused=False).update(paused=True, pause_reason=reason[:200])
    log.error("budget_lane_stopped", lane=lane, reason=reason)


def _most(calls: int, use: Use) -> int:
    return max(calls * use.value // 100, 1)


def _refuse_where_closed(lane: Provider, now: dt.datetime) -> None:
    if lane.paused:
        raise OverBudgetError(f"Lane {lane} is paused: {lane.pause_reason or 'by a person'}", PAUSED_LOOK)
    if lane.closed_until and lane.closed_until > now:
        raise OverBudgetError(f"Lane {lane} is closed: {lane.closed_reason}", (lane.closed_until - now).total_seconds())


def _within(moments: list[dt.datetime], span: dt.timedelta, now: dt.datetime) -> list[dt.datetime]:
    """What is further off than another machine's clock may be was noted before a clock was put back."""
    return sorted(moment for moment in moments if now - span < moment < now + span)
