"""The text model: one structured call to Gemini (vendors.md), and what its answer may be taken for.

Another model is another function of `ask`'s shape, named by TEXT_WRITER.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import jsonschema
import requests
from django.conf import settings
from urllib3.exceptions import NewConnectionError

from production.errors import Kind, Trouble

Json = dict[str, Any]
MOST_BYTES = 2_000_000
AGAIN = {408, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Answer:
    """What the model wrote; `usd` what it says it cost, `is_cut` where it stopped at its limit and not at the end."""

    text: str
    usd: Decimal | None
    is_cut: bool = False


def ask(text: str, schema: Json) -> Answer:
    """Ask for JSON of this schema. Errors: Trouble, with what was billed all the same."""
    return _answer(_ask(text, schema))


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


def _ask(text: str, answer: Json) -> Json:
    """POST generateContent. No retry here: whether a paid call is made again is decided by its take."""
    model = settings.MODELS["GEMINI_TEXT_MODEL"]
    body = {
        "contents": [{"role": "user", "parts": [{"text": text}]}],
        "generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": answer},
    }
    try:
        reply = requests.post(
            f"{settings.ADDRESSES['GEMINI_BASE_URL']}/v1beta/models/{model}:generateContent",
            json=body,
            headers={"x-goog-api-key": settings.GEMINI_API_KEY},
            timeout=(10, 90),
        )
    except requests.ConnectTimeout as error:
        raise Trouble(Kind.TRANSIENT, "The text model can't be reached") from error
    except requests.ConnectionError as error:
        raise Trouble(_how_far(error), f"The text model did not answer ({type(error).__name__})") from error
    except requests.RequestException as error:
        raise Trouble(Kind.UNKNOWN, f"The text model did not answer ({type(error).__name__})") from error
    if not reply.ok:
        raise _trouble(reply)
    return _json(reply)


def _how_far(error: requests.ConnectionError) -> Kind:
    """A connection that was never made bought nothing; one that broke may have."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return Kind.TRANSIENT if isinstance(reason, NewConnectionError) else Kind.UNKNOWN


def _json(reply: requests.Response) -> Json:
    """Errors: Trouble of unknown outcome: an answer that can't be read was billed all the same."""
    if len(reply.content) > MOST_BYTES:
        raise Trouble(Kind.UNKNOWN, "The text model's answer is over 2 MB")
    try:
        found: Json = reply.json()
        jsonschema.validate(found, REPLY)
    except ValueError as error:
        raise Trouble(Kind.UNKNOWN, "The text model's answer is not JSON") from error
    except jsonschema.ValidationError as error:
        raise Trouble(
            Kind.UNKNOWN, f"The text model's answer is odd: {error.json_path}: {error.message}"[:300]
        ) from error
    return found


def _trouble(reply: requests.Response) -> Trouble:
    """A daily limit shows seconds too in RetryInfo: quotaId decides."""
    said = reply.text[:5000]
    message = f"The text model answered {reply.status_code}: {' '.join(said.split())[:300]}"
    if reply.status_code == 429 and "PerDay" in said:
        return Trouble(Kind.QUOTA, message)
    return Trouble(Kind.TRANSIENT if reply.status_code in AGAIN else Kind.PERMANENT, message)


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
    return sum((Decimal(n) * usd / 1_000_000 for n, usd in zip(tokens, prices, strict=True)), Decimal(0))
