"""What the review page shows, as plain data: the same page for every gate, computed from the stage table.

The number of queries does not depend on the number of pieces.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypedDict

from django.db.models import Case, Exists, OuterRef, Q, QuerySet, Sum, When
from django.urls import reverse

from production import lifecycle, recipes
from production.models import Approval, Asset, Clip, LedgerEntry, Provider, StatusChange, Take, Task
from production.providers import price
from production.recipes import Need
from production.stages import (
    ERRORS,
    HOLDING,
    PIECES,
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

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    class Asks(TypedDict):
        asks: bool

    AskedTask = WithAnnotations[Task, Asks]

CLIP_SECONDS = 10.0  # a clip's length: under a longer narration its last frame is held
MEDIA = {".png": "image", ".mp4": "video", ".mp3": "audio"}
AHEAD = {"image": 8, "audio": 6, "video": 2}  # pieces of the next task that are fetched before it is opened
HISTORY = 60  # lines of history on the page
State = Take.State


# ---------------------------------------------------------------- who has it


def tone(status: str, *, asks: bool = True) -> str:
    """The colour's name: idle, waiting, working, you, error or done. `asks`: a person is really awaited there."""
    if status in ERRORS:
        return "error"
    if status in REVIEWS and asks:
        return "you"
    if status in HOLDING:
        return "working"
    return {Status.DRAFT: "idle", Status.PUBLISHED: "done"}.get(Status(status), "waiting")


def asking(tasks: QuerySet[Task]) -> "QuerySet[AskedTask]":
    """Adds `asks`: true where a person is awaited. A stage without a status of its own for the yes (composites, SFX)
    stays in its review status while it only waits for a free slot."""
    return tasks.annotate(asks=Case(When(_awaits_a_person(), then=True), default=False))


def _awaits_a_person() -> Q:
    settled = Q()
    for stage in STAGES:
        if stage.review and stage.approved == stage.ready:
            yes = Approval.objects.filter(task=OuterRef("pk"), stage=stage.name, at__gte=OuterRef("status_since"))
            no_gate = ~Q(channel__gates__contains=[stage.name])
            settled |= Q(status=stage.review) & (no_gate | Q(Exists(yes)))
    return Q(status__in=[*REVIEWS, *ERRORS]) & ~settled


def queue() -> "QuerySet[AskedTask]":
    """Tasks that wait for a person: the most urgent first, then who has waited longest."""
    return asking(Task.objects.select_related("channel")).filter(asks=True).order_by("priority", "status_since", "pk")


def after(task: Task) -> Task | None:
    """Whom to look at when `task` is decided."""
    return queue().exclude(pk=task.pk).first()


# ---------------------------------------------------------------- the page


@dataclass(frozen=True)
class Shot:
    """One take as it is shown."""

    take: Take
    usd: Decimal

    @property
    def url(self) -> str:
        return reverse("take-file", args=[self.take.pk]) if self.media and self.take.state == State.DONE else ""

    @property
    def media(self) -> str:
        """image, video, audio, or "" for what can't be looked at."""
        return MEDIA.get(self.take.piece.suffix, "")


@dataclass(frozen=True)
class Card:
    """One piece: the take that counts, the one that is being made or has failed, and the others to compare."""

    kind: str
    position: int
    title: str
    words: str  # what it was asked for, editable with a redo; empty where it has none of its own
    narration: str
    shown: Shot | None
    trying: Shot | None
    others: list[Shot]
    poster: str
    is_current: bool
    price: Decimal  # of another take, USD at most

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.position}"

    @property
    def state(self) -> str:
        """done, stale, missing, or the state of the take that is being made or has failed."""
        if self.trying:
            return str(self.trying.take.state)
        if not self.shown:
            return "missing"
        return "done" if self.is_current else "stale"

    @property
    def version(self) -> str:
        """Changes when the card has something new to show."""
        return "-".join(f"{shot.take.pk}{shot.take.state}" for shot in (self.shown, self.trying) if shot)

    @property
    def is_long(self) -> bool:
        seconds = self.shown.take.seconds if self.shown else None
        return self.kind == "narration" and bool(seconds) and (seconds or 0) > CLIP_SECONDS

    @property
    def usd(self) -> Decimal:
        return sum((shot.usd for shot in [self.shown, self.trying, *self.others] if shot), Decimal(0))

    @property
    def is_suspicious(self) -> bool:
        return self.is_long or self.state in (State.FAILED, "stale", "missing")


