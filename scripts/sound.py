"""Sound as it is bought and as it is kept: MP3 or WAV, at a chosen mean volume."""

import io
import re
import wave
from pathlib import Path

from contract import Failure
from ffmpeg import FOREIGN, Step, run_step

PEAK_DB = -1.0
SILENCE_DB = -80.0  # quieter than this there is nothing to raise
NO_LENGTH = "ElevenLabs answered a sound with a length of zero"
WAV_HEADER = 44  # bytes, at the least
_FORMAT = re.compile(r"(mp3|wav|pcm)_(\d{4,5})(?:_(\d{2,3}))?")


def sample_rate(output_format: str) -> int:
    """Samples a second of an ElevenLabs format name; formats that don't end as MP3 or WAV fail."""
    match = _FORMAT.fullmatch(output_format)
    if not match or (match[1] == "mp3") != bool(match[3]):
        raise Failure("permanent", f"--format {output_format} is none of mp3_RATE_KBPS, wav_RATE, pcm_RATE")
    return int(match[2])


def in_container(content: bytes, output_format: str) -> bytes:
    """The bytes as a file: ``pcm_*`` arrives as bare 16-bit mono samples and gets its WAV header here."""
    if output_format.startswith("mp3_"):
        require_mp3(content)
        return content
    if output_format.startswith("wav_"):
        _require_wav(content)
        return content
    if len(content) < 2:
        raise Failure("unknown", NO_LENGTH)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate(output_format))
        file.writeframes(content[: len(content) // 2 * 2])
    return buffer.getvalue()


def require_mp3(content: bytes) -> None:
    """Fail unless the bytes begin like an MP3 that can be heard: an ID3 tag, if any, then a frame."""
    sound = content
    if content.startswith(b"ID3"):
        sound = content[10 + _seven_bits(content[6:10]) :].lstrip(b"\0")
        if not sound:
            raise Failure("unknown", NO_LENGTH)
    if not (len(sound) > 1 and sound[0] == 0xFF and sound[1] & 0xE0 == 0xE0):
        raise Failure("permanent", "ElevenLabs answered something that is no MP3")


def _seven_bits(size: bytes) -> int:
    """A size in ID3's way: seven bits a byte, so that none looks like the start of a frame."""
    return sum(byte << 7 * place for place, byte in enumerate(reversed(size)))


def _require_wav(content: bytes) -> None:
    if not content.startswith(b"RIFF"):
        raise Failure("permanent", "ElevenLabs answered something that is no WAV")
    if len(content) <= WAV_HEADER:
        raise Failure("unknown", NO_LENGTH)


def set_mean_volume(source: Path, target: Path, *, mean_db: float, output_format: str) -> None:
    """Copy the sound so that its mean volume is the wanted one, peaks held below -1 dBFS; silence stays."""
    given = [*FOREIGN, "-i", str(source), "-map", "0:a:0"]
    log = run_step(Step("sound effect", [*given, "-af", "volumedetect", "-f", "null", "-"]))
    found = re.search(r"mean_volume: (-?[\d.]+) dB", log)
    mean = float(found[1]) if found else SILENCE_DB
    gain = 0.0 if mean <= SILENCE_DB else mean_db - mean
    level = f"volume={gain:.2f}dB,alimiter=limit={10 ** (PEAK_DB / 20):.4f}:level=false:latency=true"
    run_step(
        Step(
            "sound effect",
            ["-v", "error", *given, "-af", level, *_codec(output_format), str(target)],
        )
    )


def _codec(output_format: str) -> list[str]:
    rate = ["-ar", str(sample_rate(output_format))]
    if output_format.startswith("mp3_"):
        return [*rate, "-c:a", "libmp3lame", "-b:a", f"{output_format.rpartition('_')[2]}k", "-f", "mp3"]
    return [*rate, "-c:a", "pcm_s16le", "-f", "wav"]
