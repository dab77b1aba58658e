"""Makes and measures pictures, films and sounds as the tests need them."""

import io
import json
import re
import subprocess
from pathlib import Path

import imageio_ffmpeg
from PIL import Image


def ffmpeg(*arguments: object) -> str:
    """Run ffmpeg, which must succeed; its log."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostats", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def loudness(path: Path) -> tuple[float, float]:
    """(integrated loudness in LUFS, true peak in dBTP), by another meter than the product's.

    loudnorm leaves out up to 3 s at the end (0.6 LU on a film of 5 s), so the film is followed by 3 s of silence.
    """
    said = ffmpeg("-i", path, "-vn", "-af", "apad=pad_dur=3,loudnorm=print_format=json", "-f", "null", "-")
    measured = json.loads(re.search(r"\{[^{}]*input_i[^{}]*\}", said)[0])  # type: ignore[index]
    return float(measured["input_i"]), float(measured["input_tp"])


def picture(size: tuple[int, int] = (320, 180), colour: str = "navy", kind: str = "PNG") -> bytes:
    """The file of a picture of one colour."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()
