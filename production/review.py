"""What the review page shows, as plain data: the same page for every gate, computed from the stage table.

The number of queries does not depend on the number of pieces.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from production import asking, cards, commitment, explain, gates, lifecycle, reasons, recipes
from production.cards import MEDIA, Card, Shot
from production.commitment import Commitment
from production.explain import Blocker
from production.models import Asset, Clip, LedgerEntry, Provider, StatusChange, Take, Task
from production.reasons import Reason
from production.recipes import Shelf
from production.stages import (
    ERRORS,
    REVIEWS,
    STAGE,
    STAGES,
    WAITS_IN,
    Stage,
    Status,
    Verb,
    moves,
    stage_of,
    verbs_for,
)

AHEAD = {"image": 8, "audio": 6, "video": 2}  # pieces of the next task that are fetched before it is opened
HISTORY = 60  # lines of history on the page
MOST_TAKES = 12  # compared side by side; older ones stand in the list of takes
LIVE = ("working", "waiting")  # tones of a task that the system has
SHEET = {Asset.Kind.CHARACTER: "Characters", Asset.Kind.ENVIRONMENT: "Environments", Asset.Kind.PROP: "Props"}


# ---------------------------------------------------------------- the page


@dataclass(frozen=True)
class Tab:
    """A stage as a step of the pipeline; `place` is done, here or ahead."""

    stage: Stage
    place: str
    is_open: bool


@dataclass(frozen=True)
class Group:
    """Cards under one heading."""

    name: str
    title: str
    cards: list[Card]


@dataclass(frozen=True)
class Page:
    """Everything the template needs."""

    task: Task
    stage: Stage  # the one that is looked at
    here: Stage  # the one that the task is at
    tabs: list[Tab]
    cards: list[Card]
    clips: list[Clip]
    reel: list[dict[str, Any]]  # the film before it is one, clip by clip
    changes: list[StatusChange]
    usd: Decimal
    verbs: frozenset[Verb]
    tone: str
    seen: str
    blocker: Blocker | None  # why the system, which has it, isn't done
    back_to: list[Stage]
    at_plan: bool = False  # the plan waits for its yes, or images that nobody has drawn
    commitment: Commitment | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    stills: list[Shot] = field(default_factory=list)  # that can be the thumbnail

    @property
    def is_here(self) -> bool:
        return self.stage == self.here

    @property
    def is_live(self) -> bool:
        """The system has it: the page looks again by itself."""
        return self.tone in LIVE

    @property
    def media(self) -> str:
        """What most of its pieces are: decides the layout."""
        return next(MEDIA.get(piece.suffix, "none") for piece in reversed(self.stage.pieces))

    @property
    def suspicious(self) -> list[Card]:
        return [card for card in self.cards if card.flags]

    @property
    def groups(self) -> list[Group]:
        """What is suspicious comes first, as long as somebody is to decide; images stand as on a contact sheet."""
        first = self.suspicious if self.can_pick and len(self.cards) > 1 else []
        found = [Group("closely", "Look closely", first)]
        rest = [card for card in self.cards if card not in first]
        found += [Group(kind, title, [card for card in rest if card.group == kind]) for kind, title in SHEET.items()]
        found.append(Group("rest", "", [card for card in rest if card.kind != "plan" and not card.group]))
        found.append(Group("plan", "The plan, step by step", [card for card in rest if card.kind == "plan"]))
        return [group for group in found if group.cards]

    @property
    def simulated(self) -> bool:
        return any(shot.take.simulated for card in self.cards for shot in (card.shown, card.trying) if shot)

    @property
    def can_pick(self) -> bool:
        return self.tone in ("you", "error")

    @property
    def can_edit(self) -> bool:
        """What is published can still be put into other words."""
        return bool(self.metadata) and self.is_here and Verb.APPROVE in self.verbs

    @property
    def reasons(self) -> list[Reason]:
        """Offered with a no."""
        return reasons.offered_at(self.here)

    @property
    def is_complete(self) -> bool:
        """Every piece has a take that can stand in for what failed."""
        return bool(self.cards) and all(card.shown for card in self.cards)

    @property
    def failure(self) -> str:
        """Why it stopped, in words."""
        moves = (change for change in self.changes if change.after in ERRORS and change.before != change.after)
        return next((change.reason for change in moves), "")


def read(task: Task, stage_name: str = "") -> Page:
    """The page of the task at the stage it is at, or at the named one."""
    here = stage_at(task)
    stage, shelf = STAGE.get(stage_name, here), Shelf(task)
    spent, lanes = LedgerEntry.objects.filter(take__task=task).sums_by("take_id"), Provider.objects.in_bulk()
    takes = list(task.takes.defer("recipe", "result").order_by("kind", "position", "-number"))
    asks = asking.asks(task)
    may = verbs_for(Status(task.status))
    coming = commitment.of(task, here, shelf, lanes) if Verb.APPROVE in may and asks else None
    at_plan = coming is not None and gates.stops_at_plan(task, shelf)
    tone = asking.tone(task.status, asks=asks)
    ahead = _ahead(stage, is_later=stage.index > here.index or tone in LIVE, at_plan=at_plan)
    return Page(
        task=task,
        stage=stage,
        here=here,
        tabs=list(_tabs(task, here, stage)),
        cards=list(cards.cards(task, stage, shelf, takes, spent, lanes, ahead=ahead)),
        clips=list(shelf.clips.values()),
        reel=[asdict(scene) for scene in cards.reel(shelf)] if stage.name in ("audio", "sfx", "video") else [],
        changes=list(task.changes.order_by("-id")[:HISTORY]),
        usd=sum(spent.values(), Decimal(0)),
        verbs=frozenset(may) if asks else frozenset(may - {Verb.APPROVE, Verb.REJECT, Verb.REDO}),
        tone=tone,
        seen=_seen(task, shelf, coming),
        blocker=explain.why(task) if tone in LIVE else None,
        back_to=_back_to(task, here),
        at_plan=at_plan,
        commitment=coming,
        metadata=recipes.metadata(task) if stage.gate in ("always", "never") else {},
        stills=cards.stills(shelf) if stage.gate == "always" else [],
    )


def stage_at(task: Task) -> Stage:
    """The stage to look at: at work, at its gate, in error, or the one that comes first."""
    status = Status(task.status)
    return lifecycle.failed_stage(task) or stage_of(status) or WAITS_IN.get(status) or STAGES[0]


def seen(task: Task) -> str:
    """Names what a person is looking at and what a yes to it may cost, so that a decision never falls on something
    else."""
    asked = task.status in REVIEWS and asking.asks(task)
    return _seen(task, None, commitment.of(task, stage_at(task)) if asked else None)


def _seen(task: Task, shelf: Shelf | None, coming: Commitment | None) -> str:
    stage = REVIEWS.get(Status(task.status))
    content = gates.asked_about(task, stage, shelf) if stage else ""
    return f"{task.status}:{content}:{coming.usd if coming else ''}"


def _back_to(task: Task, here: Stage) -> list[Stage]:
    stages = [STAGE[name] for name in moves().get((Status(task.status), Verb.SEND_BACK), {})]
    return sorted((stage for stage in stages if stage.index <= here.index), key=lambda stage: stage.index)


def _ahead(stage: Stage, *, is_later: bool, at_plan: bool) -> set[str]:
    """Kinds of the stage that nobody misses yet: all while its end is to come, and images that a yes to the plan
    draws."""
    return {piece.kind for piece in stage.pieces if is_later or (at_plan and piece.per == "asset")}


def _tabs(task: Task, here: Stage, open_stage: Stage) -> Iterator[Tab]:
    finished = task.status == Status.PUBLISHED
    for stage in STAGES:
        place = "done" if finished or stage.index < here.index else "here" if stage == here else "ahead"
        yield Tab(stage, place, stage == open_stage)


# ---------------------------------------------------------------- what is shown before it is asked for


def first_media(task: Task) -> list[Shot]:
    """What the reviewer of `task` will look at first, to be fetched ahead; of what is large less."""
    kinds = [piece.kind for piece in stage_at(task).pieces if piece.suffix in MEDIA]
    takes = task.takes.filter(selected=True, kind__in=kinds).defer("recipe", "result").order_by("position")
    shots = [Shot(take) for take in takes[: max(AHEAD.values())]]
    return shots[: AHEAD[shots[0].media]] if shots else []


# ---------------------------------------------------------------- takes of one piece, side by side


@dataclass(frozen=True)
class Column:
    """A take beside the one that counts; `words` is its prompt, or what a step of the plan says, as a difference to
    that one's."""

    shot: Shot
    words: list[tuple[str, str]]


def compare(task: Task, kind: str, position: int) -> list[Column]:
    """The take that counts first, then the others, the newest first."""
    takes = task.takes.of(kind, position).filter(state=Take.State.DONE).defer("recipe", "result")
    found = list(takes.order_by("-selected", "-number")[:MOST_TAKES])
    spent = LedgerEntry.objects.filter(take__in=found).sums_by("take_id")
    texts = cards.texts(task, position) if kind == "plan" else {}
    shots = [Shot(take, spent.get(take.pk, Decimal(0)), texts.get(take.pk, "")) for take in found]
    return [Column(shot, cards.difference(shots[0], shot)) for shot in shots]
