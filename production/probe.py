"""Looks at a file that a script wrote before anybody relies on it: is it what its name says, and how long is it?"""

from pathlib import Path

import av
from PIL import Image, UnidentifiedImageError

from channels_app.branding import PICTURES, WHOLE
from production.errors import Kind, Trouble

MOST_PIXELS = 8192 * 8192


def seconds_of(path: Path) -> float | None:
    """The length of a sound or film; None for a still. Errors: Trouble where the file is not readable as media."""
    if path.suffix == ".png":
        _check_image(path)
        return None
    try:
        with av.open(str(path), options=WHOLE) as media:
            if media.duration is None:
                raise Trouble(Kind.PERMANENT, f"{path.name} has no length: not a whole {path.suffix[1:]} file")
            return media.duration / av.time_base
    except (av.FFmpegError, ValueError) as error:
        raise Trouble(
            Kind.PERMANENT, f"{path.name} is not a readable {path.suffix[1:]} file ({error})"[:300]
        ) from error


def _check_image(path: Path) -> None:
    try:
        with Image.open(path, formats=PICTURES) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Trouble(Kind.PERMANENT, f"{path.name} is {image.width}x{image.height}: too large")
            image.verify()
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise Trouble(Kind.PERMANENT, f"{path.name} is not a readable image ({error})"[:300]) from error
