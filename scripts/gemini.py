"""Gemini's image model over its REST protocol (v1beta: whether v1 takes ``imageConfig`` is not documented)."""

import base64
import binascii
from dataclasses import dataclass
from urllib.parse import quote

import environment
from contract import Failure, emit
from web import MEGABYTE, Reply, amount, kind_of_status, mapping, paid_post, sequence

SERVICE = "Gemini"
REFERENCES = 14  # gemini-nano-banana-2.1 takes no more
SECONDS = 110  # within the runner's 120 s, so that it is we who report a lost reply


@dataclass(frozen=True)
class Picture:
    """An image as it travels in a request or reply."""

    mime_type: str
    content: bytes


def draw(prompt: str, references: list[Picture]) -> Picture:
    """Buy one 16:9 image of 1K. Prints its cost. Raises ``refused`` when reasons come instead of an image."""
    model = environment.setting("GEMINI_IMAGE_MODEL", "gemini-nano-banana-2.1").removeprefix("models/")
    base = environment.address("GEMINI_BASE_URL", "https://generativelanguage.googleapis.com")
    prices = _prices()
    reply = paid_post(
        f"{base}/v1beta/models/{quote(model, safe='')}:generateContent",
        service=SERVICE,
        headers={"x-goog-api-key": environment.secret("GEMINI_API_KEY")},
        payload=_request(prompt, references),
        seconds=SECONDS,
        limit=48 * MEGABYTE,
    )
    if not reply.ok:
        raise _failure(reply, model)
    answer = reply.json()
    if not answer:
        raise Failure("unknown", f"{SERVICE}: answered HTTP {reply.status} without readable JSON")
    _report_cost(mapping(answer.get("usageMetadata")), prices)
    return _image(answer)


def _request(prompt: str, references: list[Picture]) -> dict[str, object]:
    parts: list[dict[str, object]] = [
        {"inlineData": {"mimeType": reference.mime_type, "data": base64.b64encode(reference.content).decode("ascii")}}
        for reference in references
    ]
    return {
        "contents": [{"role": "user", "parts": [*parts, {"text": prompt}]}],
        "generationConfig": {
            "responseModalities": ["TEXT", "IMAGE"],
            "imageConfig": {"aspectRatio": "16:9", "imageSize": "1K"},
        },
    }


def _prices() -> tuple[float, float]:
    """USD for a token of output and of input; the settings are per million, as Google quotes them."""
    output = environment.number("GEMINI_IMAGE_USD_PER_MILLION", 30.0)
    return output / 1e6, environment.number("GEMINI_PROMPT_USD_PER_MILLION", 1.5) / 1e6


def _report_cost(usage: dict[str, object], prices: tuple[float, float]) -> None:
    """Print the cost, added text counted at the price of the image; a refusal makes nothing and costs nothing."""
    counts = [usage.get(name) for name in ("candidatesTokenCount", "thoughtsTokenCount", "promptTokenCount")]
    made, thought, asked = (count if isinstance(count, int) else 0 for count in counts)
    if made or thought:
        usd = (made + thought) * prices[0] + asked * prices[1]
        emit("cost", units=made + thought + asked, unit="tokens", usd=round(usd, 6))


def _image(answer: dict[str, object]) -> Picture:
    """The first image of the first candidate that is not a thought."""
    candidates = sequence(answer.get("candidates"))
    candidate = mapping(candidates[0]) if candidates else {}
    parts = [mapping(part) for part in sequence(mapping(candidate.get("content")).get("parts"))]
    for part in parts:
        data = mapping(part.get("inlineData"))
        if data.get("data") and not part.get("thought"):
            return _decoded(data)
    raise Failure("refused", f"{SERVICE}: {_reason(answer, candidate, parts)}")


def _decoded(data: dict[str, object]) -> Picture:
    try:
        content = base64.b64decode(str(data["data"]), altchars=b"-_", validate=True)  # Google has both alphabets
    except binascii.Error:
        raise Failure("permanent", f"{SERVICE}: the image is not valid base64") from None
    return Picture(str(data.get("mimeType", "")), content)


def _reason(answer: dict[str, object], candidate: dict[str, object], parts: list[dict[str, object]]) -> str:
    """Why there is no image. Refusals inside HTTP 200 have three forms: blocked prompt, finish reason, text alone."""
    feedback = mapping(answer.get("promptFeedback"))
    if feedback.get("blockReason"):
        return f"the prompt was blocked: {feedback['blockReason']} {feedback.get('blockReasonMessage', '')}"
    finish = candidate.get("finishReason", "no candidate")
    said = " ".join(str(part["text"]) for part in parts if part.get("text") and not part.get("thought"))
    detail = candidate.get("finishMessage") or said[:200]
    return f"no image: {finish}" + (f": {detail}" if detail else "")


def _failure(reply: Reply, model: str) -> Failure:
    """Read the error from its body: a daily limit shows only in quotaId, and even that one may name seconds."""
    error = mapping(reply.json().get("error"))
    message = f"{SERVICE}: {error.get('message') or f'HTTP {reply.status}'}"
    details = [mapping(detail) for detail in sequence(error.get("details"))]
    if reply.status == 404:
        return Failure("permanent", f"{message} (GEMINI_IMAGE_MODEL is {model})")
    if reply.status == 429:
        daily = any("PerDay" in quota for quota in _quota_ids(details))
        return Failure("quota", message) if daily else Failure("transient", message, retry_after=_wait(reply, details))
    return Failure(kind_of_status(reply.status), message, retry_after=reply.retry_after)


def _quota_ids(details: list[dict[str, object]]) -> list[str]:
    return [
        str(mapping(violation).get("quotaId", ""))
        for detail in details
        for violation in sequence(detail.get("violations"))
    ]


def _wait(reply: Reply, details: list[dict[str, object]]) -> float | None:
    """Seconds to wait: RetryInfo's ``"26s"``, else the header."""
    for detail in details:
        wait = amount(str(detail.get("retryDelay", "")).removesuffix("s"))
        if wait is not None:
            return wait
    return reply.retry_after