@dataclass(frozen=True)
class Tab:
    """A stage as a step of the pipeline; `place` is done, here or ahead."""

    stage: Stage
    place: str
    is_open: bool


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


@dataclass(frozen=True)
class Page:
    """Everything the template needs."""

    task: Task
    stage: Stage  # the one that is looked at
    here: Stage  # the one that the task is at
    tabs: list[Tab]
    cards: list[Card]
    changes: list[StatusChange]
    usd: Decimal
    verbs: frozenset[Verb]
    tone: str
    seen: str
    back_to: list[Stage]
    commitment: Commitment | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def is_here(self) -> bool:
        return self.stage == self.here

    @property
    def is_live(self) -> bool:
        """The system has it: the page looks again by itself."""
        return self.tone in ("working", "waiting")

    @property
    def media(self) -> str:
        """What most of its pieces are: decides the layout."""
        return next(MEDIA.get(piece.suffix, "none") for piece in PIECES[::-1] if piece.stage == self.stage.name)

    @property
    def suspicious(self) -> list[Card]:
        return [card for card in self.cards if card.is_suspicious]

    @property
    def simulated(self) -> bool:
        return any(shot.take.simulated for card in self.cards for shot in (card.shown, card.trying) if shot)

    @property
    def can_pick(self) -> bool:
        return self.tone in ("you", "error")

    @property
    def is_complete(self) -> bool:
        """Every piece has a take that can stand in for what failed."""
        return bool(self.cards) and all(card.shown for card in self.cards)

    @property
    def failure(self) -> str:
        """Why it stopped, in words."""
        return next((change.reason for change in self.changes if change.after in ERRORS and change.is_error), "")


def read(task: Task, stage_name: str = "") -> Page:
    """The page of the task at the stage it is at, or at the named one."""
    here = stage_at(task)
    stage = STAGE.get(stage_name, here)
    spent, lanes = _spent(task), Provider.objects.in_bulk()
    takes = list(task.takes.defer("recipe", "result").select_related("lane").order_by("kind", "position", "-number"))
    asks = asking(Task.objects.filter(pk=task.pk)).values_list("asks", flat=True).get()
    may = verbs_for(Status(task.status))
    can_approve = Verb.APPROVE in may and asks
    return Page(
        task=task,
        stage=stage,
        here=here,
        tabs=list(_tabs(task, here, stage)),
        cards=list(_cards(task, stage, takes, spent, lanes)),
        changes=list(task.changes.order_by("-id")[:HISTORY]),
        usd=sum(spent.values(), Decimal(0)),
        verbs=frozenset(may) if asks else frozenset(may - {Verb.APPROVE, Verb.REJECT, Verb.REDO}),
        tone=tone(task.status, asks=asks),
        seen=seen(task),
        back_to=_back_to(task),
        commitment=commitment(task, here, takes, lanes) if can_approve else None,
        metadata=recipes.metadata(task) if stage.gate in ("always", "never") else {},
    )


def stage_at(task: Task) -> Stage:
    """The stage to look at: at work, at its gate, in error, or the one that comes first."""
    status = Status(task.status)
    return lifecycle.failed_stage(task) or stage_of(status) or WAITS_IN.get(status) or STAGES[0]


def seen(task: Task) -> str:
    """Names what a person is looking at, so that a decision never falls on something else."""
    stage = REVIEWS.get(Status(task.status))
    return f"{task.status}:{recipes.content_hash(task, stage) if stage else ''}"


def _back_to(task: Task) -> list[Stage]:
    stages = [STAGE[name] for name in moves().get((Status(task.status), Verb.SEND_BACK), {})]
    here = stage_at(task).index
    return sorted((stage for stage in stages if stage.index <= here), key=lambda stage: stage.index)


