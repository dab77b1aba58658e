"""Who has a review page open now, and whether it has something new to show: one query a poll."""

import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Any, TypedDict

from django.contrib.postgres.aggregates import StringAgg
from django.db.models import Max, OuterRef, Q, QuerySet, Subquery, TextField, Value
from django.db.models.functions import MD5, Cast, Coalesce, Concat
from django.utils import timezone

from production.models import Presence, Take, Task

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    class Polled(TypedDict):
        pieces: str
        others: str
        mine: dt.datetime | None

    PolledTask = WithAnnotations[Task, Polled]

BEAT = dt.timedelta(seconds=8)  # a page polls every 2 to 5 s, and not each of that writes
GONE = dt.timedelta(seconds=25)  # without a beat: three of them missed


def polled(tasks: QuerySet[Task], me: int) -> "QuerySet[PolledTask]":
    """Adds `pieces` (changes with any take, also with one that is rewritten), `others` (who else has the page open) and
    `mine` (when the person of that id was last here)."""
    text = TextField()
    piece = Concat(
        *(Cast("pk", text), Value(" "), "state", Value(" "), Cast("selected", text), Value(" "), "sha256", "progress"),
        output_field=text,
    )
    takes = Take.objects.filter(task=OuterRef("pk")).order_by().values("task")
    present = Presence.objects.filter(task=OuterRef("pk")).order_by().values("task")
    fresh = Q(seen__gt=timezone.now() - GONE) & ~Q(user_id=me)
    return tasks.annotate(
        pieces=_one(takes.annotate(one=MD5(StringAgg(piece, Value(","), order_by="pk")))),
        others=_one(present.filter(fresh).annotate(one=StringAgg("user__username", Value(", "), order_by="user"))),
        mine=Subquery(present.filter(user_id=me).annotate(one=Max("seen")).values("one")),
    )


def _one(found: QuerySet[Any, Any]) -> Coalesce:
    return Coalesce(Subquery(found.values("one")), Value(""), output_field=TextField())


def version(task: "PolledTask") -> str:
    """Changes when the page has something new to show."""
    said = [task.status, task.paused, task.publish_at, task.title, task.thumbnail_id, task.pieces]
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


def beat(task: "PolledTask", me: int) -> None:
    """I am here; written now and then."""
    now = timezone.now()
    if task.mine is None or task.mine <= now - BEAT or task.mine > now:
        row = Presence(task=task, user_id=me, seen=now)
        Presence.objects.bulk_create(
            [row], update_conflicts=True, unique_fields=["task", "user"], update_fields=["seen"]
        )
