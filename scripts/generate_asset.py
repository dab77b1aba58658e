#!/usr/bin/env python3
"""Draw one image with Gemini: a prompt and reference images in, a PNG out."""

from argparse import Namespace
from pathlib import Path

from command import Parser, run
from contract import Failure, whole_file
from gemini import REFERENCES, Picture, draw

REFERENCE_SIDE = 1280
REFERENCE_BYTES = 400_000  # fourteen of these stay well under the 20 MB of a request


def main(arguments: Namespace) -> None:
    """Check all that is free to check, buy the image, write it."""
    if not arguments.prompt.strip():
        raise Failure("permanent", "--prompt is empty")
    if len(arguments.reference_image) > REFERENCES:
        raise Failure("permanent", f"at most {REFERENCES} reference images, {len(arguments.reference_image)} given")
    references = [_reference(path) for path in arguments.reference_image]
    with whole_file(arguments.output) as part:
        _write_png(draw(arguments.prompt, references), part)


def _reference(path: Path) -> Picture:
    """A reference image, made small and light where it is neither."""
    from pictures import as_jpeg, open_picture  # with Pillow, only where there is a picture

    picture = open_picture(path, "reference image", near=(REFERENCE_SIDE, REFERENCE_SIDE))
    content = path.read_bytes()
    if content.startswith(b"\xff\xd8") and len(content) <= REFERENCE_BYTES:
        return Picture("image/jpeg", content)
    picture.thumbnail((REFERENCE_SIDE, REFERENCE_SIDE))
    return Picture("image/jpeg", as_jpeg(picture, 90))


def _write_png(answer: Picture, file: Path) -> None:
    """The contract says PNG; the model may answer JPEG or WebP, whatever its label says."""
    from pictures import decode, save_png

    picture = decode(answer.content, "Gemini's image")
    if answer.content.startswith(b"\x89PNG"):
        file.write_bytes(answer.content)
    else:
        save_png(picture, file)


def parser() -> Parser:
    """The classic flags."""
    flags = Parser(description=__doc__)
    flags.add_argument("--prompt", required=True)
    flags.add_argument("--output", required=True, type=Path)
    flags.add_argument("--reference-image", action="append", default=[], type=Path, metavar="FILE")
    return flags


if __name__ == "__main__":
    run(main, parser())
