"""What a yes sets going, and what that may cost at most."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from production import gates, recipes
from production.models import Provider, Take, Task
from production.providers import price
from production.stages import STAGES, Stage, Status


@dataclass(frozen=True)
class Commitment:
    """What a yes sets going before the next person is asked."""

    stages: list[Stage]
    usd: Decimal
    pieces: int

    @property
    def names(self) -> str:
        return " and ".join(stage.title for stage in self.stages)

    @property
    def until(self) -> str:
        """Where it stops next."""
        last = self.stages[-1] if self.stages else None
        return last.review.label if last and last.review else Status.PUBLISHED.label


def of(
    task: Task, stage: Stage, takes: Iterable[Take] | None = None, lanes: dict[str, Provider] | None = None
) -> Commitment:
    """What runs after a yes to `stage` and what it may cost at most, USD. Pieces that are there and still current
    are not bought again; a piece whose source will be made again is."""
    stages = list(_runs_after(task, stage))
    selected = {(take.kind, take.position): take for take in takes or task.takes.all() if take.selected}
    lanes = lanes or Provider.objects.in_bulk()
    to_make: set[tuple[str, int]] = set()
    usd = Decimal(0)
    for need in (need for later in stages for need in recipes.needs(task, later)):
        take = selected.get((need.piece.kind, need.position))
        sources = {(source.kind, source.position) for source in need.recipe.sources} if need.recipe else set()
        if take is None or sources & to_make or not recipes.is_current(take, need):
            to_make.add((need.piece.kind, need.position))
            usd += price(lanes[need.piece.lane], need.piece.kind)
    return Commitment(stages, usd, len(to_make))


def _runs_after(task: Task, stage: Stage) -> Iterator[Stage]:
    """The stages that go by themselves until a person is asked again; after a yes to the plan its images first."""
    if gates.stops_at_plan(task):
        yield stage
        if stage.asks(task.channel.gates):
            return
    for later in STAGES[stage.index + 1 :]:
        yield later
        if later.asks(task.channel.gates):
            return
