"""Which pieces a stage needs, and what each is made from.

A recipe's fingerprint covers its words, settings and the ids of the takes it is made from: when one of them changes,
the take is out of date and is made again; when none does, a resumed stage keeps it. Model ids are left out: a new
model must not buy everything again.

In `parts`, {"take": id} stands for that take's file and {"json": …} for a file with that content, so that the row
holds no path and a workspace can move.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.conf import settings

from channels_app.models import Channel
from production.models import Asset, Clip, Take, Task
from production.stages import PIECE, STEP, STEPS, Piece, Stage

STEP_OF = {step.name: step.number for step in STEPS}
PLAIN = "Full figure, alone, on a plain white background, nothing else in the picture."


@dataclass(frozen=True)
class Recipe:
    """What one take is made from: a script's flags in order, or a callable's facts.

    `details` are handed over with the facts but make nothing out of date: a mended title buys no new plan, and words
    changed while a film is on its way upload it no second time.
    """

    kind: str
    prompt: str = ""
    flags: list[Any] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    sources: tuple[Take, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {"flags": self.flags, "env": self.env, "facts": self.facts | self.details}

    @cached_property
    def fingerprint(self) -> str:
        """Of the plan only its own steps count as sources: what others take from it are words, which are in here."""
        made_of = [self.kind, self.prompt, self.flags, self.env, self.facts]
        counts = [take.pk for take in self.sources if take.kind != "plan" or self.kind == "plan"]
        return _digest([*made_of, sorted(counts)])


@dataclass(frozen=True)
class Need:
    """A piece that the stage needs. `recipe` is None while something it is made from is still missing."""

    piece: Piece
    position: int
    recipe: Recipe | None

    @property
    def key(self) -> tuple[str, int]:
        return self.piece.kind, self.position


class Shelf:
    """A task's plan and its selected takes, read once (three queries)."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.channel = task.channel
        self.clips = {clip.number: clip for clip in task.clips.select_related("character", "environment")}
        self.assets = {asset.number: asset for asset in task.assets.select_related("reference")}
        self.takes = {take.key: take for take in task.takes.filter(selected=True)}
        self._written: dict[int, bool] = {}

    def find(self, *pieces: tuple[str, int]) -> tuple[Take, ...] | None:
        """The selected takes of all these pieces, or None while one is missing."""
        found = tuple(self.takes[piece] for piece in pieces if piece in self.takes)
        return found if len(found) == len(pieces) else None

    @cached_property
    def is_planned(self) -> bool:
        """Every step of the plan is there and up to date. Before that nothing is drawn."""
        return all(self.is_written(step.number) for step in STEPS)

    def is_written(self, number: int) -> bool:
        """The step of the plan is there, and up to date with those that it was told."""
        if number not in self._written:
            take = self.takes.get(("plan", number))
            self._written[number] = take is not None and is_current(
                take, Need(PIECE["plan"], number, _plan(self, number))
            )
        return self._written[number]


def needs(task: Task, stage: Stage, shelf: Shelf | None = None) -> list[Need]:
    """Every piece of the stage, in the order in which they are best made; `shelf`: where somebody has read it."""
    shelf = shelf or Shelf(task)
    return [
        Need(piece, position, RECIPES[piece.kind](shelf, position))
        for piece in stage.pieces
        for position in _positions(shelf, piece)
    ]


def is_current(take: Take, need: Need) -> bool:
    """Made from what the plan and the selected takes say now, or wanted by a person all the same."""
    return bool(take.overruled_by) or bool(need.recipe and take.fingerprint == need.recipe.fingerprint)


def plan_hash(task: Task) -> str:
    """What a yes to the plan binds to, before anything is drawn from it."""
    steps = task.takes.filter(selected=True, kind="plan").order_by("position")
    return _digest(["plan", *(list(row) for row in steps.values_list("position", "pk", "sha256"))])


def lacks(task: Task, stage: Stage, shelf: Shelf | None = None) -> tuple[list[Need], list[Need]]:
    """Pieces of the stage without a selected take, and pieces whose take is out of date."""
    shelf = shelf or Shelf(task)
    missing, stale = [], []
    for need in needs(task, stage, shelf):
        take = shelf.takes.get(need.key)
        if take is None:
            missing.append(need)
        elif not is_current(take, need):
            stale.append(need)
    return missing, stale


def content_hash(task: Task, stage: Stage, selected: Iterable[Take] | None = None) -> str:
    """What a yes at this stage's gate binds to: the selected takes, and at the end the words that are published."""
    if selected is None:
        selected = task.takes.filter(selected=True).only("task", "kind", "position", "sha256")
    kinds = stage.kinds
    content: list[Any] = sorted([t.kind, t.position, t.pk, t.sha256] for t in selected if t.kind in kinds)
    if stage.gate == "always":
        content.append(metadata(task))
    return _digest(content)


def metadata(task: Task) -> dict[str, Any]:
    """What YouTube is told about the film, from the task and its channel's template."""
    channel = task.channel
    return {
        "title": task.title,
        "description": channel.description_template.replace("{title}", task.title).replace(
            "{description}", task.description
        ),
        "tags": [*task.tags, *(tag for tag in channel.tags if tag not in task.tags)],
        "category": channel.category_id,
        "language": channel.language,
        "privacy": task.wanted_privacy,
        "made_for_kids": channel.made_for_kids,
        "synthetic_media": task.discloses,
        "publish_at": task.publish_at.isoformat() if task.publish_at else "",
        "thumbnail": task.thumbnail_id,
    }


# ---------------------------------------------------------------- one recipe a kind


