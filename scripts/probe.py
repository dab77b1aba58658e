"""What a media file holds, read with PyAV in a few milliseconds."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.container import InputContainer
from contract import Failure, require_file

if TYPE_CHECKING:  # Pillow is loaded by those who want a picture
    from PIL.Image import Image


@dataclass(frozen=True)
class Video:
    """A readable video.

    width, height: as it is shown, upright and with square pixels; seconds: length of its picture; rate: frames a
    second; sound: whether it has a sound track; coding: all that must be equal for two pictures to lie in one stream
    (codec, pixels, shape, rotation, parameter sets).
    """

    path: Path
    width: int
    height: int
    rate: Fraction
    seconds: float
    sound: bool
    coding: tuple[object, ...]


def probe_video(path: Path, role: str) -> Video:
    """Read the video's frame and length, and decode its first picture; anything else fails with the role's name."""
    require_file(path, role)
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_count = 1  # a thread a core, each with pictures of its own, would cost 20 MB
            first = _first_picture(container, stream)
            seconds = _length(container, stream)
            rate = stream.average_rate or Fraction(0)
            coding = _coding(stream, first)
            held = max((entry.pos + entry.size for entry in stream.index_entries), default=0)
            video = Video(path, *_shown(stream, first), rate, seconds, bool(container.streams.audio), coding)
    except (av.FFmpegError, IndexError, StopIteration):
        raise Failure("permanent", f"{role} {path} is not a readable video") from None
    if not (seconds and rate):
        raise Failure("permanent", f"{role} {path} has no length")
    if held > path.stat().st_size:
        raise Failure("permanent", f"{role} {path} is cut off: its index knows of more than is there")
    return video


def _first_picture(container: InputContainer, stream: av.VideoStream) -> av.VideoFrame:
    """Of the first key frame alone: waiting for what the decoder gives by itself decodes the next ones too, 40 ms."""
    packet = next(packet for packet in container.demux(stream) if packet.is_keyframe)
    context = stream.codec_context
    return (context.decode(packet) or context.decode(None))[0]


def _shown(stream: av.VideoStream, first: av.VideoFrame) -> tuple[int, int]:
    width = round(stream.width * (stream.sample_aspect_ratio or 1))
    return (stream.height, width) if first.rotation % 180 else (width, stream.height)


def _length(container: InputContainer, stream: av.VideoStream) -> float:
    """Of the picture. An MP4 can be held against its index; of others only what is there counts, whatever they say."""
    if "mp4" in container.format.name:
        return _seconds(stream.duration, stream.time_base) or _seconds(container.duration, Fraction(1, av.time_base))
    with av.open(container.name) as again:
        shown = [(packet.dts if packet.pts is None else packet.pts, packet.duration) for packet in again.demux(video=0)]
        ends = [(start, start + (duration or 0)) for start, duration in shown if start is not None]
        return _seconds(max(end for _, end in ends) - min(ends)[0], stream.time_base) if ends else 0.0


def as_shown(frame: av.VideoFrame, video: Video, width: int) -> "Image":
    """One of the video's frames upright and with square pixels, so many pixels wide."""
    size = (width, round(video.height * width / video.width / 2) * 2)
    stored = size[::-1] if frame.rotation % 180 else size
    picture: Image = frame.reformat(*stored, format="rgb24").to_image()  # type: ignore[no-untyped-call]
    return picture.rotate(frame.rotation, expand=True) if frame.rotation else picture


def _coding(stream: av.VideoStream, first: av.VideoFrame) -> tuple[object, ...]:
    context = stream.codec_context
    shape = (stream.width, stream.height, stream.sample_aspect_ratio or 1, first.rotation, first.interlaced_frame)
    return (context.name, context.pix_fmt, *shape, context.extradata)


def sound_seconds(path: Path, role: str) -> float:
    """Exact length of a sound file, by decoding it: the header of an MP3 only estimates."""
    require_file(path, role)
    try:
        with av.open(str(path)) as container:
            stream = container.streams.audio[0]
            samples = sum(frame.samples for frame in container.decode(stream))
            seconds = samples / stream.rate
    except (av.FFmpegError, IndexError, ZeroDivisionError):
        raise Failure("permanent", f"{role} {path} is not readable sound") from None
    if not samples:
        raise Failure("permanent", f"{role} {path} has a length of zero")
    return seconds


def _seconds(duration: int | None, base: Fraction | None) -> float:
    return float(duration * base) if duration and base else 0.0
