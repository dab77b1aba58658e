#!/usr/bin/env python3
"""Speak a text with ElevenLabs: an MP3, and the time of every word for captions. The voice is ELEVENLABS_VOICE_ID."""

from argparse import Namespace
from pathlib import Path

import environment
from command import Parser, run
from contract import Failure, emit, whole_file
from eleven import VoiceSettings, narrate
from sound import require_mp3


def main(arguments: Namespace) -> None:
    """Check all that is free to check, buy the narration, write it."""
    text = arguments.text.strip()
    if not text:
        raise Failure("permanent", "--text is empty")
    for name in ("stability", "similarity", "style"):
        if not 0 <= getattr(arguments, name) <= 1:
            raise Failure("permanent", f"--{name} must be between 0 and 1")
    model = arguments.model or environment.setting("ELEVENLABS_MODEL", "eleven_multilingual_v2")
    with whole_file(arguments.output) as part:
        voice = VoiceSettings(arguments.stability, arguments.similarity, arguments.style)
        content, words = narrate(text, model, voice)
        require_mp3(content)
        part.write_bytes(content)
    if words:
        emit("timings", words=words)


def parser() -> Parser:
    """The classic flags."""
    flags = Parser(description=__doc__)
    flags.add_argument("--text", required=True)
    flags.add_argument("--output", required=True, type=Path)
    flags.add_argument("--model", metavar="ID", help="default: ELEVENLABS_MODEL")
    flags.add_argument("--stability", type=float, default=0.40)
    flags.add_argument("--similarity", type=float, default=0.75)
    flags.add_argument("--style", type=float, default=0.12)
    return flags


if __name__ == "__main__":
    run(main, parser())
