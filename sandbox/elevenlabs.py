"""ElevenLabs: narration with or without character times, and sounds."""

import base64
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from flask import Flask, g, request

from sandbox.books import Document
from sandbox.desk import Desk, Reply, Sandbox, VendorError, json_object, known_key
from sandbox.faults import Fault
from sandbox.media import AUDIO_FAMILIES, fingerprint, sound_audio, speech_audio
from sandbox.speech import Spoken

USD_A_CREDIT = 0.0002  # the Pro plan's $99 for 500,000
SOUND_CREDITS_A_SECOND = 40
# Model -> (longest text in characters, credits a character); others are refused.
SPEECH_MODELS = {
    "eleven_v4": (5_000, 0.4),
    "eleven_v4_turbo": (10_000, 0.3),
    "eleven_v3": (5_000, 1.0),
    "eleven_multilingual_v2": (10_000, 1.0),
    "eleven_turbo_v2_5": (40_000, 0.5),
    "eleven_flash_v2_5": (40_000, 0.5),
}
SOUND_TEXT = 450  # characters; the planner keeps to the same
SOUND_MODELS = {"eleven_text_to_sound_v2", "eleven_text_to_sound_v3"}
FORMAT = re.compile(rf"({'|'.join(AUDIO_FAMILIES)})_(8000|16000|22050|24000|32000|44100|48000)(_\d+)?")
AT_ONCE = 10  # requests of the Pro plan
NAMED = [("21m00Tcm4TlvDq8ikWAM", "Rachel"), ("AZnzlk1XvdvUeBnXmlld", "Domi"), ("EXAVITQu4vr4xnSDxMaL", "Bella")]
VOICES = ("en-us", "en-gb", "en-us+f3", "en-gb+m3", "en-us+m7", "en-gb+f2")


def app(sandbox: Sandbox) -> Flask:
    desk = Desk(sandbox, "elevenlabs", quota_error, unknown=lambda: VendorError(404, {"detail": "Not Found"}))

    @desk.counter("POST", "/v1/text-to-speech/<voice>", "text-to-speech")
    def plain(voice: str) -> Reply:
        with _turn(sandbox):
            audio, _, reply = _narrate(desk, voice)
        return Reply(**vars(reply) | {"body": audio})

    @desk.counter("POST", "/v1/text-to-speech/<voice>/with-timestamps", "text-to-speech")
    def with_timestamps(voice: str) -> Reply:
        with _turn(sandbox):
            audio, spoken, reply = _narrate(desk, voice)
        times = alignment(reply.text, spoken)
        body = {"audio_base64": base64.b64encode(audio).decode(), "alignment": times, "normalized_alignment": times}
        return Reply(**vars(reply) | {"body": body, "headers": reply.headers | {"Content-Type": "application/json"}})

    @desk.counter("POST", "/v1/sound-generation", "sound-generation")
    def sound() -> Reply:
        with _turn(sandbox):
            return _sound(desk)

    _look_ups(desk)
    return desk.app


def _look_ups(desk: Desk) -> None:
    """What is told for free."""
    sandbox = desk.sandbox

    @desk.counter("GET", "/v1/user/subscription", "subscription")
    def subscription() -> Reply:
        _check_key()
        used = sum(call["units"] for call in sandbox.books.calls("elevenlabs"))
        plan = {"tier": "pro", "character_count": round(used), "character_limit": 500_000, "status": "active"}
        slots = {"voice_slots_used": len(NAMED), "voice_limit": 160, "can_use_instant_voice_cloning": True}
        return Reply(body=plan | slots | {"can_extend_character_limit": False, "currency": "usd"})

    @desk.counter("GET", "/v1/models", "models")
    def models() -> Reply:
        _check_key()
        listed = [
            {"model_id": name, "name": name, "can_do_text_to_speech": True, "maximum_text_length_per_request": longest}
            | {"model_rates": {"character_cost_multiplier": credits_a_character}}
            for name, (longest, credits_a_character) in SPEECH_MODELS.items()
        ]
        return Reply(body=listed)

    @desk.counter("GET", "/v2/voices", "voices")
    def voices() -> Reply:
        _check_key()
        size, start = request.args.get("page_size", 10, int), request.args.get("next_page_token", 0, int)
        page = [{"voice_id": key, "name": name, "category": "premade"} for key, name in NAMED[start : start + size]]
        more = start + size < len(NAMED)
        token = str(start + size) if more else None
        return Reply(body={"voices": page, "has_more": more, "total_count": len(NAMED), "next_page_token": token})

    @desk.counter("GET", "/v1/voices/<voice>", "voice")
    def voice(voice: str) -> Reply:
        """Any well-formed id is a voice here, as at the speaking counters; the named ones have names."""
        _check_key()
        _check_voice(voice)
        return Reply(body={"voice_id": voice, "name": dict(NAMED).get(voice, "A voice"), "category": "premade"})

    @desk.counter("GET", "/v1/history", "history")
    def history() -> Reply:
        _check_key()
        return Reply(body=_history(sandbox))


