"""How far a running stage is. The same few queries for any number of tasks."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count

from production.models import Asset, Clip, Take, Task
from production.stages import RUNNING, STEPS, Stage, Status


@dataclass(frozen=True)
class Progress:
    """How far a running stage is: `done` of `total` pieces of one kind."""

    unit: str
    done: int
    total: int

    def __str__(self) -> str:
        return f"{self.unit} {self.done}/{self.total}" if self.total > 1 else self.unit


def progress_of(tasks: Iterable[Task]) -> dict[int, Progress]:
    """Of those tasks that are at work."""
    running = {task.pk: RUNNING[Status(task.status)] for task in tasks if task.status in RUNNING}
    if not running:
        return {}
    totals = {"asset": _count(Asset, running), "clip": _count(Clip, running)}
    done, under_way = _pieces(running)
    return {
        pk: _progress(
            stage, {per: counts[pk] for per, counts in totals.items()}, done[pk] - under_way[pk], under_way[pk]
        )
        for pk, stage in running.items()
    }


Pieces = dict[int, set[tuple[str, int]]]


def _pieces(running: dict[int, Stage]) -> tuple[Pieces, Pieces]:
    """The pieces that have a selected take, and those that are being made or have failed."""
    takes = Take.objects.deciding().filter(task__in=running).values_list("task_id", "kind", "position", "selected")
    done: Pieces = {pk: set() for pk in running}
    under_way: Pieces = {pk: set() for pk in running}
    for pk, kind, position, selected in takes.order_by():
        (done if selected else under_way)[pk].add((kind, position))
    return done, under_way


def _progress(
    stage: Stage, totals: dict[str, int], done: set[tuple[str, int]], under_way: set[tuple[str, int]]
) -> Progress:
    """Counted in the stage's main piece; its first one (the plan) while that is not there yet."""
    pieces = stage.pieces
    first, main = pieces[0], pieces[-1]
    if first != main and any(kind == first.kind for kind, _ in under_way):
        steps = len(STEPS) if first.per == "step" else 1
        return Progress(first.kind, sum(kind == first.kind for kind, _ in done), steps)
    kinds = {piece.kind for piece in pieces if piece.per == main.per}
    total = 1 if main.per == "task" else totals[main.per]
    name = main.kind if len(kinds) == 1 else stage.name.removesuffix("s")
    return Progress(name, sum(kind in kinds for kind, _ in done), total)


def _count(model: type[Asset | Clip], ids: Iterable[int]) -> Counter[int]:
    rows = model.objects.filter(task__in=ids).order_by().values_list("task_id").annotate(n=Count("pk"))
    return Counter(dict(rows))
