"""A film of 18 ten-second clips, by `assemble_video.py` and by the plain method, in the same run.

The plain method is what one would write first: each clip is cut to its narration and encoded anew with x264's `fast` at
CRF 18 (and narration and effect mixed to AAC), one after the other, each on all cores; then the pieces are joined by a
copy. Ours brings the whole to its loudness in two passes besides; the plain method does not.

How much of the picture is left is SSIM against the clips themselves, with the watermark drawn where there is one.
"""

import json
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from benchmarks import material
from benchmarks.bench import Bench
from benchmarks.figures import Figure, higher_is_better, lower_is_better
from benchmarks.material import RATE, Clip, ffmpeg
from config.stack import ROOT

PEER = "each clip re-encoded with libx264 fast CRF 18, then concat copy; no loudness pass"
MARKED = "overlay=x=W-w-48:y=H-h-48"
COMPARED = len(material.SCENES)  # clips of which every frame is compared: each scene once


def measure(bench: Bench) -> list[Figure]:
    clips, mark = material.make(bench.folder / "material", bench.amount(18, 2), bench.amount(10.0, 1.0))
    times = bench.amount(3, 1)
    figures = []
    for name, drawn in (("assembly_copy", None), ("assembly_watermark", mark)):
        folder = bench.folder / name
        folder.mkdir()
        plain = _plain(clips, drawn, folder)
        ours = [_ours(clips, drawn, folder) for _ in range(times)]
        figures += _figures(name, clips, drawn, ours, plain)
    return figures


@dataclass(frozen=True)
class Film:
    """A finished film, the seconds and the seconds of a core it took, and where each clip's frames are: a file, the
    first one's number in it, and how many."""

    path: Path
    seconds: float
    cpu: float
    places: list[tuple[Path, int, int]]

    @property
    def frames(self) -> int:
        return sum(count for _, _, count in self.places)

    def ssim(self, clips: list[Clip], mark: Path | None) -> float:
        """Mean over the compared clips, each frame against the clip's own."""
        pairs = zip(self.places, clips[:COMPARED], strict=False)
        return statistics.fmean(_ssim(*place, clip, mark) for place, clip in pairs)


def _figures(name: str, clips: list[Clip], mark: Path | None, ours: list[Film], plain: Film) -> list[Figure]:
    film = ours[-1]
    seconds = [each.seconds for each in ours]
    details = {
        "peer": PEER,
        "clips": len(clips),
        "film_seconds": round(film.frames / RATE, 1),
        "runs": [round(each, 2) for each in seconds],
        "cpu_seconds": round(statistics.median(each.cpu for each in ours), 1),
        "peer_cpu_seconds": round(plain.cpu, 1),
        "megabytes": _megabytes(film),
        "peer_megabytes": _megabytes(plain),
    }
    quality = higher_is_better(
        f"{name}_ssim",
        "SSIM of the picture against the clips",
        film.ssim(clips, mark),
        plain.ssim(clips, mark),
        peer=PEER,
        clips=min(COMPARED, len(clips)),
    )
    return [lower_is_better(name, "s", statistics.median(seconds), plain.seconds, **details), quality]


def _megabytes(film: Film) -> float:
    return round(film.path.stat().st_size / 1e6, 1)


