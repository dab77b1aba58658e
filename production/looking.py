"""Looks a finished file over before a person does: `measure_media.py` in a process of its own, then `flaws`.

It is about the file, never about its take: whatever goes wrong here is one more finding.
"""

import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from production import flaws, runner
from production.runner import Order, Report, Run

SCRIPT = "measure_media.py"
# Seconds at most, the wait for a turn included. A core decodes four seconds of 1080p at 17 Mbit/s in one.
LIMITS = {"film": 600, "clip": 120}
LIMIT = 60
Piece = tuple[str, int]  # kind and number
KEPT = 20  # figures of one file
TOGETHER = 16  # files of an import


@dataclass(frozen=True)
class Looked:
    """`measured`: figures of the file, by the names of the script; "poster": whether there is one beside it."""

    findings: list[dict[str, Any]] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)


def poster_of(path: Path) -> Path:
    """Where the small picture of a file lies, if there is one."""
    return path.with_name(f"{path.stem}.poster.webp")


def begin(kind: str, path: Path) -> Run:
    """Start looking, or find who does so already: nobody looks twice, unless its machine is lost: process numbers and
    clocks of another one mean nothing here. Errors: OSError."""
    glance = ["--glance"] if kind == "film" else []  # its clips were looked at frame by frame
    turns = settings.WORKSPACE_ROOT / ".turns"
    order = Order(
        script=SCRIPT,
        flags=["--input", str(path), "--poster", str(poster_of(path)), "--turns", str(turns), *glance],
        env={name: settings.MODELS[name] for name in ("FFMPEG",) if settings.MODELS[name]} | {"SCRIPTS_ENV_FILE": ""},
        secrets={},
        folder=path.with_name(f"{path.stem}.look.{socket.gethostname()}"),
        output=None,
        seconds=LIMITS.get(kind, LIMIT),
        is_ours=True,
    )
    return runner.find(order) or runner.start(order)


def read(kind: str, path: Path, report: Report, *, text: str, words: Iterable[Any]) -> Looked:
    """What the look came to."""
    measured = {name: value for name, value in list((report.said("measured") or {}).items())[:KEPT] if name != "event"}
    if report.code != 0 or not measured:
        return unseen(_why(report))
    found = flaws.find(kind, measured, text=text, words=words)
    return Looked([finding.as_json() for finding in found], measured | {"poster": poster_of(path).is_file()})


def unseen(why: str) -> Looked:
    return Looked([flaws.unseen(why).as_json()])


def look_over(files: dict[Piece, Path], texts: dict[int, str]) -> dict[Piece, Looked]:
    """Look at many files and wait for it; `texts`: what each narration says."""
    pieces, found = list(files), {}
    for first in range(0, len(pieces), TOGETHER):
        runs = {begin(piece[0], files[piece]): piece for piece in pieces[first : first + TOGETHER]}
        for run in runner.watch(runs.keys(), seconds=max(LIMITS.values()), beat=lambda: True):
            piece = runs[run]
            found[piece] = read(piece[0], files[piece], run.report(), text=texts.get(piece[1], ""), words=())
    return found


def _why(report: Report) -> str:
    said = report.said("error") or {}
    if report.timed_out:
        return "it took too long"
    return str(said.get("message") or report.stderr.rpartition("\n")[2] or "its process was killed")
