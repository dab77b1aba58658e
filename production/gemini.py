"""The text model: one structured call to Gemini, and what its answer may be taken for.

Another model is another function of `ask`'s shape, named by TEXT_WRITER.
"""

import json
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import jsonschema
import requests
from django.conf import settings
from urllib3.exceptions import NewConnectionError

from channels_app.models import Channel
from production.errors import Kind, Trouble
from production.outside import unquoted
from production.providers import key_of

Json = dict[str, Any]
MOST_BYTES = 2_000_000
MOST_SECONDS = 300  # of an answer that keeps coming in drops; below the queue's own limit
MOST_USD = 1000  # of one answer: what the ledger holds
LIMITS = {"minItems", "maxItems", "minLength", "maxLength", "pattern"}
AGAIN = {408, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Answer:
    """What the model wrote; `usd` what it says it cost, `is_cut` where it stopped at its limit and not at the end."""

    text: str
    usd: Decimal | None
    is_cut: bool = False


class _TooComplexError(Trouble):
    """Gemini holds its answer to a schema only up to some complexity, which it does not tell; refused, unbilled."""


def ask(text: str, schema: Json, channel: Channel) -> Answer:
    """Ask for JSON of this schema, with the channel's own key where it has one. Where Gemini can't be held to all of
    it, counts and lengths are left to the caller's check. Errors: Trouble, with what was billed all the same."""
    try:
        return _answer(_ask(text, schema, channel))
    except _TooComplexError:
        return _answer(_ask(text, _loosened(schema), channel))


def _loosened(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_loosened(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: _loosened(each) for name, each in schema.items() if name not in LIMITS}


REPLY: Json = {
    "type": "object",
    "properties": {
        "candidates": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "finishReason": {"type": "string"},
                    "content": {
                        "type": "object",
                        "properties": {
                            "parts": {
                                "type": "array",
                                "items": {"type": "object", "properties": {"text": {"type": "string"}}},
                            }
                        },
                    },
                },
            },
        },
        "promptFeedback": {"type": "object"},
        "usageMetadata": {
            "type": "object",
            "properties": {
                name: {"type": "integer"} for name in ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
            },
        },
    },
}


def _ask(text: str, answer: Json, channel: Channel) -> Json:
    """POST generateContent. No retry here: whether a paid call is made again is decided by its take."""
    model = settings.MODELS["GEMINI_TEXT_MODEL"]
    body = {
        "contents": [{"role": "user", "parts": [{"text": text}]}],
        "generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": answer},
    }
    key = key_of(channel, "GEMINI_API_KEY")
    try:
        with requests.post(
            f"{settings.ADDRESSES['GEMINI_BASE_URL']}/v1beta/models/{model}:generateContent",
            json=body,
            headers={"x-goog-api-key": key},
            timeout=(10, 90),
            stream=True,
            allow_redirects=False,  # the key goes nowhere else
        ) as reply:
            content = unquoted(_content(reply), key)
    except requests.ConnectTimeout as error:
        raise Trouble(Kind.TRANSIENT, "The text model can't be reached") from error
    except requests.ConnectionError as error:
        raise Trouble(_how_far(error), f"The text model did not answer ({type(error).__name__})") from error
    except requests.RequestException as error:
        raise Trouble(Kind.UNKNOWN, f"The text model did not answer ({type(error).__name__})") from error
    if reply.status_code != 200:
        raise _trouble(reply.status_code, content)
    return _json(content)


def _how_far(error: requests.ConnectionError) -> Kind:
    """A connection that was never made bought nothing; one that broke may have."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return Kind.TRANSIENT if isinstance(reason, NewConnectionError) else Kind.UNKNOWN


def _content(reply: requests.Response) -> bytes:
    """What is left of a longer answer is never read. Errors: Trouble of unknown outcome."""
    content, until = bytearray(), time.monotonic() + MOST_SECONDS
    for part in reply.iter_content(65_536):
        content += part
        if len(content) > MOST_BYTES:
            raise Trouble(Kind.UNKNOWN, "The text model's answer is over 2 MB")
        if time.monotonic() > until:
            raise Trouble(Kind.UNKNOWN, f"The text model's answer has no end after {MOST_SECONDS} s")
    return bytes(content)


def _json(content: bytes) -> Json:
    """Errors: Trouble of unknown outcome: an answer that can't be read was billed all the same."""
    try:
        found: Json = json.loads(content)
        jsonschema.validate(found, REPLY)
    except (ValueError, RecursionError) as error:
        raise Trouble(Kind.UNKNOWN, "The text model's answer is not JSON") from error
    except jsonschema.ValidationError as error:
        raise Trouble(
            Kind.UNKNOWN, f"The text model's answer is odd: {error.json_path}: {error.message}"[:300]
        ) from error
    return found


def _trouble(status: int, content: bytes) -> Trouble:
    """A daily limit shows seconds too in RetryInfo: quotaId decides."""
    said = content[:5000].decode(errors="replace")
    message = f"The text model answered {status}: {' '.join(said.split())[:300]}"
    if status == 400 and "too many states" in said:
        return _TooComplexError(Kind.PERMANENT, message)
    if status == 429 and "PerDay" in said:
        return Trouble(Kind.QUOTA, message)
    return Trouble(Kind.TRANSIENT if status in AGAIN else Kind.PERMANENT, message)


def _answer(reply: Json) -> Answer:
    """Refusals come with HTTP 200: no candidate, or a finishReason other than STOP."""
    candidate = (reply.get("candidates") or [{}])[0]
    reason = (reply.get("promptFeedback") or {}).get("blockReason") or candidate.get("finishReason")
    parts = (candidate.get("content") or {}).get("parts") or []
    text = "".join(part.get("text", "") for part in parts if not part.get("thought"))
    if reason == "MAX_TOKENS":
        return Answer(text, _cost(reply), is_cut=True)
    if not text or reason not in ("STOP", None):
        said = str(reason or "empty answer")[:60]
        raise Trouble(Kind.REFUSED, f"The text model refused: {said}; change the topic or the SOP", usd=_cost(reply))
    return Answer(text, _cost(reply))


def _cost(reply: Json) -> Decimal | None:
    usage = reply.get("usageMetadata") or {}
    if not usage:
        return None
    answered = usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)
    tokens = (usage.get("promptTokenCount", 0), answered)
    prices = settings.TEXT_USD_PER_MILLION
    usd = sum((Decimal(n) * price / 1_000_000 for n, price in zip(tokens, prices, strict=True)), Decimal(0))
    return usd if 0 <= usd < MOST_USD else None  # a bill that can't be true: the estimate counts