@contextmanager
def _turn(sandbox: Sandbox) -> Iterator[None]:
    """One of the plan's concurrent requests; raises the 429 where they are all taken."""
    with sandbox.limits.in_flight("elevenlabs") as busy:
        g.busy = busy
        if sandbox.limits.on and busy > AT_ONCE:
            raise quota_error(Fault(vendor="elevenlabs", kind="quota"))
        yield


def _history(sandbox: Sandbox) -> Document:
    """What was made and billed, youngest first; the next page starts after the item named."""
    made = [call for call in reversed(sandbox.books.calls("elevenlabs")) if call["usd"] > 0]
    size, after = request.args.get("page_size", 100, int), request.args.get("start_after_history_item_id")
    start = next((at + 1 for at, call in enumerate(made) if call["ref"] == after), 0)
    page = made[start : start + size]
    items = [
        {
            "history_item_id": call["ref"],
            "request_id": call["ref"],
            "date_unix": int(call["at"]),
            "character_count_change_from": 0,
            "character_count_change_to": round(call["units"]),
            "content_type": "audio/mpeg",
            "state": "created",
            "text": call["text"],
            "source": "TTS",
        }
        for call in page
    ]
    last = page[-1]["ref"] if page else None
    return {"history": items, "last_history_item_id": last, "has_more": start + size < len(made)}


def _narrate(desk: Desk, voice: str) -> tuple[bytes, Spoken, Reply]:
    """The audio, what was spoken, and the reply but for its body."""
    _check_key()
    body, output_format = _checked_body(), _output_format()
    text = body["text"]
    model = body.get("model_id", "eleven_multilingual_v2")
    credits_a_character = _check_speech(body, model, voice)
    if desk.refused(text, "text-to-speech"):
        raise error(403, "content_against_policy", "The text may violate our terms of use.", text=text)
    desk.sandbox.wait(desk.sandbox.pace.now.narration)
    settings = body.get("voice_settings") or {}
    rate = round(175 * float(settings.get("speed") or 1.0))
    spoken = desk.sandbox.speaker.say(text, VOICES[fingerprint(voice) % len(VOICES)], rate)
    audio = speech_audio(output_format, spoken.pcm, spoken.rate)
    return audio, spoken, _priced(text, len(text) * credits_a_character, output_format)


def _check_voice(voice: str) -> None:
    if voice.startswith("missing") or not re.fullmatch(r"[\w-]{3,64}", voice):
        raise error(404, "voice_not_found", f"A voice with voice_id {voice!r} was not found.")


def _check_speech(body: Document, model: str, voice: str) -> float:
    """Credits a character; raises what the vendor answers to a wrong voice, model or length."""
    _check_voice(voice)
    if model not in SPEECH_MODELS:
        raise error(400, "model_not_found", f"A model with model ID {model} does not exist.")
    if model == "eleven_v3" and ("previous_text" in body or "next_text" in body):
        raise error(
            400, "unsupported_model", "Providing previous_text or next_text is not yet supported with eleven_v3."
        )
    longest, credits_a_character = SPEECH_MODELS[model]
    if len(body["text"]) > longest:
        raise error(400, "max_character_limit_exceeded", f"This model takes at most {longest} characters.")
    if not body["text"].strip():
        raise error(400, "empty_text", "The text must not be empty.")
    return credits_a_character


