"""The first page: what needs you, what the system is doing, the lanes, the money, and how it has gone lately."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db.models import Count, F, Q, Sum
from django.http import HttpRequest
from django.utils import timezone

from channels_app import access
from channels_app.models import Channel
from production import alerts, asking, caps
from production.admin import charts
from production.admin.lanes import with_traffic
from production.admin.overview import Overview, overviews
from production.models import Heartbeat, Meter, Provider, StatusChange, Tally, Task
from production.providers import Limit, calls_today, holds, quota_reset, slots_of
from production.stages import ERRORS, HOLDING, PIECES, Status

if TYPE_CHECKING:
    from production.admin.lanes import BusyLane
    from production.asking import AskedTask

MOST = 12  # cards; the list shows the others
BUSY = 8
LOOKED_AT = 200  # tasks in error, whose causes are told apart
WORDS = 300  # characters of a reason that are shown
NO_REASON: tuple[str, dt.datetime | None] = ("", None)


@dataclass(frozen=True)
class Tile:
    """One task on the first page."""

    task: Task
    overview: Overview
    tone: str


@dataclass(frozen=True)
class Trouble:
    """Tasks that failed for one cause."""

    status: str
    reason: str
    written: dt.datetime | None
    tasks: "list[AskedTask]"
    count: int


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """UNFOLD's DASHBOARD_CALLBACK."""
    user = request.user
    if not user.has_perm("production.view_task"):
        return context
    waiting = asking.queue(user)
    gates, failed = waiting.exclude(status__in=ERRORS), waiting.filter(status__in=ERRORS)
    system = asking.held_by(asking.with_asks(access.seen_by(Task.objects.select_related("channel"), user)), "system")
    at_work = system.filter(status__in=HOLDING).order_by("status_since")
    return context | {
        "you": _tiles(list(gates.order_by("status_since", "pk")[:MOST]), pictures=True),
        "gates_count": gates.count(),
        "troubles": _troubles(list(failed[:LOOKED_AT])),
        "failed_count": failed.count(),
        "busy": _tiles(list(at_work[:BUSY])),
        "busy_count": at_work.count(),
        "in_line": system.exclude(status__in=HOLDING).count(),
        "published": _published_this_week(user),
        "lanes": _lanes(),
        "spending": list(_spending(user)),
        "workers": Heartbeat.objects.alive().values_list("cluster").annotate(Count("pk")).order_by("cluster"),
        "charts": charts.of_overview(user),
    }


def _tiles(tasks: "list[AskedTask]", *, pictures: bool = False) -> list[Tile]:
    found = overviews(tasks, pictures=pictures)
    return [Tile(task, found[task.pk], asking.tone(task.status, asks=task.asks)) for task in tasks]


def _troubles(tasks: "list[AskedTask]") -> list[Trouble]:
    """By cause, as alerts tell causes apart; the one that stopped most stands first."""
    reasons = _reasons(tasks)
    groups: dict[str, list[AskedTask]] = {}
    for task in tasks:
        groups.setdefault(alerts.cause_of(task.status, reasons.get(task.pk, NO_REASON)[0]), []).append(task)
    found = [_trouble(group, *reasons.get(group[0].pk, NO_REASON)) for group in groups.values()]
    return sorted(found, key=lambda trouble: -trouble.count)[:MOST]


def _trouble(tasks: "list[AskedTask]", reason: str, written: dt.datetime | None) -> Trouble:
    return Trouble(tasks[0].get_status_display(), reason[:WORDS], written, tasks[:MOST], len(tasks))


def _reasons(tasks: Sequence[Task]) -> dict[int, tuple[str, dt.datetime | None]]:
    """Why those in error are there, in words, and when that was written."""
    changes = StatusChange.objects.filter(task__in=[task.pk for task in tasks], after__in=ERRORS)
    newest = (
        changes.exclude(before=F("after"))
        .order_by("task_id", "-pk")
        .distinct("task_id")
        .values_list("task_id", "reason", "at")
    )
    return {task: (reason, at) for task, reason, at in newest}


# ---------------------------------------------------------------- lanes


@dataclass(frozen=True)
class LaneRow:
    """A lane as the first page shows it."""

    lane: "BusyLane"
    slots: int
    hold: Limit | None  # why nothing begins there
    calls_left: int | None  # of its quota of the day
    resets: dt.datetime | None


def _lanes() -> list[LaneRow]:
    """In the order in which a video passes them."""
    lanes = {lane.name: lane for lane in with_traffic(Provider.objects.all())}
    return [_lane(lanes[name]) for name in dict.fromkeys(piece.lane for piece in PIECES) if name in lanes]


def _lane(lane: "BusyLane") -> LaneRow:
    now = timezone.now()
    left = None if lane.daily_quota is None else max(0, lane.daily_quota - calls_today(lane, now))
    resets = quota_reset(lane, now) if left is not None and lane.quota_zone else None
    return LaneRow(lane, slots_of(lane), holds(lane), left, resets)


# ---------------------------------------------------------------- money and films


@dataclass(frozen=True)
class Spending:
    """Of one channel, USD; what is simulated is counted, and capped, apart from what is paid."""

    channel: Channel
    simulated: bool
    today: Decimal
    week: Decimal
    cap: Decimal | None

    @property
    def percent(self) -> int:
        return min(100, round(100 * self.today / self.cap)) if self.cap else 100 if self.cap is not None else 0


def _spending(user: Any) -> Iterator[Spending]:
    """Each channel that has spent something within seven days, the dearest first."""
    today, limits = timezone.localdate(), caps.limits()
    days = Tally.objects.filter(meter=Meter.CHANNEL_DAY, since__gt=today - dt.timedelta(days=7), usd__gt=0)
    rows = days.order_by().values("key", "simulated").annotate(week=Sum("usd"), today=Sum("usd", filter=Q(since=today)))
    channels = access.seen_by(Channel.objects.all(), user).in_bulk()
    for row in rows.order_by(F("today").desc(nulls_last=True), "-week"):
        if channel := channels.get(int(row["key"])):
            cap = limits.of(caps.current(Meter.CHANNEL_DAY, row["key"], timezone.now()), channel=channel.pk)
            yield Spending(channel, row["simulated"], row["today"] or Decimal(0), row["week"], cap)


def _published_this_week(user: Any) -> int:
    published = Task.objects.filter(status=Status.PUBLISHED, status_since__gte=charts.midnight(6))
    return access.seen_by(published, user).count()
