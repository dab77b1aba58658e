#!/usr/bin/env python3
"""Put two images side by side: a PNG of 1920x1080, each half filled without stretching."""

from argparse import Namespace
from pathlib import Path

from command import Parser, run
from contract import whole_file
from pictures import FRAME, cover, open_picture, save_png

HALF = (FRAME[0] // 2, FRAME[1])


def main(arguments: Namespace) -> None:
    """Fill the left half, then the right one."""
    from PIL import Image

    frame = Image.new("RGB", FRAME)
    for path, role, left in ((arguments.left, "left image", 0), (arguments.right, "right image", HALF[0])):
        frame.paste(cover(open_picture(path, role, near=FRAME), HALF), (left, 0))
    with whole_file(arguments.output) as part:
        save_png(frame, part)


def parser() -> Parser:
    """The classic flags."""
    flags = Parser(description=__doc__)
    for name in ("--left", "--right", "--output"):
        flags.add_argument(name, required=True, type=Path)
    return flags


if __name__ == "__main__":
    run(main, parser())
