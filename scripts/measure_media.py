#!/usr/bin/env python3
"""Measure a finished image, sound or film, and make the small picture that stands for it on a page. Judges nothing."""

from argparse import Namespace
from pathlib import Path

import poster
from command import Parser, run
from contract import emit, require_file, whole_file
from meter import Measured, measure_picture, measure_sound

STILLS = (".png", ".jpg", ".jpeg", ".webp")
SOUNDS = (".mp3", ".wav")


def main(arguments: Namespace) -> None:
    """One line of what the file is and holds, and its poster."""
    path = arguments.input
    require_file(path, "--input")
    with whole_file(arguments.poster) as part:
        if path.suffix in STILLS:
            measured = poster.of_still(path, part)
        elif path.suffix in SOUNDS:
            poster.of_sound(path, part)
            measured = measure_sound(path)
        else:
            poster.of_film(path, part)
            measured = measure_picture(path, glance=arguments.glance) | _sound_beside(path)
    emit("measured", **measured)


def _sound_beside(path: Path) -> Measured:
    """What a film's sound track is like; nothing where it has none."""
    found = measure_sound(path)
    return {f"sound_{name}" if name in ("seconds", "errors") else name: value for name, value in found.items()}


def parser() -> Parser:
    """What to look at, and where its poster goes."""
    flags = Parser(description=__doc__)
    flags.add_argument("--input", required=True, type=Path)
    flags.add_argument("--poster", required=True, type=Path)
    flags.add_argument(
        "--glance", action="store_true", help="leave out the frames that no other is made from: half the time"
    )
    return flags


if __name__ == "__main__":
    run(main, parser())
