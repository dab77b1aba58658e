#!/usr/bin/env python3
"""Make a sound effect from words with ElevenLabs: an MP3 or WAV, its mean volume set."""

from argparse import BooleanOptionalAction, Namespace
from pathlib import Path
from tempfile import TemporaryDirectory

import ffmpeg
from command import Parser, run
from contract import Failure, whole_file
from eleven import make_sound
from sound import in_container, sample_rate, set_mean_volume


def main(arguments: Namespace) -> None:
    """Check all that is free to check, buy the sound, set its volume, write it."""
    _check(arguments)
    with whole_file(arguments.output) as part, TemporaryDirectory(dir=part.parent, prefix=".sound-") as directory:
        bought = make_sound(
            arguments.text.strip(),
            seconds=arguments.duration,
            influence=arguments.prompt_influence,
            output_format=arguments.format,
        )
        content = in_container(bought, arguments.format)
        if not arguments.normalize:
            part.write_bytes(content)
            return
        raw = Path(directory) / "raw"
        raw.write_bytes(content)
        set_mean_volume(raw, part, mean_db=arguments.target_volume, output_format=arguments.format)


def _check(arguments: Namespace) -> None:
    if not arguments.text.strip():
        raise Failure("permanent", "--text is empty")
    for name, low, high in (("duration", 0.5, 30), ("prompt_influence", 0, 1), ("target_volume", -70, 0)):
        if not low <= getattr(arguments, name) <= high:
            raise Failure("permanent", f"--{name.replace('_', '-')} must be between {low} and {high}")
    sample_rate(arguments.format)
    if arguments.normalize:
        ffmpeg.executable()


def parser() -> Parser:
    """The classic flags."""
    flags = Parser(description=__doc__)
    flags.add_argument("--text", required=True)
    flags.add_argument("--output", required=True, type=Path)
    flags.add_argument("--duration", type=float, default=10.0, help="seconds, 0.5 to 30")
    flags.add_argument("--prompt-influence", type=float, default=0.3)
    flags.add_argument("--format", default="mp3_44100_128", help="mp3_RATE_KBPS, wav_RATE or pcm_RATE (kept as WAV)")
    flags.add_argument("--normalize", action=BooleanOptionalAction, default=True)
    flags.add_argument("--target-volume", type=float, default=-30.0, help="mean volume in dB")
    return flags


if __name__ == "__main__":
    run(main, parser())
