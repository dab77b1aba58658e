#!/usr/bin/env python3
"""Cut clips, narration and sound effects to a finished film: 1080p H.264 and AAC at -14 LUFS.

The keys of the manifest are described in manifest.py.
"""

import os
from argparse import Namespace
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import captions
import footage
import soundtrack
import thumbnail
from command import Parser, run
from contract import emit, whole_file
from ffmpeg import run_crew, run_step
from manifest import Manifest, read_manifest
from timeline import Span, lay_out


def main(arguments: Namespace) -> None:
    """Check everything, then make picture and sound side by side on all cores, and join them."""
    manifest = read_manifest(arguments.manifest, arguments.output)
    spans = lay_out(manifest)
    _warn_of_held_frames(spans)
    with ExitStack() as whole:  # nothing takes its name before everything is made
        part = whole.enter_context(whole_file(arguments.output))
        if manifest.captions:
            srt = whole.enter_context(whole_file(manifest.captions))
            srt.write_text(captions.as_srt(spans), encoding="utf-8")
        if manifest.thumbnail:
            thumbnail.write(spans, whole.enter_context(whole_file(manifest.thumbnail)))
        with TemporaryDirectory(dir=part.parent, prefix=".film-") as name:
            _make(manifest, spans, Path(name), part)
    frames, seconds = sum(span.frames for span in spans), sum(span.seconds for span in spans)
    emit("film", frames=frames, seconds=round(seconds, 3), copied=spans[0].copied)


def _warn_of_held_frames(spans: list[Span]) -> None:
    for span in spans:
        if span.held_seconds * span.rate > 1:
            held = round(span.held_seconds, 2)
            emit(
                "warning", piece=span.piece.name, held=held, message=f"{span.piece.name}: last frame held for {held} s"
            )


def _make(manifest: Manifest, spans: list[Span], directory: Path, target: Path) -> None:
    """Fill the directory with the segments and the track, then join them. Sound first: its steps form a chain."""
    report = _progress(2 * len(spans) + 2)
    works = [soundtrack.mix_and_master(spans, loudness=manifest.loudness, fade=manifest.fade, report=report)]
    for number, span in enumerate(spans):
        fades = (manifest.fade if number == 0 else 0.0, manifest.fade if number == len(spans) - 1 else 0.0)
        works.append(footage.cut(number, span, watermark=manifest.watermark, fades=fades, report=report))
    run_crew(works, directory, hands=len(os.sched_getaffinity(0)))
    run_step(footage.join(spans, directory, soundtrack.TRACK, target))
    report()


def _progress(total: int) -> Callable[[], None]:
    """A function that prints one more thing done."""
    done = 0

    def report() -> None:
        nonlocal done
        done += 1
        emit("progress", done=done, of=total)

    return report


def parser() -> Parser:
    """The classic flags."""
    flags = Parser(description=__doc__)
    flags.add_argument("--manifest", required=True, type=Path)
    flags.add_argument("--output", required=True, type=Path)
    return flags


if __name__ == "__main__":
    run(main, parser())
