"""Webhooks that have stopped: the poll finds the changes that they should have told, so nobody would miss them.

Notion pauses an automation for good when one of its calls fails, and says so to nobody here. A subscription may be
deleted, or refused because the token that we know is not its own.
"""

import datetime as dt
from dataclasses import dataclass

from django.db.models import Q
from django.utils import timezone

from production import alerts
from production.models import Alert, NotionBoard, NotionEvent
from production.notion import Page
from production.reception import AUTOMATION
from production.stages import Status

# Types of the poll's events: a row that was set to Queued, any other change, an edit that tells nothing of webhooks.
QUEUED, OTHER, OLD = f"{NotionEvent.POLL}: queued", NotionEvent.POLL, f"{NotionEvent.POLL}: old"
LATE = dt.timedelta(minutes=7)  # by then a change was told, if it is told at all
RECENT = dt.timedelta(days=1)
FEW = 3  # changes that nobody has told; one or two may be lost on the way
CALLS = Q(type=AUTOMATION)
FOUND = Q(type__in=(QUEUED, OTHER))
POLL = FOUND | Q(type=OLD)


@dataclass(frozen=True)
class Way:
    """One kind of webhook, in use while the board has its `secret`, `since` then. `calls` are its events, `tells` what
    the poll finds of what it should have told: of an automation we know only that it sends what is Queued."""

    cause: str
    name: str
    secret: str
    since: str
    calls: Q
    tells: Q
    remedy: str


WAYS = (
    Way(
        "silent:automations",
        "Calls of automations and buttons",
        "hook_secret",
        "hook_adopted",
        CALLS,
        Q(type=QUEUED),
        "look in Notion whether they are paused, and resume them by hand; their header has to show the secret in use",
    ),
    Way(
        "silent:webhook",
        "Events of the integration's webhook",
        "active_token",
        "activated",
        ~CALLS & ~POLL,
        FOUND,
        "look at it in the integration's settings in Notion; one made anew has another token: admin › Database",
    ),
)


def kind(page: Page, *, is_moved: bool) -> str:
    """The type of the poll's event about this row, whose status may be a person's. An edit is old where the board is
    new here, or we were away."""
    if page.edited is None or page.edited < timezone.now() - LATE:
        return OLD
    return QUEUED if is_moved and page.status == Status.QUEUED.label else OTHER


def heed(board: NotionBoard) -> None:
    """Say which webhooks have stopped, and which call again or are given up."""
    for way in WAYS:
        if not getattr(board, way.secret):
            alerts.resume(way.cause, f"Over: {way.name} are not in use any more")
        elif _is_silent(way, getattr(board, way.since)):
            message = (
                f"{way.name} do not come any more: the poll has found {FEW} changes or more that they did not tell"
            )
            alerts.raise_alarm(f"{message}; {way.remedy}", cause=way.cause)
        elif _calls_again(way):
            alerts.resume(way.cause, f"Resumed: {way.name} come again")


def _is_silent(way: Way, since: dt.datetime | None) -> bool:
    """Whether the last few changes were found by the poll alone. What it has found shortly after the webhook was set up
    may be of before."""
    now = timezone.now()
    begin = max(now - RECENT, since + LATE) if since else now - RECENT
    found = NotionEvent.objects.filter(way.tells, received__gt=begin, received__lt=now - LATE)
    newest = list(found.order_by("-received").values_list("received", flat=True)[:FEW])
    return len(newest) == FEW and not _has_called(way, newest[-1] - LATE)


def _calls_again(way: Way) -> bool:
    opened = Alert.objects.open().filter(cause=way.cause).values_list("created", flat=True).first()
    return opened is not None and _has_called(way, opened)


def _has_called(way: Way, since: dt.datetime) -> bool:
    return NotionEvent.objects.filter(way.calls, received__gt=since).exists()
