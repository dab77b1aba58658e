"""What a yes sets going, and what that may cost at most."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from django.utils import timezone

from production import caps, gates, recipes
from production.caps import Room
from production.models import Provider, Task
from production.providers import price
from production.recipes import Shelf
from production.stages import STAGES, Stage, Status


@dataclass(frozen=True)
class Commitment:
    """What a yes sets going before the next person is asked, and what the caps leave for it."""

    stages: list[Stage]
    by_lane: dict[str, Decimal]  # USD at most
    pieces: int
    rooms: list[Room]  # the tightest first

    @property
    def usd(self) -> Decimal:
        return sum(self.by_lane.values(), Decimal(0))

    @property
    def short(self) -> Room | None:
        """The cap that will hold some of it."""
        return next((room for room in self.rooms if room.is_short), None)

    @property
    def names(self) -> str:
        return " and ".join(stage.title for stage in self.stages)

    @property
    def until(self) -> str:
        """Where it stops next."""
        last = self.stages[-1] if self.stages else None
        return last.review.label if last and last.review else Status.PUBLISHED.label


def of(task: Task, stage: Stage, shelf: Shelf | None = None, lanes: dict[str, Provider] | None = None) -> Commitment:
    """What runs after a yes to `stage` and what it may cost at most, USD. Pieces that are there and still current
    are not bought again; a piece whose source will be made again is."""
    shelf, lanes = shelf or Shelf(task), lanes or Provider.objects.in_bulk()
    stages = list(_runs_after(task, stage, shelf))
    to_make: set[tuple[str, int]] = set()
    by_lane: dict[str, Decimal] = {}
    for need in (need for later in stages for need in recipes.needs(task, later, shelf)):
        take = shelf.takes.get(need.key)
        sources = {source.key for source in need.recipe.sources} if need.recipe else set()
        if take is None or sources & to_make or not recipes.is_current(take, need):
            to_make.add(need.key)
            lane = need.piece.lane
            by_lane[lane] = by_lane.get(lane, Decimal(0)) + price(lanes[lane], need.piece.kind)
    costs = {lane: usd for lane, usd in by_lane.items() if usd}
    return Commitment(stages, costs, len(to_make), caps.rooms(task, costs, timezone.now()) if costs else [])


def _runs_after(task: Task, stage: Stage, shelf: Shelf) -> Iterator[Stage]:
    """The stages that go by themselves until a person is asked again; after a yes to the plan its images first."""
    if gates.stops_at_plan(task, shelf):
        yield stage
        if stage.asks(task.channel.gates):
            return
    for later in STAGES[stage.index + 1 :]:
        yield later
        if later.asks(task.channel.gates):
            return
