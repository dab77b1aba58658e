"""What can be counted in sound and moving pictures: one pass of ffmpeg each, decoded from end to end."""

import re
from pathlib import Path

import av
from contract import Failure
from ffmpeg import Step, run_step
from loudness import METER, SILENCE, read_meter
from probe import probe_video

STILL = "freezedetect=n=-60dB:d=1"  # -60 dB: no more than a coder's noise changes; grain alone is at -40
BLACK = "blackdetect=d=0.5:pic_th=0.98:pix_th=0.05"  # a night scene has more than 2 % of its pixels above 5 %
QUIET = "silencedetect=n=-50dB:d=0.7"  # room noise of a voice recording is at -60, a soft word at -40
MOST_STRETCHES = 20
# Errors are counted and not heeded: what can't be decoded is to be reported, not to end the pass.
PASS = ["-v", "repeat+level+info", "-max_error_rate", "1"]
WHOLE = ["-threads", "1"]  # 16 at once, each with pictures for two cores, would be a gigabyte
GLANCE = ["-threads", "0", "-skip_frame", "bidir", "-skip_loop_filter", "all"]  # 13 s of a core for 150 s, not 36
DAMAGE = re.compile(r"^\[[^]]*(?:h264|hevc|vp9|av1|mpeg4|mov|aac|mp3)[^]]*\] \[(?:error|fatal)\]", re.MULTILINE)

Stretch = list[float]  # from, to; seconds
Measured = dict[str, object]


def measure_picture(path: Path, *, glance: bool) -> Measured:
    """Shape, rate, length, decoding errors, black and frozen stretches. glance: a quarter of the frames tells."""
    video = probe_video(path, "--input")
    decoding = GLANCE if glance else WHOLE
    arguments = [*PASS, *decoding, "-i", str(path), "-map", "0:v:0", "-vf", f"{STILL},{BLACK}", "-f", "null", "-"]
    log = run_step(Step("--input: picture", arguments))
    return {
        "width": video.width,
        "height": video.height,
        "rate": round(float(video.rate), 3),
        "seconds": round(video.seconds, 3),
        "errors": len(DAMAGE.findall(log)),
        "black": _stretches(log, "black_start:", "black_end:", video.seconds),
        "frozen": _stretches(log, "freeze_start: ", "freeze_end: ", video.seconds),
    }


def measure_sound(path: Path, *, prefix: str = "") -> Measured:
    """Length, decoding errors, silences, loudness (LUFS), true peak (dBTP), and the share of samples within a decibel
    of full scale. Nothing where there is no sound track. prefix: before the names that a picture has too."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return {}
        stream = container.streams.audio[0]
        each_second = stream.rate * stream.channels
    chain = f"{QUIET},{METER},volumedetect"
    log = run_step(Step("--input: sound", [*PASS, "-i", str(path), "-map", "0:a:0", "-af", chain, "-f", "null", "-"]))
    samples = _last(r"n_samples: (\d+)", log)
    if not samples:
        raise Failure("permanent", f"--input {path} has a sound track without a sound")
    level, seconds = read_meter(log), samples / each_second
    return {
        f"{prefix}seconds": round(seconds, 3),
        f"{prefix}errors": len(DAMAGE.findall(log)),
        "silent": _stretches(log, "silence_start: ", "silence_end: ", seconds),
        "lufs": max(SILENCE, level.integrated),
        "true_peak": max(SILENCE, level.true_peak),
        "hot": round(_last(r"histogram_0db: (\d+)", log) / samples, 5),
    }


def _last(pattern: str, log: str) -> float:
    found = re.findall(pattern, log)
    return float(found[-1]) if found else 0.0


def _stretches(log: str, start: str, end: str, seconds: float) -> list[Stretch]:
    """Pairs of times; one that lasts until the end of the file has no end in the log."""
    starts, ends = (re.findall(rf"{name}(-?[\d.]+)", log) for name in (start, end))
    ends += [str(seconds)] * (len(starts) - len(ends))
    pairs = list(zip(starts, ends, strict=False))[:MOST_STRETCHES]
    return [[round(max(0.0, float(first)), 2), round(min(float(last), seconds), 2)] for first, last in pairs]
