"""One piece as the review page shows it: its takes, what speaks against it, what it belongs to. Plain data."""

import datetime as dt
import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

import yaml
from django.urls import reverse
from django.utils import timezone

from production import facts, recipes
from production.facts import Facts
from production.lint import CLIP_SECONDS
from production.models import Asset, Clip, Provider, Take, Task
from production.providers import price
from production.recipes import Need, Shelf
from production.stages import STEP, Piece, Stage

MEDIA = {".png": "image", ".mp4": "video", ".mp3": "audio"}
STILLS = ("composite", "split", "image")
WORD = re.compile(r"\s+|\w+|[^\w\s]+")
LINE = re.compile(r"[^\n]*\n?")
State = Take.State


@dataclass(frozen=True)
class Shot:
    """One take as it is shown."""

    take: Take
    usd: Decimal = Decimal(0)
    text: str = ""  # a step of the plan, as a person reads and rewrites it

    @property
    def url(self) -> str:
        return reverse("take-file", args=[self.take.pk]) if self.media and self.take.state == State.DONE else ""

    @property
    def poster_url(self) -> str:
        """A small picture of it: an image made small, a film's first lit frame, a sound's wave form; empty: none."""
        return reverse("take-poster", args=[self.take.pk]) if self.take.measured.get("poster") else ""

    @property
    def captions_url(self) -> str:
        """WebVTT for its player; empty where a film has none."""
        return reverse("take-captions", args=[self.take.pk]) if self.url and self.facts.has_captions else ""

    @property
    def facts(self) -> Facts:
        return facts.of(self.take)

    @property
    def media(self) -> str:
        """image, video, audio, or "" for what can't be looked at."""
        return MEDIA.get(self.take.piece.suffix, "")


@dataclass(frozen=True)
class Flag:
    """Something to look at before the rest; `severity` is warning or error, `at` the second it is about."""

    words: str
    severity: str = "warning"
    at: float | None = None


@dataclass(frozen=True)
class Card:
    """One piece: the take that counts, the one that is being made or has failed, and how many others there are."""

    kind: str
    position: int
    title: str
    words: str  # what it was asked for, editable with a redo; empty where it has none of its own
    narration: str
    shown: Shot | None
    trying: Shot | None
    others: list[Shot]
    poster: str  # the still that it belongs to, small
    still: str  # the same, large
    clip: Shot | None  # what a narration or a sound lies under
    is_current: bool
    price: Decimal  # of another take, USD at most
    group: str = ""  # the kind of an image
    is_ahead: bool = False  # its turn has not come: nobody misses it

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
    def seconds(self) -> float:
        """Of what is shown; 0 where it has no length."""
        return (self.shown.take.seconds or 0) if self.shown else 0

    @property
    def room(self) -> float:
        """Seconds that its clip has for it."""
        return (self.clip.take.seconds if self.clip else None) or CLIP_SECONDS

    @property
    def is_long(self) -> bool:
        return self.kind == "narration" and self.seconds > self.room

    @property
    def usd(self) -> Decimal:
        return sum((shot.usd for shot in [self.shown, self.trying, *self.others] if shot), Decimal(0))

    @property
    def flags(self) -> list[Flag]:
        """Why a reviewer looks here first. What else is found on a take joins this list, and nowhere else."""
        looked = self.shown.take.findings if self.shown else []
        found = [Flag(said["words"], said["severity"], said["at"]) for said in looked]
        if self.state == State.FAILED:
            found.append(Flag("It could not be made", "error"))
        if self.state == "missing" and not self.is_ahead:
            found.append(Flag("It is not there", "error"))
        if self.state == "stale":
            found.append(Flag("What it is made from has changed since"))
        if self.is_long and all(said["code"] != "overrun" for said in looked):
            over = self.seconds - self.room
            found.append(Flag(f"Longer than its clip by {over:.1f} s: the last frame is held so long"))
        return found


def cards(
    task: Task,
    stage: Stage,
    shelf: Shelf,
    takes: Iterable[Take],
    spent: Mapping[int, Decimal],
    lanes: Mapping[str, Provider],
    *,
    ahead: Collection[str] = (),
) -> Iterator[Card]:
    """`takes` come newest first. `ahead`: kinds whose turn has not come."""
    by_piece: dict[tuple[str, int], list[Shot]] = {}
    said = texts(task) if any(piece.per == "step" for piece in stage.pieces) else {}
    for take in takes:
        shot = Shot(take, spent.get(take.pk, Decimal(0)), said.get(take.pk, ""))
        by_piece.setdefault(take.key, []).append(shot)
    for need in recipes.needs(task, stage, shelf):
        shots = by_piece.get(need.key, [])
        is_ahead = need.piece.kind in ahead or need.recipe is None  # what it is made from is not there either
        yield _card(need, shots, shelf, price(lanes[need.piece.lane], need.piece.kind), is_ahead=is_ahead)


