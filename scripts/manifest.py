"""The manifest of a film, read once and checked whole: every file in it is opened before the first frame is encoded.

Classic part: ``{"clips": [{"clip_number", "video", "audio", "sfx"}]}``; ``sfx`` may be missing. Newer keys, all
optional: ``intro``, ``outro`` (videos with their own sound), ``watermark`` (an image), ``loudness`` (LUFS, -14),
``fade`` (seconds from and to black, 0), ``captions`` (the SRT to write: a path, or true for the film's own with
``.srt``), ``thumbnail`` (the JPEG to write, likewise with ``.jpg``); in a clip ``text`` (the narration) and ``words``
(``[["After", 0.0, 0.41], ...]``, in seconds).
"""

import json
import math
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from contract import Failure, require_file
from probe import Video, probe_video, sound_seconds

Word = tuple[str, float, float]

RATES = (
    Fraction(24000, 1001),
    Fraction(24),
    Fraction(25),
    Fraction(30000, 1001),
    Fraction(30),
    Fraction(50),
    Fraction(60),
)


@dataclass(frozen=True)
class Piece:
    """A stretch of the film: a clip under its narration, or an intro or outro with its own sound.

    name: how errors and events call it; seconds: its length in the film; narration: None for an intro or outro.
    """

    name: str
    video: Video
    seconds: float
    narration: Path | None = None
    sfx: Path | None = None
    text: str = ""
    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """A film to be made. rate: frames a second, the one most clips have; loudness in LUFS; fade in seconds."""

    pieces: tuple[Piece, ...]
    rate: Fraction
    watermark: Path | None
    captions: Path | None
    thumbnail: Path | None
    loudness: float
    fade: float


def read_manifest(path: Path, film: Path) -> Manifest:
    """Read and check the manifest of a film to be written there; each fault is a line that names the field or file."""
    require_file(path, "manifest")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Failure("permanent", f"manifest {path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise Failure("permanent", f"manifest {path} is not an object")
    clips = _clips(content.get("clips"))
    manifest = Manifest(
        pieces=(*_whole_video(content, "intro"), *clips, *_whole_video(content, "outro")),
        rate=_rate(clips),
        watermark=_watermark(content),
        captions=_beside(content, "captions", film.with_suffix(".srt")),
        thumbnail=_beside(content, "thumbnail", film.with_suffix(".jpg")),
        loudness=_number(content, "loudness", default=-14.0, low=-40.0, high=-9.0),
        fade=_number(content, "fade", default=0.0, low=0.0, high=10.0),
    )
    _keep_apart(manifest, path, film)
    return manifest


def _keep_apart(manifest: Manifest, path: Path, film: Path) -> None:
    """Fail where something would be written over what the film is made of, or over something else written."""
    taken = {path.resolve(): "the manifest"}
    for piece in manifest.pieces:
        taken |= {file.resolve(): piece.name for file in (piece.video.path, piece.narration, piece.sfx) if file}
    if manifest.watermark:
        taken[manifest.watermark.resolve()] = "the watermark"
    for name, file in (("--output", film), ("captions", manifest.captions), ("thumbnail", manifest.thumbnail)):
        if file and (owner := taken.setdefault(file.resolve(), name)) != name:
            raise Failure("permanent", f"{name} {file} would be written over {owner}")


def _clips(entries: object) -> list[Piece]:
    """The clips in the order of their numbers."""
    if not isinstance(entries, list) or not entries:
        raise Failure("permanent", "manifest: clips is empty or missing")
    numbers = [entry.get("clip_number") if isinstance(entry, dict) else None for entry in entries]
    for place, number in enumerate(numbers, start=1):
        if not isinstance(number, int) or isinstance(number, bool):
            raise Failure("permanent", f"manifest: entry {place} of clips has no whole clip_number")
    repeated = [number for number, count in Counter(numbers).items() if count > 1]
    if repeated:
        raise Failure("permanent", f"manifest: clip_number {repeated[0]} stands there more than once")
    return [_clip(entry) for entry in sorted(entries, key=lambda entry: int(entry["clip_number"]))]


def _clip(entry: dict[str, Any]) -> Piece:
    name = f"clip {entry['clip_number']}"
    video, audio, sfx = (_path(entry, field, name) for field in ("video", "audio", "sfx"))
    if not video or not audio:
        raise Failure("permanent", f"{name}: {'audio' if video else 'video'} is missing")
    if sfx:
        sound_seconds(sfx, f"{name}: sfx")
    return Piece(
        name,
        probe_video(video, f"{name}: video"),
        sound_seconds(audio, f"{name}: audio"),
        audio,
        sfx,
        _text(entry.get("text"), name),
        _words(entry.get("words"), name),
    )


def _text(value: object, name: str) -> str:
    if not isinstance(value, str | None):
        raise Failure("permanent", f"{name}: text is not a string")
    return (value or "").strip()


def _words(entries: Any, name: str) -> tuple[Word, ...]:
    """In the order of their starts, blank ones left out."""
    try:
        words = [(" ".join(str(text).split()), float(start), float(end)) for text, start, end in entries or ()]
    except (TypeError, ValueError, OverflowError):
        words = [("", math.nan, math.nan)]
    if not all(math.isfinite(second) for _, *seconds in words for second in seconds):
        raise Failure("permanent", f"{name}: words must be a list of [word, start, end], in seconds")
    return tuple(sorted((word for word in words if word[0]), key=lambda word: word[1]))


def _whole_video(content: dict[str, Any], field: str) -> tuple[Piece, ...]:
    path = _path(content, field)
    if not path:
        return ()
    video = probe_video(path, field)
    return (Piece(field, video, video.seconds),)


def _rate(clips: list[Piece]) -> Fraction:
    """The usual rate nearest to what most clips have."""
    common = Counter(clip.video.rate for clip in clips).most_common(1)[0][0]
    return min(RATES, key=lambda rate: abs(rate - common))


def _watermark(content: dict[str, Any]) -> Path | None:
    path = _path(content, "watermark")
    if path:
        from pictures import open_picture  # Pillow is needed only here

        open_picture(path, "watermark")
    return path


def _beside(content: dict[str, Any], field: str, usual: Path) -> Path | None:
    """Where to write what comes along with the film; false is as good as nothing."""
    value = content.get(field)
    return (usual if value else None) if isinstance(value, bool) else _path(content, field)


def _path(entry: dict[str, Any], field: str, name: str = "manifest") -> Path | None:
    """An absolute path, or None where the field is missing, null or empty."""
    value = entry.get(field)
    if value in (None, ""):
        return None
    if not isinstance(value, str) or "\0" in value or not Path(value).is_absolute():
        raise Failure("permanent", f"{name}: {field} is not an absolute path")
    return Path(value)


def _number(content: dict[str, Any], field: str, *, default: float, low: float, high: float) -> float:
    value = content.get(field)
    if value is None:
        return default
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise Failure("permanent", f"manifest: {field} must be a number from {low:g} to {high:g}")
    return float(value)
