"""ElevenLabs over its REST protocol: narration with the time of every character, and sound effects."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import environment
from contract import Failure, Kind, emit
from web import MEGABYTE, Reply, amount, kind_of_status, mapping, paid_post, sequence

SERVICE = "ElevenLabs"
SECONDS = 110  # within the runner's 120 s
LIMIT = 48 * MEGABYTE

# Characters a model takes in one request, by the start of its id.
TEXT_LENGTHS = {"eleven_v3": 5_000, "eleven_multilingual_v2": 10_000, "eleven_flash_v2_5": 40_000}
REFUSED = ("content_against_policy", "unsafe_content", "moderation", "blocked")
QUOTA = ("quota_exceeded", "insufficient_credits", "payment_required")

Word = tuple[str, float, float]


@dataclass(frozen=True)
class VoiceSettings:
    """How the voice speaks; each from 0 to 1."""

    stability: float
    similarity: float
    style: float


def narrate(text: str, model: str, voice: VoiceSettings) -> tuple[bytes, list[Word]]:
    """Buy a narration: MP3 bytes, and each word with its start and end in seconds. Prints its cost."""
    most = next((length for start, length in TEXT_LENGTHS.items() if model.startswith(start)), None)
    if most and len(text) > most:
        raise Failure("permanent", f"--text has {len(text)} characters, {model} takes {most}")
    levels = {"stability": voice.stability, "similarity_boost": voice.similarity, "style": voice.style}
    voice_id = quote(environment.secret("ELEVENLABS_VOICE_ID"), safe="")
    reply = _buy(
        f"/v1/text-to-speech/{voice_id}/with-timestamps?output_format=mp3_44100_128",
        {"text": text, "model_id": model, "voice_settings": {**levels, "use_speaker_boost": True}},
        estimate=len(text) * (0.5 if "flash" in model else 1.0),
        setting="ELEVENLABS_MODEL",
    )
    answer = reply.json()
    return _audio(answer.get("audio_base64")), _words(answer)


def make_sound(text: str, *, seconds: float, influence: float, output_format: str) -> bytes:
    """Buy a sound effect of the given length in the given format; ``pcm_*`` comes headerless. Prints its cost."""
    model = environment.setting("ELEVENLABS_SOUND_MODEL", "eleven_text_to_sound_v2")
    reply = _buy(
        f"/v1/sound-generation?output_format={quote(output_format, safe='')}",
        {"text": text, "duration_seconds": seconds, "prompt_influence": influence, "model_id": model},
        estimate=seconds * 40.0,
        setting="ELEVENLABS_SOUND_MODEL",
    )
    if not reply.body:
        raise Failure("unknown", f"{SERVICE}: answered without sound")
    return reply.body


def _buy(path: str, payload: dict[str, Any], *, estimate: float, setting: str) -> Reply:
    """Send the request and print what it cost: the header's credits, else the estimate.

    setting: the name of the one that chooses the model, for complaints of the model.
    """
    price = environment.number("ELEVENLABS_CREDIT_USD", 0.00022)
    base = environment.address("ELEVENLABS_BASE_URL", "https://api.elevenlabs.io")
    headers = {"xi-api-key": environment.secret("ELEVENLABS_API_KEY")}
    reply = paid_post(base + path, service=SERVICE, headers=headers, payload=payload, seconds=SECONDS, limit=LIMIT)
    if not reply.ok:
        raise _failure(reply, f" ({setting} is {payload['model_id']})")
    billed = amount(reply.headers.get("character-cost"))
    units, guessed = (estimate, {"estimated": True}) if billed is None else (billed, {})
    emit("cost", units=units, unit="credits", usd=round(units * price, 6), **guessed)
    return reply


def _audio(encoded: object) -> bytes:
    try:
        content = base64.b64decode(encoded, validate=True) if isinstance(encoded, str) else b""
    except binascii.Error:
        content = b""
    if not content:
        raise Failure("unknown", f"{SERVICE}: answered without sound")
    return content


def _words(answer: dict[str, Any]) -> list[Word]:
    """Characters with times gathered to words; the text as it was sent goes before the normalised one.

    Nothing where a time is missing: the narration is paid, and captions can be spread over its text.
    """
    alignment = mapping(answer.get("alignment")) or mapping(answer.get("normalized_alignment"))
    columns = ("characters", "character_start_times_seconds", "character_end_times_seconds")
    words: list[Word] = []
    inside = False
    for character, *times in zip(*(sequence(alignment.get(column)) for column in columns), strict=False):
        start, end = map(amount, times)
        if start is None or end is None:
            return []
        blank = str(character).isspace()
        text, begun = ("", start) if blank or not inside else words.pop()[:2]
        if not blank:
            words.append((text + str(character), round(begun, 3), round(end, 3)))
        inside = not blank
    return words


def _failure(reply: Reply, choice: str) -> Failure:
    """Read the error from its body: a 401 may mean an empty account, a 422 holds a list, codes have two names."""
    detail = reply.json().get("detail")
    if isinstance(detail, list):
        return Failure("permanent", f"{SERVICE}: " + "; ".join(_complaint(mapping(entry)) for entry in detail))
    fields = mapping(detail)
    code = " ".join(str(fields.get(name) or "") for name in ("code", "status", "type")).lower()
    message = fields.get("message") or (detail if isinstance(detail, str) else f"HTTP {reply.status}")
    named = choice if "model" in code else ""
    return Failure(_kind(reply.status, code), f"{SERVICE}: {message}{named}", retry_after=reply.retry_after)


def _complaint(entry: dict[str, Any]) -> str:
    return ".".join(str(step) for step in sequence(entry.get("loc"))) + f": {entry.get('msg', 'not accepted')}"


def _kind(status: int, code: str) -> Kind:
    if any(word in code for word in QUOTA):
        return "quota"
    if any(word in code for word in REFUSED):
        return "refused"
    return kind_of_status(status)