def _timed(make: Callable[[], None]) -> tuple[float, float]:
    """Seconds, and those of a core: what others do on the machine changes the latter little."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    make()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - began, cpu


# ---------------------------------------------------------------- ours


def _ours(clips: list[Clip], mark: Path | None, folder: Path) -> Film:
    entries = [
        {"clip_number": number, "video": str(clip.video), "audio": str(clip.audio), "sfx": str(clip.sfx)}
        for number, clip in enumerate(clips, 1)
    ]
    manifest, film = folder / "manifest.json", folder / "ours.mp4"
    manifest.write_text(json.dumps({"clips": entries} | ({"watermark": str(mark)} if mark else {})))
    command = [sys.executable, "assemble_video.py", "--manifest", str(manifest), "--output", str(film)]

    def make() -> None:
        subprocess.run(command, cwd=ROOT / "scripts", check=True, capture_output=True)

    return Film(film, *_timed(make), _places(clips, film))


def _places(clips: list[Clip], film: Path) -> list[tuple[Path, int, int]]:
    """Our pieces may be a few frames longer than the narration: where a piece ends, the next one's key frame is."""
    with av.open(str(film)) as container:
        keys = [
            int(packet.pts * packet.time_base * RATE)
            for packet in container.demux(container.streams.video[0])
            if packet.is_keyframe and packet.pts is not None and packet.time_base
        ]
        frames = container.streams.video[0].frames
    starts = [0]
    for clip in clips[:-1]:
        starts.append(min(key for key in keys if key >= starts[-1] + _narrated(clip)))
    return [(film, start, end - start) for start, end in zip(starts, [*starts[1:], frames], strict=True)]


def _narrated(clip: Clip) -> int:
    """Frames that the narration lasts."""
    with av.open(str(clip.audio)) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
        return -int(-Fraction(samples * RATE, container.streams.audio[0].rate) // 1)


# ---------------------------------------------------------------- the plain method


def _plain(clips: list[Clip], mark: Path | None, folder: Path) -> Film:
    """The pieces themselves are looked at: joined, each begins when the one before has ended, sound and all."""
    film, pieces = folder / "plain.mp4", [folder / f"piece-{number}.mp4" for number in range(len(clips))]
    frames = [_narrated(clip) for clip in clips]

    def make() -> None:
        for piece, clip, count in zip(pieces, clips, frames, strict=True):
            _make_plain_piece(piece, clip, count, mark)
        (folder / "pieces.txt").write_text("".join(f"file '{piece}'\n" for piece in pieces))
        ffmpeg("-f", "concat", "-safe", 0, "-i", folder / "pieces.txt", "-c", "copy", "-movflags", "+faststart", film)

    places = [(piece, 0, count) for piece, count in zip(pieces, frames, strict=True)]
    return Film(film, *_timed(make), places)


def _make_plain_piece(piece: Path, clip: Clip, frames: int, mark: Path | None) -> None:
    inputs = [part for path in (clip.video, clip.audio, clip.sfx, mark) if path for part in ("-i", path)]
    drawn = f"[0:v][3:v]{MARKED}[v];" if mark else "[0:v]null[v];"
    sound = "[1:a]apad[voice];[2:a]volume=0.3[under];[voice][under]amix=normalize=0[a]"
    coded = ("-c:v", "libx264", "-preset", "fast", "-crf", 18, "-pix_fmt", "yuv420p", "-c:a", "aac", "-ar", 48000)
    cut = ("-frames:v", frames, "-t", f"{frames / RATE:.6f}")
    ffmpeg(*inputs, "-filter_complex", drawn + sound, "-map", "[v]", "-map", "[a]", *coded, *cut, piece)


# ---------------------------------------------------------------- what is left of the picture


def _ssim(film: Path, first: int, frames: int, clip: Clip, mark: Path | None) -> float:
    """Half a frame before the wanted one, so that rounding never picks its neighbour."""
    start = max(0.0, (first - 0.5) / RATE)
    inputs = ["-ss", f"{start:.6f}", "-i", film, "-i", clip.video, *(["-i", mark] if mark else [])]
    truth = f"[1:v][2:v]{MARKED}[drawn];[drawn]" if mark else "[1:v]"
    same = f"trim=end_frame={frames},settb=1/{RATE},setpts=N"  # in one time base: else neighbours are compared
    graph = f"[0:v]{same}[film];{truth}{same}[clip];[film][clip]ssim"
    log = ffmpeg(*inputs, "-filter_complex", graph, "-an", "-f", "null", "-")
    return float(re.findall(r"All:([\d.]+)", log)[-1])
