"""The first page: what needs you, what the system is doing, the lanes, the money."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db.models import Q, QuerySet, Sum
from django.http import HttpRequest
from django.utils import timezone

from channels_app.models import Channel
from production import asking
from production.admin.lanes import with_traffic
from production.admin.overview import Overview, overviews
from production.models import Heartbeat, LedgerEntry, Provider, StatusChange, Task
from production.providers import Limit, holds, slots_of
from production.stages import AT_REST, ERRORS, PIECES, Status

if TYPE_CHECKING:
    from production.admin.lanes import BusyLane
    from production.asking import AskedTask

MOST = 12  # cards; the list shows the others


@dataclass(frozen=True)
class Tile:
    """One task on the first page."""

    task: Task
    overview: Overview
    tone: str
    reason: str = ""


@dataclass(frozen=True)
class Spending:
    channel: Channel
    today: Decimal
    week: Decimal
    simulated: Decimal


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """UNFOLD's DASHBOARD_CALLBACK."""
    if not request.user.has_perm("production.view_task"):
        return context
    waiting, busy = asking.queue(), _busy()
    return context | {
        "you": _tiles(list(waiting[:MOST]), pictures=True),
        "you_count": waiting.count(),
        "busy": _tiles(list(busy[:MOST])),
        "busy_count": busy.count(),
        "published": _published_this_week(),
        "lanes": _lanes(),
        "spending": list(_spending()),
        "workers": Heartbeat.objects.alive().count(),
    }


def _busy() -> "QuerySet[AskedTask]":
    tasks = asking.with_asks(Task.objects.select_related("channel"))
    return tasks.filter(asks=False).exclude(status__in=AT_REST).order_by("priority", "status_since")


def _tiles(tasks: "list[AskedTask]", *, pictures: bool = False) -> list[Tile]:
    found, reasons = overviews(tasks, pictures=pictures), _reasons(tasks)
    return [
        Tile(task, found[task.pk], asking.tone(task.status, asks=task.asks), reasons.get(task.pk, "")) for task in tasks
    ]


def _reasons(tasks: Sequence[Task]) -> dict[int, str]:
    """Why those in error are there, in words."""
    failed = [task.pk for task in tasks if task.status in ERRORS]
    changes = StatusChange.objects.filter(task__in=failed, after__in=ERRORS, is_error=True)
    return dict(changes.order_by("task_id", "-pk").distinct("task_id").values_list("task_id", "reason"))


@dataclass(frozen=True)
class LaneRow:
    """A lane as the first page shows it."""

    lane: "BusyLane"
    slots: int
    hold: Limit | None  # why nothing begins there


def _lanes() -> list[LaneRow]:
    """In the order in which a video passes them."""
    lanes = {lane.name: lane for lane in with_traffic(Provider.objects.all())}
    in_order = (lanes[name] for name in dict.fromkeys(piece.lane for piece in PIECES) if name in lanes)
    return [LaneRow(lane, slots_of(lane), holds(lane)) for lane in in_order]


def _published_this_week() -> int:
    return Task.objects.filter(status=Status.PUBLISHED, status_since__gte=_midnight() - dt.timedelta(days=6)).count()


def _spending() -> Iterator[Spending]:
    """Each channel that has spent something within seven days, the dearest first."""
    today, week = _midnight(), _midnight() - dt.timedelta(days=6)
    lines = LedgerEntry.objects.filter(at__gte=week).counted().order_by().values("channel")
    sums = lines.annotate(
        today=Sum("usd", filter=Q(at__gte=today)), week=Sum("usd"), simulated=Sum("usd", filter=Q(simulated=True))
    ).order_by("-week")
    channels = Channel.objects.in_bulk([row["channel"] for row in sums])
    for row in sums:
        sums_ = (row[name] or Decimal(0) for name in ("today", "week", "simulated"))
        yield Spending(channels[row["channel"]], *sums_)


def _midnight() -> dt.datetime:
    return timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
