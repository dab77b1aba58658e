"""What of a production is made already: files in the folders of the hand-run process."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from production.documents.findings import Findings
from production.documents.markdown import Place

Json = dict[str, Any]
Piece = tuple[str, int]  # kind and number of its clip or asset, as takes have them
IN_CLIP = re.compile(r"clip[ _-]?0*(\d{1,3})(?:[ _-](.*))?", re.IGNORECASE)
SOUND = re.compile(r"sfx|sound|effect", re.IGNORECASE)
FOLDERS = {  # where files of a kind lie, with their suffix
    "still": (("assets/composites", "composites"), ".png"),
    "clip": (("videos", "video", "clips"), ".mp4"),
    "narration": (("audio",), ".mp3"),
    "sound": (("sfx", "sound_effects", "sounds"), ".mp3"),
}


def find_media(folder: Path, plan: Json, seeds: dict[int, str], findings: Findings) -> dict[Piece, Path]:
    """The file of each piece that has one. Of several stills `seeds` tells the clip's; else the newest counts."""
    there: dict[Piece, list[Path]] = {}
    for piece, path in (*_images(folder, plan), *_of_clips(folder, plan, findings)):
        there.setdefault(piece, []).append(path)
    chosen = {piece: _one_of(folder, piece, paths, seeds, findings) for piece, paths in there.items()}
    return dict(sorted(chosen.items()))


def _images(folder: Path, plan: Json) -> Iterator[tuple[Piece, Path]]:
    for number, asset in enumerate(plan["assets"], 1):
        for place in (f"assets/{asset['kind']}s", "assets"):
            found = [path for path in _files(folder / place, ".png") if path.stem.lower() == asset["key"]]
            if found:
                yield ("image", number), found[0]
                break


def _of_clips(folder: Path, plan: Json, findings: Findings) -> Iterator[tuple[Piece, Path]]:
    for kind, (places, suffix) in FOLDERS.items():
        for path in (path for place in places for path in _files(folder / place, suffix)):
            match = IN_CLIP.fullmatch(path.stem)
            number = int(match[1]) if match else 0
            if match and 1 <= number <= len(plan["clips"]):
                yield (_kind(kind, match[2] or "", plan["clips"][number - 1]), number), path
            else:
                findings.note(Place(_name(folder, path)), "is no clip's file: left out")


def _kind(kind: str, rest: str, clip: Json) -> str:
    """The piece's kind; sounds may lie beside the narrations."""
    if kind == "still":
        return str(clip["layout"])
    return "sound" if kind == "narration" and SOUND.search(rest) else kind


def _files(folder: Path, suffix: str) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() == suffix and path.is_file())


def _one_of(folder: Path, piece: Piece, paths: list[Path], seeds: dict[int, str], findings: Findings) -> Path:
    meant = [path for path in paths if path.name in seeds.get(piece[1], "")]
    plain = [path for path in paths if (match := IN_CLIP.fullmatch(path.stem)) and not match[2]]
    chosen = (meant or plain or sorted(paths, key=lambda path: path.stat().st_mtime))[-1]
    if len(paths) > 1:
        others = ", ".join(path.name for path in paths if path != chosen)
        findings.note(Place(_name(folder, chosen)), f"taken for {piece[0]} {piece[1]}; left out: {others}")
    return chosen


def _name(folder: Path, path: Path) -> str:
    return str(path.relative_to(folder))
