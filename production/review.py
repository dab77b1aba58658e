"""What the review page shows, as plain data: the same page for every gate, computed from the stage table.

The number of queries does not depend on the number of pieces.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import yaml
from django.urls import reverse
from django.utils import timezone

from production import asking, commitment, explain, gates, lifecycle, recipes
from production.commitment import Commitment
from production.explain import Blocker
from production.lint import CLIP_SECONDS
from production.models import Asset, Clip, LedgerEntry, Provider, StatusChange, Take, Task
from production.providers import price
from production.recipes import Need
from production.stages import (
    ERRORS,
    PIECES,
    REVIEWS,
    STAGE,
    STAGES,
    STEP,
    WAITS_IN,
    Piece,
    Stage,
    Status,
    Verb,
    moves,
    stage_of,
    verbs_for,
)

MEDIA = {".png": "image", ".mp4": "video", ".mp3": "audio"}
AHEAD = {"image": 8, "audio": 6, "video": 2}  # pieces of the next task that are fetched before it is opened
HISTORY = 60  # lines of history on the page
LIVE = ("working", "waiting")  # tones of a task that the system has
State = Take.State


# ---------------------------------------------------------------- the page


@dataclass(frozen=True)
class Shot:
    """One take as it is shown."""

    take: Take
    usd: Decimal
    text: str = ""  # a step of the plan, as a person reads and rewrites it

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
    def says_trying(self) -> bool:
        """Whether the state of what is being made stands in the card's head: where no empty frame says it already."""
        if not self.trying:
            return False
        return bool(self.shown) or self.kind in ("plan", "upload") or self.state in (State.FAILED, State.UNKNOWN)

    @property
    def next_try(self) -> dt.datetime | None:
        """When what has failed is tried again; None where something else than the time holds it."""
        take = self.trying.take if self.trying else None
        return take.due_at if take and take.state == State.WAITING and take.due_at > timezone.now() else None

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
    blocker: Blocker | None  # why the system, which has it, isn't done
    back_to: list[Stage]
    at_plan: bool = False  # the plan waits for its yes, or images that nobody has drawn
    commitment: Commitment | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

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
    spent, lanes = LedgerEntry.objects.filter(take__task=task).sums_by("take_id"), Provider.objects.in_bulk()
    takes = list(task.takes.defer("recipe", "result").select_related("lane").order_by("kind", "position", "-number"))
    asks = asking.with_asks(Task.objects.filter(pk=task.pk)).values_list("asks", flat=True).get()
    may = verbs_for(Status(task.status))
    can_approve = Verb.APPROVE in may and asks
    tone = asking.tone(task.status, asks=asks)
    return Page(
        task=task,
        stage=stage,
        here=here,
        tabs=list(_tabs(task, here, stage)),
        cards=list(_cards(task, stage, takes, spent, lanes)),
        changes=list(task.changes.order_by("-id")[:HISTORY]),
        usd=sum(spent.values(), Decimal(0)),
        verbs=frozenset(may) if asks else frozenset(may - {Verb.APPROVE, Verb.REJECT, Verb.REDO}),
        tone=tone,
        seen=seen(task),
        blocker=explain.why(task) if tone in LIVE else None,
        back_to=_back_to(task),
        at_plan=can_approve and gates.stops_at_plan(task),
        commitment=commitment.of(task, here, takes, lanes) if can_approve else None,
        metadata=recipes.metadata(task) if stage.gate in ("always", "never") else {},
    )


def stage_at(task: Task) -> Stage:
    """The stage to look at: at work, at its gate, in error, or the one that comes first."""
    status = Status(task.status)
    return lifecycle.failed_stage(task) or stage_of(status) or WAITS_IN.get(status) or STAGES[0]


def seen(task: Task) -> str:
    """Names what a person is looking at, so that a decision never falls on something else."""
    stage = REVIEWS.get(Status(task.status))
    return f"{task.status}:{gates.asked_about(task, stage) if stage else ''}"


def _back_to(task: Task) -> list[Stage]:
    stages = [STAGE[name] for name in moves().get((Status(task.status), Verb.SEND_BACK), {})]
    here = stage_at(task).index
    return sorted((stage for stage in stages if stage.index <= here), key=lambda stage: stage.index)


def _tabs(task: Task, here: Stage, open_stage: Stage) -> Iterator[Tab]:
    finished = task.status == Status.PUBLISHED
    for stage in STAGES:
        place = "done" if finished or stage.index < here.index else "here" if stage == here else "ahead"
        yield Tab(stage, place, stage == open_stage)


# ---------------------------------------------------------------- its cards


def _cards(
    task: Task, stage: Stage, takes: list[Take], spent: dict[int, Decimal], lanes: dict[str, Provider]
) -> Iterator[Card]:
    shelf = recipes.Shelf(task)
    by_piece: dict[tuple[str, int], list[Shot]] = {}
    texts = _texts(task) if any(piece.per == "step" for piece in PIECES if piece.stage == stage.name) else {}
    for take in takes:
        shot = Shot(take, spent.get(take.pk, Decimal(0)), texts.get(take.pk, ""))
        by_piece.setdefault((take.kind, take.position), []).append(shot)
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
        title=_title(need, row),
        words=words_of(need.piece, row),
        narration=row.narration if isinstance(row, Clip) and need.piece.kind != "narration" else "",
        shown=shown,
        trying=trying,
        others=[shot for shot in shots if (shot.url or shot.text) and shot is not shown],
        poster=poster,
        is_current=bool(shown and recipes.is_current(shown.take, need)),
        price=again,
    )


def _title(need: Need, row: Asset | Clip | None) -> str:
    if need.piece.per == "step":
        return STEP[need.position].title
    return row.key.replace("-", " ") if isinstance(row, Asset) else str(row or need.piece.kind.title())


def _texts(task: Task) -> dict[int, str]:
    """What each finished take of the plan says."""
    done = task.takes.filter(kind="plan", state=State.DONE).values_list("pk", "result")
    return {pk: yaml.safe_dump(found, allow_unicode=True, sort_keys=False, width=100) for pk, found in done if found}


def words_of(piece: Piece, row: Asset | Clip | None) -> str:
    """The words in the plan that a piece is made from."""
    return str(getattr(row, piece.words)) if row and piece.words else ""


def _row(shelf: recipes.Shelf, need: Need) -> Asset | Clip | None:
    if need.piece.per == "step":
        return None
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


# ---------------------------------------------------------------- what is shown before it is asked for


def first_media(task: Task) -> list[Shot]:
    """What the reviewer of `task` will look at first, to be fetched ahead; of what is large less."""
    kinds = [piece.kind for piece in PIECES if piece.stage == stage_at(task).name and piece.suffix in MEDIA]
    takes = task.takes.filter(selected=True, kind__in=kinds).defer("recipe", "result").order_by("position")
    shots = [Shot(take, Decimal(0)) for take in takes[: max(AHEAD.values())]]
    return shots[: AHEAD[shots[0].media]] if shots else []
