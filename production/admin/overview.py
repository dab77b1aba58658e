"""What lists show of many tasks at once: how far, what it has cost, a picture. The same few queries for any number."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Case, IntegerField, Value, When
from django.urls import reverse

from production.cards import STILLS
from production.models import LedgerEntry, Take, Task
from production.progress import Progress, progress_of


@dataclass(frozen=True)
class Overview:
    progress: Progress | None
    usd: Decimal
    picture: str


def overviews(tasks: Sequence[Task], *, pictures: bool = False) -> dict[int, Overview]:
    """By task id."""
    ids = [task.pk for task in tasks]
    progress, spent = progress_of(tasks), LedgerEntry.objects.filter(take__task__in=ids).sums_by("take__task_id")
    stills = _pictures(ids) if pictures else {}
    return {pk: Overview(progress.get(pk), spent.get(pk, Decimal(0)), stills.get(pk, "")) for pk in ids}


def _pictures(ids: list[int]) -> dict[int, str]:
    """The address of one still a task: a composite says more than a single figure."""
    best = Case(*(When(kind=kind, then=Value(rank)) for rank, kind in enumerate(STILLS)), output_field=IntegerField())
    takes = Take.objects.filter(task__in=ids, selected=True, kind__in=STILLS)
    found = takes.order_by("task_id", best, "position").distinct("task_id").values_list("task_id", "pk")
    return {task_id: reverse("take-file", args=[pk]) for task_id, pk in found}