def _card(need: Need, shots: list[Shot], shelf: Shelf, again: Decimal, *, is_ahead: bool) -> Card:
    row = _row(shelf, need)
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
        poster=_poster(shelf, need),
        still=still_of(shelf, _clip_row(shelf, need)),
        clip=_clip(shelf, need),
        is_current=bool(shown and recipes.is_current(shown.take, need)),
        price=again,
        group=row.kind if isinstance(row, Asset) else "",
        is_ahead=is_ahead,
    )


def named(shelf: Shelf, piece: Piece, position: int) -> tuple[str, str]:
    """The title of a clip's or an image's piece, and the words in the plan that it is made from."""
    need = Need(piece, position, None)
    row = _row(shelf, need)
    return _title(need, row), words_of(piece, row)


def _title(need: Need, row: Asset | Clip | None) -> str:
    if need.piece.per == "step":
        return STEP[need.position].title
    return row.key.replace("-", " ") if isinstance(row, Asset) else str(row or need.piece.kind.title())


def texts(task: Task, position: int | None = None) -> dict[int, str]:
    """What each finished take of the plan says, or of one step."""
    done = task.takes.filter(kind="plan", state=State.DONE)
    found = (done if position is None else done.filter(position=position)).values_list("pk", "result")
    return {pk: yaml.safe_dump(said, allow_unicode=True, sort_keys=False, width=100) for pk, said in found if said}


def words_of(piece: Piece, row: Asset | Clip | None) -> str:
    """The words in the plan that a piece is made from."""
    return str(getattr(row, piece.words)) if row and piece.words else ""


def _row(shelf: Shelf, need: Need) -> Asset | Clip | None:
    if need.piece.per == "step":
        return None
    if need.piece.per == "asset":
        return shelf.assets.get(need.position)
    return shelf.clips.get(need.position)


def _clip_row(shelf: Shelf, need: Need) -> Clip | None:
    return shelf.clips.get(need.position or 1) if need.piece.suffix in (".mp4", ".mp3") else None


def _poster(shelf: Shelf, need: Need) -> str:
    """The still that a clip, a narration or a sound belongs to; the first one for the film."""
    clip = _clip_row(shelf, need)
    take = shelf.takes.get((clip.layout, clip.number)) if clip else None
    return (Shot(take).poster_url or Shot(take).url) if take else ""


def still_of(shelf: Shelf, clip: Clip | None) -> str:
    return _url(shelf, clip.layout, clip.number) if clip else ""


def _clip(shelf: Shelf, need: Need) -> Shot | None:
    take = shelf.takes.get(("clip", need.position)) if need.piece.suffix == ".mp3" else None
    return Shot(take) if take else None


def stills(shelf: Shelf) -> list[Shot]:
    """Pictures that can be the thumbnail, composites first: they show what the film shows."""
    rank = {kind: place for place, kind in enumerate(STILLS)}
    found = (take for take in shelf.takes.values() if take.kind in rank)
    return [Shot(take) for take in sorted(found, key=lambda take: (rank[take.kind], take.position))]


# ---------------------------------------------------------------- the film before it is one


@dataclass(frozen=True)
class Scene:
    """A clip with what is heard over it, to be played one after the other. Addresses are empty where nothing is yet."""

    number: int
    still: str
    clip: str
    narration: str
    sound: str
    seconds: float  # how long the clip stays, as assembly will cut it
    text: str


def reel(shelf: Shelf) -> list[Scene]:
    return [_scene(shelf, clip) for clip in shelf.clips.values() if ("clip", clip.number) in shelf.takes]


def _scene(shelf: Shelf, clip: Clip) -> Scene:
    spoken = shelf.takes.get(("narration", clip.number))
    lengths = (take.seconds for take in (spoken, shelf.takes["clip", clip.number]) if take and take.seconds)
    return Scene(
        number=clip.number,
        still=still_of(shelf, clip),
        clip=_url(shelf, "clip", clip.number),
        narration=_url(shelf, "narration", clip.number),
        sound=_url(shelf, "sound", clip.number),
        seconds=next(lengths, CLIP_SECONDS),
        text=clip.narration,
    )


def _url(shelf: Shelf, kind: str, position: int) -> str:
    take = shelf.takes.get((kind, position))
    return Shot(take).url if take else ""


# ---------------------------------------------------------------- takes side by side


def difference(before: Shot, after: Shot) -> list[tuple[str, str]]:
    """How what the one was asked for, or says, became the other's: (same, gone or new; the words). Prompts are compared
    word by word; a step of the plan line by line, for it has thousands of words."""
    unit = LINE if before.text else WORD
    old, new = (unit.findall(shot.text or shot.take.prompt) for shot in (before, after))
    found = []
    for what, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            found.append(("same", "".join(old[a:b])))
            continue
        found += [(kind, words) for kind, words in (("gone", "".join(old[a:b])), ("new", "".join(new[c:d]))) if words]
    return found
