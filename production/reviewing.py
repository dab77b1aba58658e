"""How people decide: how long they take, how much of it falls on whom, and how long gates have waited for anybody.

A reviewer who says yes every two seconds looks at nothing, and so does one who has decided two hundred times today.
"""

import datetime as dt
import itertools
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Min, Q
from django.utils import timezone

from channels_app import access
from production import asking, models
from production.models import Task
from production.stages import ERRORS, REVIEWS, STAGES, Status, Verb

DECISIONS = (Verb.APPROVE, Verb.REJECT, Verb.REDO)
LOOK_BACK = dt.timedelta(days=28)
MOST = 5000  # decisions that are looked at, the newest
HASTY = 2.0  # seconds: within which nobody can have looked
AWAY = dt.timedelta(minutes=30)  # without a decision for so long: a person was not at it
AGES = (dt.timedelta(hours=1), dt.timedelta(hours=4), dt.timedelta(days=1))


@dataclass(frozen=True)
class Decision:
    by: str
    verb: str
    at: dt.datetime
    asked: dt.datetime | None  # since when a person had been awaited
    seconds: float | None  # that the person took for it; None where that is not known
    played: float | None  # how much of what lay there, 0 to 1; None where nothing plays or no page told


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
        return len(self._of(Verb.APPROVE))

    @property
    def rejected(self) -> int:
        return len(self._of(Verb.REJECT))

    @property
    def redone(self) -> int:
        return len(self._of(Verb.REDO))

    @property
    def median(self) -> float | None:
        """Seconds."""
        return _median(decision.seconds for decision in self.decisions)

    @property
    def hasty(self) -> int:
        """Yeses within HASTY seconds."""
        return sum(decision.seconds is not None and decision.seconds <= HASTY for decision in self._of(Verb.APPROVE))

    @property
    def played(self) -> float | None:
        """How much of the clips, sounds and films they had played before a yes, 0 to 1, the median."""
        return _median(decision.played for decision in self._of(Verb.APPROVE))

    @property
    def waited(self) -> dt.timedelta | None:
        """How long gates had waited for this person's word, the median."""
        median = _median((one.at - one.asked).total_seconds() for one in self.decisions if one.asked)
        return None if median is None else dt.timedelta(seconds=median)

    def _of(self, verb: Verb) -> list[Decision]:
        return [decision for decision in self.decisions if decision.verb == verb]


def _median(values: Iterable[float | None]) -> float | None:
    """Of those that are known."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


# ---------------------------------------------------------------- what was decided


def reviewers(decisions: Sequence[Decision]) -> list[Reviewer]:
    """Who decided most stands first."""
    names = dict.fromkeys(decision.by for decision in decisions)
    found = [Reviewer(name, [decision for decision in decisions if decision.by == name]) for name in names]
    return sorted(found, key=lambda reviewer: -len(reviewer.decisions))


def decisions(user: Any) -> list[Decision]:
    """Of the tasks that `user` may see, the newest first. One query."""
    since = timezone.now() - LOOK_BACK
    rows = access.seen_by(models.Decision.objects.filter(verb__in=DECISIONS, at__gte=since), user)
    found = list(rows.order_by("-at").only("by", "verb", "at", "asked", "stage", "seconds", "shown", "played")[:MOST])
    return [
        Decision(row.by, row.verb, row.at, row.asked, seconds, row.part_played)
        for row, seconds in zip(found, _seconds(found), strict=True)
    ]


def _seconds(rows: Sequence[models.Decision]) -> Iterator[float | None]:
    """What each decision took its person: as long as the page was visible, where it told; else since the same person's
    decision before, or since they were awaited where that was later; unknown after a pause. `rows`: the newest first.
    """
    before: dict[str, dt.datetime] = {}
    taken: list[float | None] = []
    for row in reversed(rows):
        begun = max(filter(None, (before.get(row.by), row.asked if row.by in before else None)), default=None)
        guessed = (row.at - begun).total_seconds() if begun and row.at - begun < AWAY else None
        taken.append(guessed if row.seconds is None else row.seconds)
        before[row.by] = row.at
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
    tasks = asking.with_asks(access.seen_by(Task.objects.all(), user))
    rows = asking.asked(tasks).order_by().values("status")
    counted = rows.annotate(oldest=Min("status_since"), **ages).values_list("status", "oldest", *ages)
    found: dict[str, list[Any]] = {status: row for status, *row in counted}
    order = [stage.review for stage in STAGES if stage.review in REVIEWS] + sorted(ERRORS)
    return [Gate(Status(status).label, found[status][1:], found[status][0]) for status in order if status in found]
