"""The film's thumbnail: its strongest frame, as a JPEG of 1280x720 (what YouTube asks for, far below its 2 MB)."""

import math
from collections.abc import Iterator
from pathlib import Path

import av
from contract import Failure
from pictures import as_jpeg, cover
from PIL import Image, ImageFilter, ImageStat
from probe import as_shown
from timeline import Span

SIZE = (1280, 720)
QUALITY = 88
LOOK = (320, 180)  # pixels at which frames are compared: about what a viewer sees in a list
MIDDLE = 118  # mean brightness of a well lit picture


def write(spans: list[Span], target: Path) -> None:
    """Compare the key frames of all clips (intro and outro are the same in every film) and write the strongest."""
    frames = (frame for span in spans if span.piece.narration for frame in _key_frames(span))
    strongest = max(frames, key=strength, default=None)
    if strongest is None:
        raise Failure("permanent", "thumbnail: no clip has a key frame")
    target.write_bytes(as_jpeg(cover(strongest, SIZE), QUALITY))


def strength(picture: Image.Image) -> float:
    """How much a small picture catches the eye: contrast, colour, detail, and light that is neither dim nor glaring.

    A sum of logarithms, so that none of them makes up for one that is missing.
    """
    small = picture.resize(LOOK, Image.Resampling.BOX)
    grey = small.convert("L")
    light = ImageStat.Stat(grey)
    colour = ImageStat.Stat(small.convert("HSV").getchannel("S")).mean[0]
    detail = ImageStat.Stat(grey.filter(ImageFilter.FIND_EDGES)).mean[0]
    lit = 1 - abs(light.mean[0] - MIDDLE) / 255
    return sum(math.log1p(part) for part in (light.stddev[0], colour / 2, detail)) + 2 * math.log(lit)


def _key_frames(span: Span) -> Iterator[Image.Image]:
    """Those within the span: to decode others would take as long as all before them."""
    video = span.piece.video
    try:
        with av.open(str(video.path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.skip_frame = "NONKEY"
            for frame in container.decode(stream):
                if frame.time is not None and frame.time >= min(span.seconds, video.seconds):
                    return
                yield as_shown(frame, video, video.width)
    except av.FFmpegError as error:
        raise Failure("permanent", f"{span.piece.name}: thumbnail: {error.strerror}") from None
