"""The board: the 26 statuses as columns, the stages as groups of them. The same few queries for any number of tasks.

Who has it open asks again every few seconds. While nothing has changed that costs one query that reads the ends of a
few indexes (`version`), holds no thread and no connection, and is answered with a 304.
"""

import datetime as dt
import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from channels_app import access
from channels_app.models import Channel
from production import asking, caps, usual
from production.models import Meter, Priority, StatusChange, Tally, Task
from production.outside import storable
from production.progress import Progress, progress_of
from production.stages import AT_REST, STAGES, Stage, Status, Verb, stage_of
from production.usual import Pace

if TYPE_CHECKING:
    from production.asking import AskedTask

CARDS = 12  # a column; the list shows the others
UNFINISHED = [status for status in Status if status != Status.PUBLISHED]
PUBLISHED_FOR = dt.timedelta(days=7)  # so long a published video stays on the board
SUBMITTERS = 500  # of so many newest tasks the filter knows who queued them
LONG_TEXTS = ("topic", "story_direction", "story", "description", "findings", "tags")
WHO = {"you": "Needs a person", "system": "The system has it"}

# What is new on any board leaves one of these behind.
NEWEST = """
SELECT (SELECT max(id) FROM production_statuschange), (SELECT max(finished) FROM production_take),
    (SELECT max(id) FROM production_ledgerentry), (SELECT max(id) FROM django_admin_log)
"""


@dataclass(frozen=True)
class Wanted:
    """What is to be shown to whom. Unknown values of a filter are no filter."""

    user: Any
    channel: int | None = None
    who: str = ""
    by: str = ""
    priority: int | None = None

    @classmethod
    def of(cls, user: Any, said: dict[str, str]) -> "Wanted":
        return cls(
            user,
            channel=_number(said.get("channel", "")),
            who=said.get("who", "") if said.get("who") in WHO else "",
            by=str(storable(said.get("by", "")))[:150],
            priority=_number(said.get("priority", "")),
        )

    @property
    def filters(self) -> dict[str, str]:
        """As an address says them."""
        said = {"channel": self.channel, "who": self.who, "by": self.by, "priority": self.priority}
        return {name: str(value) for name, value in said.items() if value}

    @property
    def query(self) -> str:
        return urlencode(self.filters)


@dataclass(frozen=True)
class Card:
    """One task."""

    task: Task
    tone: str
    pace: Pace
    progress: Progress | None
    usd: Decimal


@dataclass(frozen=True)
class Column:
    """One status; `count` of all its tasks."""

    status: Status
    count: int
    asking: int  # of them wait for a person
    cards: list[Card]
    link: str  # of the list, as its address says it

    @property
    def more(self) -> int:
        return self.count - len(self.cards)


@dataclass(frozen=True)
class Group:
    """One stage; the first one also has what comes before it."""

    stage: Stage
    columns: list[Column] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(column.count for column in self.columns)

    @property
    def asking(self) -> int:
        return sum(column.asking for column in self.columns)


# ---------------------------------------------------------------- whether there is something new


