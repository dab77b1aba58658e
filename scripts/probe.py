"""What a media file holds, read with PyAV in a few milliseconds."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from contract import Failure, require_file


@dataclass(frozen=True)
class Video:
    """A readable video.

    seconds: length of its picture; rate: frames a second; sound: whether it has a sound track; coding: all that must be
    equal for two pictures to lie in one stream (codec, pixels, shape, rotation, parameter sets).
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
            seconds = _seconds(stream.duration, stream.time_base) or _seconds(
                container.duration, Fraction(1, av.time_base)
            )
            rate = stream.average_rate or Fraction(0)
            coding = _coding(stream, first)
            held = max((entry.pos + entry.size for entry in stream.index_entries), default=0)
            video = Video(path, stream.width, stream.height, rate, seconds, bool(container.streams.audio), coding)
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