def _sound(desk: Desk) -> Reply:
    _check_key()
    body, output_format = _checked_body(), _output_format()
    seconds = body.get("duration_seconds")
    if seconds is not None and (not isinstance(seconds, int | float) or not 0.5 <= seconds <= 30):
        raise invalid("duration_seconds", "Input should be between 0.5 and 30", "greater_than_equal", seconds)
    influence = body.get("prompt_influence")
    if influence is not None and (not isinstance(influence, int | float) or not 0 <= influence <= 1):
        raise invalid("prompt_influence", "Input should be between 0 and 1", "less_than_equal", influence)
    model = body.get("model_id", "eleven_text_to_sound_v2")
    if model not in SOUND_MODELS:
        raise error(400, "model_not_found", f"A model with model ID {model} does not exist.")
    text = body["text"]
    if len(text) > SOUND_TEXT:
        raise error(400, "text_too_long", f"The text has {len(text)} characters; at most {SOUND_TEXT} are allowed.")
    if desk.refused(text, "sound-generation"):
        raise error(403, "content_against_policy", "The text may violate our terms of use.", text=text)
    desk.sandbox.wait(desk.sandbox.pace.now.sound)
    length = float(seconds or 5)
    audio = sound_audio(output_format, text, length)
    reply = _priced(text, length * SOUND_CREDITS_A_SECOND, output_format)
    return Reply(**vars(reply) | {"body": audio})


def _priced(text: str, credit: float, output_format: str) -> Reply:
    """The reply but for its body: ids, the cost header in credits, the bill."""
    ref = uuid.uuid4().hex[:20]
    headers = {
        "Content-Type": "audio/mpeg" if output_format.startswith("mp3") else "application/octet-stream",
        "request-id": ref,
        "history-item-id": ref,
        "character-cost": str(round(credit)),
        "current-concurrent-requests": str(g.busy),
        "maximum-concurrent-requests": str(AT_ONCE),
    }
    usd = round(credit * USD_A_CREDIT, 6)
    return Reply(body=b"", headers=headers, ref=ref, usd=usd, units=round(credit), unit="credit", text=text)


def alignment(text: str, spoken: Spoken) -> dict[str, list[Any]]:
    """When each character is heard, in seconds: exact where a word starts, evenly spread inside it."""
    marks = [(offset, at) for offset, at in spoken.words if 0 <= offset < len(text)]
    knots = [(0, 0.0), *(mark for mark in marks if mark[0] > 0), (len(text), spoken.seconds)]
    starts: list[float] = []
    for (offset, at), (following, until) in pairwise(knots):
        count = max(following - offset, 0)
        starts.extend(round(at + (until - at) * step / count, 3) for step in range(count))
    return {
        "characters": list(text),
        "character_start_times_seconds": starts,
        "character_end_times_seconds": [*starts[1:], round(spoken.seconds, 3)],
    }


def error(status: int, code: str, message: str, *, text: str = "") -> VendorError:
    """The present error scheme, with the legacy `status` beside `code`."""
    kind = {401: "authentication_error", 404: "not_found", 403: "authorization_error"}.get(status, "validation_error")
    detail = {"type": kind, "code": code, "message": message, "status": code, "request_id": uuid.uuid4().hex[:20]}
    return VendorError(status, {"detail": detail}, text=text)


def quota_error(fault: Fault) -> VendorError:
    """No credits left is a 401; too many at once is a 429, with no Retry-After."""
    if fault.daily:
        return error(401, "quota_exceeded", "This request exceeds your quota. You have 0 credits remaining.")
    return error(429, "concurrent_limit_exceeded", "Too many concurrent requests for your plan.")


def invalid(where: str, message: str, kind: str, given: Any = None) -> VendorError:
    """A 422, whose `detail` is a list."""
    return VendorError(422, {"detail": [{"type": kind, "loc": ["body", where], "msg": message, "input": given}]})


def _check_key() -> None:
    if not known_key(request.headers.get("xi-api-key")):
        raise error(401, "invalid_api_key", "Invalid API key")


def _checked_body() -> Document:
    body = json_object()
    if body is None:
        raise invalid("", "JSON decode error", "json_invalid")
    if "text" not in body:
        raise invalid("text", "Field required", "missing", body)
    if not isinstance(body["text"], str):
        raise invalid("text", "Input should be a valid string", "string_type", body["text"])
    return body


def _output_format() -> str:
    wanted = request.args.get("output_format", "mp3_44100_128")
    if not FORMAT.fullmatch(wanted):
        raise VendorError(
            422,
            {"detail": [{"type": "enum", "loc": ["query", "output_format"], "msg": "unknown format", "input": wanted}]},
        )
    return wanted
