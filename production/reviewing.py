"""How people decide: how long they take, how much of it falls on whom, and how long gates have waited for anybody.

A reviewer who says yes every two seconds looks at nothing, and so does one who has decided two hundred times today.
"""

import datetime as dt
import itertools
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, Min, OuterRef, Q, Subquery
from django.utils import timezone

from channels_app import access
from production import asking, models
from production.models import StatusChange, Task
from production.stages import ERRORS, REVIEWS, STAGES, Status, Verb

DECISIONS = (Verb.APPROVE, Verb.REJECT, Verb.REDO)
LOOK_BACK = dt.timedelta(days=28)
MOST = 5000  # decisions that are looked at, the newest
HASTY = 2.0  # seconds: within which nobody can have looked
AWAY = dt.timedelta(minutes=30)  # without a decision for so long: a person was not at it
Row = tuple[str, str, dt.datetime, dt.datetime | None, float | None]  # by, verb, at, asked, told
SAME = dt.timedelta(seconds=2)  # a decision and the move it made are written in one transaction
AGES = (dt.timedelta(hours=1), dt.timedelta(hours=4), dt.timedelta(days=1))


@dataclass(frozen=True)
class Decision:
    by: str
    verb: str
    at: dt.datetime
    asked: dt.datetime | None  # since when the gate had waited
    seconds: float | None  # that the person took for it; None where that is not known


@dataclass(frozen=True)
class Reviewer:
    """One person's decisions."""

    name: str
    decisions: list[Decision]

    @property
    def today(self) -> int:
        begin = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        return sum(decision.at >= begin for decision in self.decisions)

    @property
    def approved(self) -> int:
        return self._count(Verb.APPROVE)

    @property
    def rejected(self) -> int:
        return self._count(Verb.REJECT)

    @property
    def redone(self) -> int:
        return self._count(Verb.REDO)

    @property
    def median(self) -> float | None:
        """Seconds."""
        known = [decision.seconds for decision in self.decisions if decision.seconds is not None]
        return statistics.median(known) if known else None

    @property
    def hasty(self) -> int:
        """Yeses within HASTY seconds."""
        yeses = [decision for decision in self.decisions if decision.verb == Verb.APPROVE]
        return sum(decision.seconds is not None and decision.seconds <= HASTY for decision in yeses)

    @property
    def waited(self) -> dt.timedelta | None:
        """How long gates had waited for this person's word, the median."""
        known = [(decision.at - decision.asked).total_seconds() for decision in self.decisions if decision.asked]
        return dt.timedelta(seconds=statistics.median(known)) if known else None

    def _count(self, verb: Verb) -> int:
        return sum(decision.verb == verb for decision in self.decisions)


# ---------------------------------------------------------------- what was decided


def reviewers(decisions: Sequence[Decision]) -> list[Reviewer]:
    """Who decided most stands first."""
    names = dict.fromkeys(decision.by for decision in decisions)
    found = [Reviewer(name, [decision for decision in decisions if decision.by == name]) for name in names]
    return sorted(found, key=lambda reviewer: -len(reviewer.decisions))


def decisions(user: Any) -> list[Decision]:
    """Of the tasks that `user` may see, the newest first. One query."""
    since = timezone.now() - LOOK_BACK
    rows = access.seen_by(StatusChange.objects.filter(verb__in=DECISIONS, at__gte=since), user)
    # When the gate opened: the last change that led into the status decided on.
    into = StatusChange.objects.filter(task=OuterRef("task"), pk__lt=OuterRef("pk"), after=OuterRef("before"))
    asked = Subquery(into.exclude(before=F("after")).order_by("-pk").values("at")[:1])
    same = models.Decision.objects.filter(task=OuterRef("task"), verb=OuterRef("verb"), by=OuterRef("by"))
    same = same.filter(at__gte=OuterRef("at") - SAME, at__lte=OuterRef("at") + SAME)
    told = Subquery(same.order_by("pk").values("seconds")[:1])
    found: list[Row] = list(rows.order_by("-at").values_list("by", "verb", "at", asked, told)[:MOST])
    return [Decision(*row[:4], seconds) for row, seconds in zip(found, _seconds(found), strict=True)]


def _seconds(rows: Sequence[Row]) -> Iterator[float | None]:
    """What each decision took its person: as long as the page was visible, where it told; else since the same person's
    decision before, or since the gate opened where that was later; unknown after a pause. `rows` come newest first."""
    before: dict[str, dt.datetime] = {}
    taken: list[float | None] = []
    for by, _, at, asked, told in reversed(rows):
        begun = max(filter(None, (before.get(by), asked if by in before else None)), default=None)
        guessed = (at - begun).total_seconds() if begun and at - begun < AWAY else None
        taken.append(guessed if told is None else told)
        before[by] = at
    return reversed(taken)


# ---------------------------------------------------------------- what waits


@dataclass(frozen=True)
class Gate:
    """Tasks that wait for people in one status, by how long: up to each of AGES, and longer."""

    title: str
    counts: list[int]
    oldest: dt.datetime

    @property
    def total(self) -> int:
        return sum(self.counts)


def gates(user: Any) -> list[Gate]:
    """Those with somebody waiting, in the pipeline's order; errors last. One query."""
    now = timezone.now()
    edges = [now - age for age in AGES]
    spans = [Q(status_since__gt=edges[0])]
    spans += [Q(status_since__gt=older, status_since__lte=newer) for newer, older in itertools.pairwise(edges)]
    spans += [Q(status_since__lte=edges[-1])]
    ages = {f"age_{number}": Count("pk", filter=span) for number, span in enumerate(spans)}
    rows = asking.with_asks(access.seen_by(Task.objects.all(), user)).filter(asks=True).order_by().values("status")
    counted = rows.annotate(oldest=Min("status_since"), **ages).values_list("status", "oldest", *ages)
    found: dict[str, list[Any]] = {status: row for status, *row in counted}
    order = [stage.review for stage in STAGES if stage.review in REVIEWS] + sorted(ERRORS)
    return [Gate(Status(status).label, found[status][1:], found[status][0]) for status in order if status in found]
