#!/usr/bin/env python3
"""Measure a finished image, sound or film, and make the small picture that stands for it on a page. Judges nothing."""

from argparse import Namespace
from contextlib import nullcontext
from pathlib import Path

from command import Parser, run
from contract import emit, require_file, whole_file
from turn import turn

STILLS = (".png", ".jpg", ".jpeg", ".webp")
SOUNDS = (".mp3", ".wav")


def main(arguments: Namespace) -> None:
    """One line of what the file is and holds, and its poster."""
    require_file(arguments.input, "--input")
    with turn(arguments.turns) if arguments.turns else nullcontext(), whole_file(arguments.poster) as part:
        emit("measured", **_measured(arguments.input, part, glance=arguments.glance))


def _measured(path: Path, part: Path, *, glance: bool) -> dict[str, object]:
    import meter  # with PyAV and Pillow: who waits for a turn is small
    import poster

    if path.suffix in STILLS:
        return poster.of_still(path, part)
    if path.suffix in SOUNDS:
        poster.of_sound(path, part)
        return meter.measure_sound(path)
    poster.of_film(path, part)
    return meter.measure_picture(path, glance=glance) | meter.measure_sound(path, prefix="sound_")


def parser() -> Parser:
    """What to look at, and where its poster goes."""
    flags = Parser(description=__doc__)
    flags.add_argument("--input", required=True, type=Path)
    flags.add_argument("--poster", required=True, type=Path)
    flags.add_argument("--glance", action="store_true", help="leave out frames between others: much faster")
    flags.add_argument("--turns", type=Path, metavar="FOLDER", help="wait there while as many look as there are cores")
    return flags


if __name__ == "__main__":
    run(main, parser())