def version(wanted: Wanted) -> str:
    """Changes with what is shown: by what happens, and each minute by the time (calm becomes late). One query."""
    with connection.cursor() as cursor:
        cursor.execute(NEWEST)
        newest = cursor.fetchone()
    sees = access.channels_of(wanted.user)
    seen = "all" if sees is None else sorted(sees)
    minute = int(timezone.now().timestamp() // 60)
    return hashlib.sha256(repr((newest, minute, seen, wanted.query)).encode()).hexdigest()[:24]


# ---------------------------------------------------------------- what is shown


def read(wanted: Wanted) -> list[Group]:
    """The whole board, the same seven queries at most."""
    tasks = _tasks(wanted)
    counts: Counter[tuple[str, bool]] = Counter()
    for status, asks, count in tasks.order_by().values_list("status", "asks").annotate(Count("pk")):
        counts[status, asks] = count
    cards = _cards(list(_shown(tasks, sorted({Status(status) for status, _ in counts}))))
    groups = {stage.name: Group(stage) for stage in STAGES}
    for status in Status:
        waits, goes_on = counts[status, True], counts[status, False]
        column = Column(status, waits + goes_on, waits, cards[status], _link(wanted, status))
        groups[_home(status).name].columns.append(column)
    return list(groups.values())


def _tasks(wanted: Wanted) -> "QuerySet[AskedTask]":
    rows = access.seen_by(Task.objects.all(), wanted.user)
    recent = Q(status=Status.PUBLISHED, status_since__gte=timezone.now() - PUBLISHED_FOR)
    rows = rows.filter(Q(status__in=UNFINISHED) | recent)  # not the opposite, which follows from no index
    if wanted.channel:
        rows = rows.filter(channel=wanted.channel)
    if wanted.priority:
        rows = rows.filter(priority=wanted.priority)
    if wanted.by:
        rows = rows.filter(Exists(_submissions(Q(by=wanted.by)).filter(task=OuterRef("pk"))))
    return asking.held_by(asking.with_asks(rows), wanted.who)


def _submissions(condition: Q) -> QuerySet[StatusChange]:
    return StatusChange.objects.filter(condition, verb=Verb.SUBMIT).order_by()


def _shown(tasks: "QuerySet[AskedTask]", statuses: Sequence[Status]) -> "QuerySet[AskedTask]":
    """The first cards of each column: as many short walks along an index as there are columns."""
    ids: set[int] = set()
    if statuses:
        first, *others = (_first(tasks, status) for status in statuses)
        ids = {pk for (pk,) in first.union(*others, all=True)}
    shown = asking.with_asks(Task.objects.filter(pk__in=ids)).select_related("channel").defer(*LONG_TEXTS)
    return shown.order_by("priority", "status_since", "pk")


def _first(tasks: "QuerySet[AskedTask]", status: Status) -> "QuerySet[AskedTask, tuple[int]]":
    """Most urgent first, then who has waited longest; of what is at rest the newest."""
    order = ("-status_since",) if status in AT_REST else ("priority", "status_since")
    return tasks.filter(status=status).order_by(*order).values_list("pk")[:CARDS]


def _cards(tasks: "Sequence[AskedTask]") -> dict[Status, list[Card]]:
    progress, spent, limits, now = progress_of(tasks), _spent(tasks), usual.limits(), timezone.now()
    found: dict[Status, list[Card]] = defaultdict(list)
    for task in tasks:
        status = Status(task.status)
        card = Card(
            task=task,
            tone=asking.tone(status, asks=task.asks),
            pace=usual.pace(status, now - task.status_since, asks=task.asks, limits=limits),
            progress=progress.get(task.pk),
            usd=spent.get(str(task.pk), Decimal(0)),
        )
        found[status].append(card)
    return found


def _spent(tasks: "Sequence[AskedTask]") -> dict[str, Decimal]:
    """By the tallies: each video has one row there, and scores in the ledger."""
    keys = [str(task.pk) for task in tasks]
    rows = Tally.objects.filter(meter=Meter.VIDEO, key__in=keys, since=caps.EVER).order_by()
    return dict(rows.values_list("key").annotate(Sum("usd")))


def _home(status: Status) -> Stage:
    """The stage whose group a status stands in; an error that several share stands with the first of them."""
    return stage_of(status) or next((stage for stage in STAGES if stage.error == status), STAGES[0])


def _link(wanted: Wanted, status: Status) -> str:
    names = {"channel": "channel__id__exact", "priority": "priority__exact", "who": "who"}
    said = {names[name]: value for name, value in wanted.filters.items() if name in names}
    return urlencode({"status__exact": status.value} | said)


# ---------------------------------------------------------------- what can be asked for


@dataclass(frozen=True)
class Choice:
    """A filter with what it can be set to: (value, words)."""

    name: str
    title: str
    options: list[tuple[str, str]]
    chosen: str


def choices(wanted: Wanted) -> list[Choice]:
    channels = access.seen_by(Channel.objects.all(), wanted.user).values_list("pk", "name")
    said = wanted.filters
    every = {
        "channel": ("Channel", [(str(pk), name) for pk, name in channels]),
        "who": ("Who has it", list(WHO.items())),
        "by": ("Queued by", [(name, name) for name in _submitters(wanted.user)]),
        "priority": ("Priority", [(str(value), label) for value, label in Priority.choices]),
    }
    return [Choice(name, title, options, said.get(name, "")) for name, (title, options) in every.items()]


def _submitters(user: Any) -> list[str]:
    newest = access.seen_by(_submissions(Q()), user).order_by("-at").values_list("by", flat=True)
    return sorted(set(newest[:SUBMITTERS]))


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 10 else None