def _tabs(task: Task, here: Stage, open_stage: Stage) -> Iterator[Tab]:
    finished = task.status == Status.PUBLISHED
    for stage in STAGES:
        place = "done" if finished or stage.index < here.index else "here" if stage == here else "ahead"
        yield Tab(stage, place, stage == open_stage)


def _spent(task: Task) -> dict[int, Decimal]:
    """USD by take."""
    lines = LedgerEntry.objects.filter(take__task=task).counted().order_by().values_list("take_id").annotate(Sum("usd"))
    return dict(lines)


# ---------------------------------------------------------------- its cards


def _cards(
    task: Task, stage: Stage, takes: list[Take], spent: dict[int, Decimal], lanes: dict[str, Provider]
) -> Iterator[Card]:
    shelf = recipes.Shelf(task)
    by_piece: dict[tuple[str, int], list[Shot]] = {}
    for take in takes:
        by_piece.setdefault((take.kind, take.position), []).append(Shot(take, spent.get(take.pk, Decimal(0))))
    for need in recipes.needs(task, stage):
        shots = by_piece.get((need.piece.kind, need.position), [])
        again = price(lanes[need.piece.lane], need.piece.kind)
        yield _card(need, shots, _row(shelf, need), _poster(shelf, need), again)


def _card(need: Need, shots: list[Shot], row: Asset | Clip | None, poster: str, again: Decimal) -> Card:
    """`shots` come newest first."""
    shown = next((shot for shot in shots if shot.take.selected), None)
    newest = shots[0] if shots and shots[0] != shown else None
    trying = newest if newest and (newest.take.is_live or newest.take.state == State.FAILED) else None
    return Card(
        kind=need.piece.kind,
        position=need.position,
        title=row.key.replace("-", " ") if isinstance(row, Asset) else str(row or need.piece.kind.title()),
        words=words_of(need.piece.kind, row),
        narration=row.narration if isinstance(row, Clip) and need.piece.kind != "narration" else "",
        shown=shown,
        trying=trying,
        others=[shot for shot in shots if shot.url and shot is not shown],
        poster=poster,
        is_current=bool(shown and recipes.is_current(shown.take, need)),
        price=again,
    )


def words_of(kind: str, row: Asset | Clip | None) -> str:
    """The words in the plan that a piece is made from."""
    if isinstance(row, Asset):
        return row.prompt
    names = {"clip": "motion_prompt", "narration": "narration", "sound": "sound_prompt"}
    return str(getattr(row, names[kind])) if row and kind in names else ""


def _row(shelf: recipes.Shelf, need: Need) -> Asset | Clip | None:
    if need.piece.per == "asset":
        return shelf.assets.get(need.position)
    return shelf.clips.get(need.position)


def _poster(shelf: recipes.Shelf, need: Need) -> str:
    """The still that a clip, a narration or a sound belongs to; the first one for the film."""
    if need.piece.suffix not in (".mp4", ".mp3"):
        return ""
    clip = shelf.clips.get(need.position or 1)
    take = shelf.takes.get((clip.layout, clip.number)) if clip else None
    return Shot(take, Decimal(0)).url if take else ""


# ---------------------------------------------------------------- what a yes costs


def commitment(
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
    """The stages that go by themselves until a person is asked again."""
    for later in STAGES[stage.index + 1 :]:
        yield later
        if later.gate == "always" or later.name in task.channel.gates:
            return


# ---------------------------------------------------------------- what is shown before it is asked for


def first_media(task: Task) -> list[Shot]:
    """What the reviewer of `task` will look at first, to be fetched ahead; of what is large less."""
    kinds = [piece.kind for piece in PIECES if piece.stage == stage_at(task).name and piece.suffix in MEDIA]
    takes = task.takes.filter(selected=True, kind__in=kinds).defer("recipe", "result").order_by("position")
    shots = [Shot(take, Decimal(0)) for take in takes[: max(AHEAD.values())]]
    return shots[: AHEAD[shots[0].media]] if shots else []
