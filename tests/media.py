"""Measures films and sounds as the tests need it, with ffmpeg."""

import json
import re
import subprocess
from pathlib import Path

import imageio_ffmpeg


def loudness(path: Path) -> tuple[float, float]:
    """(integrated loudness in LUFS, true peak in dBTP)."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostats", "-i", str(path), "-vn"]
    command += ["-af", "loudnorm=print_format=json", "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    measured = json.loads(re.search(r"\{[^{}]*input_i[^{}]*\}", said)[0])  # type: ignore[index]
    return float(measured["input_i"]), float(measured["input_tp"])
