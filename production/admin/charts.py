"""What the charts draw, as tables: the page shows each as a picture and as the numbers that it is drawn from."""

import datetime as dt
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models import Count, OuterRef, Q, Subquery, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from channels_app import access
from channels_app.badge import Colour
from channels_app.models import Channel
from production.models import Meter, StatusChange, Take, Tally, Task
from production.stages import STAGES, Status, Verb

DAYS = 14
PASSES = 1000  # of the newest ends of stages their usual times are told by
DEAREST = 10  # channels with bars of their own


@dataclass(frozen=True)
class Chart:
    """Rows of (label, a number a series); `tones` names each series' colour."""

    title: str
    unit: str
    series: list[str]
    rows: list[tuple[str, list[float]]]
    tones: list[str] = field(default_factory=lambda: ["working"])
    lies: bool = False  # its bars: their labels are words

    @property
    def heads(self) -> list[tuple[str, str]]:
        return list(zip(self.series, self.tones, strict=True))

    @property
    def is_empty(self) -> bool:
        return not any(any(numbers) for _, numbers in self.rows)


def of_overview(user: Any) -> list[Chart]:
    """Four, each of a bounded look along an index."""
    return [_published(user), _times(user), _costs(user), _healed(user)]


def midnight(days_ago: int = 0) -> dt.datetime:
    """When the day began, in the house's time zone."""
    today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    return today - dt.timedelta(days=days_ago)


def by_day(found: Mapping[dt.date, Sequence[float]], series: int, days: int = DAYS) -> list[tuple[str, list[float]]]:
    """Every day has its row, also one on which nothing was."""
    dates = [midnight(ago).date() for ago in reversed(range(days))]
    return [(f"{date:%d %b}", list(found.get(date, [0.0] * series))) for date in dates]


def _published(user: Any) -> Chart:
    tasks = access.seen_by(Task.objects.filter(status=Status.PUBLISHED, status_since__gte=midnight(DAYS - 1)), user)
    days = tasks.order_by().annotate(day=TruncDate("status_since")).values_list("day").annotate(Count("pk"))
    return Chart("Videos published", "videos", ["Published"], by_day({day: [n] for day, n in days}, 1), ["done"])


def _times(user: Any) -> Chart:
    """From the last start of a stage to its end; the median of the newest passes."""
    began = StatusChange.objects.filter(
        task=OuterRef("task"), stage=OuterRef("stage"), verb=Verb.START, pk__lt=OuterRef("pk")
    ).order_by("-pk")
    ended = StatusChange.objects.filter(verb=Verb.FINISH, at__gte=midnight(DAYS - 1))
    ended = access.seen_by(ended, user).annotate(began=Subquery(began.values("at")[:1])).order_by("-at")
    minutes: dict[str, list[float]] = defaultdict(list)
    for stage, at, start in ended.values_list("stage", "at", "began")[:PASSES]:
        if start:
            minutes[stage].append((at - start).total_seconds() / 60)
    rows = [(stage.title, [_median(minutes[stage.name])]) for stage in STAGES]
    return Chart("Time a stage takes, median", "minutes", ["Minutes"], rows, lies=True)


def _median(values: list[float]) -> float:
    return round(statistics.median(values), 1) if values else 0.0


def _costs(user: Any) -> Chart:
    """By the tallies of channels and days; what was simulated stands beside what was paid."""
    channels = dict(access.seen_by(Channel.objects.all(), user).values_list("pk", "name"))
    days = Tally.objects.filter(meter=Meter.CHANNEL_DAY, since__gte=midnight(6).date())
    sums: dict[int, list[Decimal]] = {}
    for key, simulated, usd in days.order_by().values_list("key", "simulated").annotate(Sum("usd")):
        if int(key) in channels:
            sums.setdefault(int(key), [Decimal(0), Decimal(0)])[simulated] += usd
    dearest = sorted(sums, key=lambda pk: -sum(sums[pk]))[:DEAREST]
    rows = [(channels[pk], [float(round(usd, 2)) for usd in sums[pk]]) for pk in dearest]
    return Chart("Cost in 7 days", "USD", ["Paid", "Simulated"], rows, ["working", "simulated"], lies=True)


def _healed(user: Any) -> Chart:
    """Takes that had failed, by how they ended: by themselves well, or before a person (FR35)."""
    takes = access.seen_by(Take.objects.filter(finished__gte=midnight(DAYS - 1)), user)
    ends = takes.filter(Q(state=Take.State.FAILED) | Q(state=Take.State.DONE, tries__gt=0))
    days = ends.order_by().annotate(day=TruncDate("finished")).values_list("day")
    done, failed = (Count("pk", filter=Q(state=state)) for state in (Take.State.DONE, Take.State.FAILED))
    counts = days.annotate(healed=done, left=failed)
    found = {day: [healed, left] for day, healed, left in counts}
    return Chart("Failures", "takes", ["Healed by themselves", "Left to a person"], by_day(found, 2), ["done", "error"])


def of_reviewers(decided: Iterable[tuple[dt.datetime, str]]) -> Chart:
    """Decisions a day, a series a person; those with the most have their own."""
    days: dict[dt.date, Counter[str]] = defaultdict(Counter)
    for at, by in decided:
        days[timezone.localtime(at).date()][by] += 1
    most = [by for by, _ in sum(days.values(), Counter[str]()).most_common(DEAREST)]
    found = {day: [float(counts[by]) for by in most] for day, counts in days.items()}
    colours = Colour.values
    tones = [colours[number * 3 % len(colours)] for number in range(len(most))]  # neighbours differ most
    return Chart("Decisions a day", "decisions", most, by_day(found, len(most)), tones)
