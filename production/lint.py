"""What can be said of a plan before money is spent on it: limits of the providers, lengths, order of words, risks.

A finding that `stops` holds the images back until a person says yes, whatever the channel's gates; the others are
shown beside the plan.
"""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from django.conf import settings

from production.models import Asset, Clip, Task
from production.providers import PROMPT_LIMITS

CLIP_SECONDS = 10.0  # a clip's length: under a longer narration its last frame is held
WORDS_A_SECOND = 2.5  # a calm narrator, English
SIGNS_A_SECOND = 4.5  # Chinese, Japanese, Korean and Thai are written without spaces
WIDE = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
CAMERA = re.compile(
    r"\b(camera|dolly|dollies|pans?|panning|tilts?|zooms?|push(?:es)? in|pulls? (?:back|out)|tracking|crane|orbits?|"
    r"close-up|wide shot|handheld|aerial)\b",
    re.I,
)
CLAUSE = re.compile(r"[;,.:]\s+")


@dataclass(frozen=True)
class Finding:
    """`where` names the piece; `message` one sentence; `like` the task that it is like, 0 for none. A task of another
    channel is named in no sentence: not everybody may know of it."""

    where: str
    message: str
    stops: bool = False
    like: int = 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def stops(task: Task) -> list[dict[str, Any]]:
    """The findings for which a person is asked before anything is drawn."""
    return [finding for finding in task.findings if finding.get("stops")]


def look(task: Task) -> Iterator[Finding]:
    """Everything that stands out in the task's plan as it is in its rows."""
    assets, clips = list(task.assets.select_related("reference")), list(task.clips.all())
    style = task.channel.style
    for asset in assets:
        yield from _image(asset, style)
    used = {pk for clip in clips for pk in (clip.character_id, clip.environment_id)}
    used |= {asset.reference_id for asset in assets if asset.reference_id}
    for asset in assets:
        if asset.pk not in used:
            yield Finding(f"image {asset.key}", "is used by no clip, and paid all the same")
    for clip in clips:
        yield from _clip(clip)


def _image(asset: Asset, style: str) -> Iterator[Finding]:
    yield from _length(f"image {asset.key}", "image", f"{style}\n{asset.prompt}")
    yield from _risk(f"image {asset.key}", asset.prompt)


def _clip(clip: Clip) -> Iterator[Finding]:
    name = f"clip {clip.number}"
    yield from _length(f"{name}, motion", "clip", clip.motion_prompt)
    yield from _length(f"{name}, narration", "narration", clip.narration)
    yield from _length(f"{name}, sound", "sound", clip.sound_prompt)
    yield from _spoken(f"{name}, narration", clip.narration)
    yield from _order(f"{name}, motion", clip.motion_prompt)
    yield from _risk(f"{name}, motion", clip.motion_prompt)
    yield from _risk(f"{name}, sound", clip.sound_prompt)


def _length(where: str, kind: str, words: str) -> Iterator[Finding]:
    limit = PROMPT_LIMITS[kind]
    if not words.strip():
        yield Finding(where, "is empty", stops=True)
    elif len(words) > limit:
        yield Finding(where, f"has {len(words)} characters, its provider takes {limit} at most", stops=True)


def _spoken(where: str, words: str) -> Iterator[Finding]:
    seconds = spoken_seconds(words)
    if seconds > CLIP_SECONDS:
        told = f"is about {seconds:.0f} s of speech for a clip of {CLIP_SECONDS:.0f} s: its last frame would be held"
        yield Finding(where, told)


def spoken_seconds(words: str) -> float:
    """How long it takes to say."""
    wide = len(WIDE.findall(words))
    return len(WIDE.sub(" ", words).split()) / WORDS_A_SECOND + wide / SIGNS_A_SECOND


def _order(where: str, words: str) -> Iterator[Finding]:
    """Models do what comes first: a motion prompt that begins with the camera moves the camera and little else."""
    clauses = [clause for clause in CLAUSE.split(words.strip()) if clause]
    speaks = [bool(CAMERA.search(clause)) for clause in clauses]
    if not any(speaks):
        yield Finding(where, "names no camera move: say the action first and the camera last")
    elif speaks[0] and not all(speaks):
        yield Finding(where, "names the camera before the action: say the action first and the camera last")


def _risk(where: str, words: str) -> Iterator[Finding]:
    found = sorted({match.lower() for match in _risky().findall(words)})
    if found:
        yield Finding(where, f"may be refused by moderation for: {', '.join(found)}")


def _risky() -> re.Pattern[str]:
    path = settings.PROMPTS_DIR / "risky_words.txt"
    return _pattern(path.read_text() if path.is_file() else "")


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """One word or phrase a line; a # begins a remark."""
    words = [line.partition("#")[0].strip() for line in text.splitlines()]
    listed = "|".join(re.escape(word) for word in words if word)
    return re.compile(rf"\b(?:{listed})\b" if listed else r"(?!)", re.I)