def _plan(shelf: Shelf, position: int) -> Recipe | None:
    """None also while a step before is out of date: it is about to be written again, and this one would be too."""
    task, channel, step = shelf.task, shelf.channel, STEP[position]
    sources = shelf.find(*(("plan", number) for number in step.after))
    if sources is None or not all(shelf.is_written(number) for number in step.after):
        return None
    facts = {"topic": task.topic, "story_direction": task.story_direction}
    details = {
        "title": task.title,
        "language": channel.language,
        "style": channel.style,
        "clips": channel.clips_per_video,
        "assets": channel.assets_per_video,
    }
    return Recipe("plan", f"{step.title}: {task.topic}", facts=facts, details=details, sources=sources)


def _image(shelf: Shelf, position: int) -> Recipe | None:
    asset = shelf.assets[position]
    wanted = [("plan", STEP_OF["assets"])] + ([("image", asset.reference.number)] if asset.reference else [])
    sources = shelf.find(*wanted)
    if sources is None or not shelf.is_planned:
        return None
    plain = PLAIN if asset.kind == Asset.Kind.CHARACTER else ""
    prompt = "\n".join(filter(None, [shelf.channel.style, asset.prompt, plain]))
    references = [part for take in sources[1:] for part in ("--reference-image", {"take": take.pk})]
    return Recipe("image", prompt, ["--prompt", prompt, *references], sources=sources)


def _composite(shelf: Shelf, position: int) -> Recipe | None:
    return _joined(shelf, position, "composite", "--character", "--environment")


def _split(shelf: Shelf, position: int) -> Recipe | None:
    return _joined(shelf, position, "split", "--left", "--right")


def _joined(shelf: Shelf, position: int, kind: str, first: str, second: str) -> Recipe | None:
    """A clip without an environment names its one image twice: so it needs no flag that older scripts don't know."""
    clip = shelf.clips[position]
    sources = shelf.find(("image", clip.character.number), ("image", clip.environment.number))
    if sources is None:
        return None
    flags = [first, {"take": sources[0].pk}, second, {"take": sources[1].pk}]
    words = " + ".join(dict.fromkeys((str(clip.character), str(clip.environment))))
    return Recipe(kind, words, flags, sources=tuple(dict.fromkeys(sources)))


def _clip(shelf: Shelf, position: int) -> Recipe | None:
    clip = shelf.clips[position]
    sources = shelf.find((clip.layout, position))
    if sources is None:
        return None
    flags = ["--image", {"take": sources[0].pk}, "--prompt", clip.motion_prompt]
    return Recipe("clip", clip.motion_prompt, flags, sources=sources)


def _narration(shelf: Shelf, position: int) -> Recipe | None:
    channel, text = shelf.channel, shelf.clips[position].narration
    sources = shelf.find(("plan", STEP_OF["narration"]))
    if sources is None:
        return None
    voice = {
        "--stability": channel.voice_stability,
        "--similarity": channel.voice_similarity,
        "--style": channel.voice_style,
    }
    flags = ["--text", text, *(part for flag, value in voice.items() for part in (flag, f"{value:.2f}"))]
    env = {"ELEVENLABS_VOICE_ID": channel.voice_id or settings.ELEVENLABS_VOICE_ID}
    return Recipe("narration", text, flags, env, sources=sources)


def _sound(shelf: Shelf, position: int) -> Recipe | None:
    text = shelf.clips[position].sound_prompt
    sources = shelf.find(("plan", STEP_OF["sounds"]))
    if sources is None:
        return None
    return Recipe("sound", text, ["--text", text, "--duration", "10"], sources=sources)


def _film(shelf: Shelf, position: int) -> Recipe | None:
    kinds = ("clip", "narration", "sound")
    sources = shelf.find(*((kind, number) for number in shelf.clips for kind in kinds))
    if sources is None:
        return None
    clips = [
        {
            "clip_number": number,
            "video": {"take": shelf.takes["clip", number].pk},
            "audio": {"take": shelf.takes["narration", number].pk},
            "sfx": {"take": shelf.takes["sound", number].pk},
            "text": clip.narration,
            "words": shelf.takes["narration", number].words,
        }
        for number, clip in shelf.clips.items()
    ]
    manifest = {"clips": clips, **_finish(shelf.channel)}
    return Recipe("film", shelf.task.title, ["--manifest", {"json": manifest}], sources=sources)


def _finish(channel: Channel) -> dict[str, Any]:
    """What the channel wants of its films besides clips, as keys of the manifest; what it doesn't want has none."""
    files = {"intro": channel.intro, "outro": channel.outro, "watermark": channel.watermark}
    wanted: dict[str, Any] = {name: file.path for name, file in files.items() if file}
    wanted |= {"fade": float(channel.fade), "captions": channel.captions, "thumbnail": channel.thumbnail}
    return {name: value for name, value in wanted.items() if value}


def _upload(shelf: Shelf, position: int) -> Recipe | None:
    sources = shelf.find(("film", 0))
    if sources is None:
        return None
    return Recipe("upload", details=metadata(shelf.task), sources=sources)


RECIPES: dict[str, Callable[[Shelf, int], Recipe | None]] = {
    "plan": _plan,
    "image": _image,
    "composite": _composite,
    "split": _split,
    "clip": _clip,
    "narration": _narration,
    "sound": _sound,
    "film": _film,
    "upload": _upload,
}


def _positions(shelf: Shelf, piece: Piece) -> Iterator[int]:
    if piece.per == "task":
        yield 0
    elif piece.per == "step":
        yield from STEP
    elif piece.per == "asset":
        yield from shelf.assets
    else:
        layouts = {piece.kind} & set(Clip.Layout.values) or set(Clip.Layout.values)
        yield from (number for number, clip in shelf.clips.items() if clip.layout in layouts)


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
