"""The film's picture: each piece copied, or encoded once to the same parameters, so that joining is a copy."""

import math
from collections.abc import Callable
from pathlib import Path

import environment
from ffmpeg import Step, Work
from probe import Video
from timeline import Span

WIDTH, HEIGHT = 1920, 1080
MARK_SIDE, MARK_MARGIN = 240, 48  # pixels: at most, of its longer side
TIMESCALE = 240_000  # ticks a second: a frame is a whole number of them at every rate a film can have


def cut(
    number: int, span: Span, *, watermark: Path | None, fades: tuple[float, float], report: Callable[[], None]
) -> Work:
    """Bring one piece to its length, a segment in the working directory: copied if that is possible, else encoded.

    fades: seconds from black at its start and to black at its end.
    """
    inputs = ["-v", "error", "-i", str(span.piece.video.path)]
    if span.copied:
        output = ["-map", "0:v:0", "-c", "copy", "-video_track_timescale", str(TIMESCALE), "-f", "mp4"]
    else:
        inputs = ["-xerror", *inputs]  # a clip that can't be decoded to its end is said, not painted over
        inputs += ["-i", str(watermark)] if watermark else []
        output = ["-filter_complex", _graph(span, fades, marked=bool(watermark)), "-map", "[out]", *_codec(span)]
    yield Step(f"{span.piece.name}: picture", [*inputs, *output, "-frames:v", str(span.frames), segment(number)])
    report()


def segment(number: int) -> str:
    """File name of a piece's segment."""
    return f"picture-{number:03}.mp4"


def join(spans: list[Span], directory: Path, track: str, target: Path) -> Step:
    """Put the directory's segments behind one another and the sound beside them, copying both.

    All segments have the same parameter sets; concat's own conversion would repeat them inside the stream.
    """
    segments = directory / "segments.txt"
    lines = [f"file {segment(number)}\nduration {span.seconds:.6f}\n" for number, span in enumerate(spans)]
    segments.write_text("".join(lines), encoding="utf-8")
    picture = ["-f", "concat", "-auto_convert", "0", "-i", str(segments)]
    inputs = [*picture, "-i", str(directory / track), "-map", "0:v:0", "-map", "1:a:0"]
    output = ["-c", "copy", "-map_metadata", "-1", "-movflags", "+faststart", "-video_track_timescale", str(TIMESCALE)]
    return Step("joining", ["-v", "error", *inputs, *output, "-f", "mp4", str(target)])


def _graph(span: Span, fades: tuple[float, float], *, marked: bool) -> str:
    """Fill 1080p without stretching, at the film's rate; the last frame stays as long as the narration needs it."""
    chain = [_cover(span.piece.video), "setsar=1", f"fps={span.rate}", "tpad=stop=-1:stop_mode=clone"]
    if marked:
        mark = f"[1:v:0]scale=w='max(1,iw*min(1,{MARK_SIDE}/max(iw,ih)))':h=-1[mark]"
        chain[-1] += f"[base];{mark};[base][mark]overlay=x=W-w-{MARK_MARGIN}:y=H-h-{MARK_MARGIN}"
    begin, end = fades
    chain += [f"fade=t=in:d={begin}"] if begin else []
    chain += [f"fade=t=out:st={max(0.0, span.seconds - end):.4f}:d={end}"] if end else []
    chain += ["format=yuv420p", "setparams=color_primaries=bt709:color_trc=bt709"]
    return f"[0:v:0]{','.join(chain)}[out]"


def _cover(video: Video) -> str:
    """From what ffmpeg has turned upright; of a frame that fits already it takes no time."""
    factor = max(WIDTH / video.width, HEIGHT / video.height)
    width, height = (2 * math.ceil(round(side * factor / 2, 3)) for side in (video.width, video.height))
    return f"scale={width}:{height}:flags=lanczos,crop={WIDTH}:{HEIGHT}"


def _codec(span: Span) -> list[str]:
    """x264 on one thread: as many pieces as cores are encoded side by side, which wastes nothing."""
    preset, quality = environment.setting("FILM_PRESET", "superfast"), environment.setting("FILM_CRF", "18")
    rate = ["-r", str(span.rate), "-g", str(round(2 * span.rate)), "-video_track_timescale", str(TIMESCALE)]
    colour = ["-colorspace", "bt709", "-color_range", "tv"]
    return [
        "-c:v",
        "libx264",
        "-preset",
        preset,
        "-crf",
        quality,
        "-profile:v",
        "high",
        "-threads",
        "1",
        *rate,
        *colour,
        "-f",
        "mp4",
    ]
