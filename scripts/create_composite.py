#!/usr/bin/env python3
"""Stand a character in an environment: a PNG of 1920x1080, nothing stretched.

The same file as both is a picture without an environment: it is fitted to the frame as it is.
"""

from argparse import Namespace
from pathlib import Path

from command import Parser, run
from contract import Failure, whole_file
from cutout import cut_out
from pictures import FRAME, cover, open_picture, save_png
from PIL import Image

HEIGHT_SHARE = 0.88  # of the frame, at scale 1
WIDTH_SHARE = 0.94  # of the frame, at most
HEADROOM = 40  # pixels above a character that is taller than the frame: its feet leave the picture, never its head


def main(arguments: Namespace) -> None:
    """Fill the frame with the environment and stand the character on its lower edge, if it is another picture."""
    if not 0.05 <= arguments.scale <= 4:
        raise Failure("permanent", "--scale must be between 0.05 and 4")
    frame = cover(open_picture(arguments.environment, "environment", near=FRAME), FRAME)
    if arguments.character.resolve() != arguments.environment.resolve():
        character = open_picture(arguments.character, "character", mode="RGBA")
        _stand(frame, cut_out(character, f"character {arguments.character}"), arguments.scale)
    with whole_file(arguments.output) as part:
        save_png(frame, part)


def _stand(frame: Image.Image, figure: Image.Image, scale: float) -> None:
    character = _sized(figure, scale)
    left = (FRAME[0] - character.width) // 2
    top = FRAME[1] - character.height if character.height <= FRAME[1] else HEADROOM
    frame.paste(character, (left, top), character)


def _sized(character: Image.Image, scale: float) -> Image.Image:
    """The character at its height in the frame, or less where it would become too wide."""
    factor = min(FRAME[1] * HEIGHT_SHARE * scale / character.height, FRAME[0] * WIDTH_SHARE / character.width)
    size = (max(1, round(character.width * factor)), max(1, round(character.height * factor)))
    return character.resize(size, Image.Resampling.LANCZOS)


def parser() -> Parser:
    """The classic flags."""
    flags = Parser(description=__doc__)
    for name in ("--character", "--environment", "--output"):
        flags.add_argument(name, required=True, type=Path)
    flags.add_argument("--scale", type=float, default=1.0)
    return flags


if __name__ == "__main__":
    run(main, parser())
