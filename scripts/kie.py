"""KIE.ai's job protocol: create a task, ask about it, fetch its result.

Business errors come inside HTTP 200 with another ``code`` in the body, worded under ``msg`` or ``message``; the states
are waiting, queuing, generating, success and fail (never "failed"); ``resultJson`` is JSON in a string.
"""

import re
from dataclasses import dataclass
from typing import Any

import environment
from contract import Failure, Kind
from web import MEGABYTE, Reply, amount, free_get, kind_of_status, mapping, paid_post, parsed, sequence

SERVICE = "KIE"
PROMPT_LENGTH = 2500
ACCEPTED = 200
RENDERING = frozenset({"waiting", "queuing", "generating"})

# 402 no credits, 433 the sub-key's limit.
# 408 upstream too slow, 429 over 20 tasks in 10 s (rejected, not charged), 455 maintenance, 501 generation failed.
KINDS: dict[int, Kind] = {402: "quota", 433: "quota", **dict.fromkeys((408, 429, 455, 500, 501), "transient")}
WAITS = {429: 10.0, 455: 300.0}
MODERATION = re.compile(
    r"sensitive|polic(y|ies)|violat|nsfw|moderation|prohibited|inappropriate|safety|risk control", re.IGNORECASE
)


@dataclass(frozen=True)
class Render:
    """What KIE knows about a task.

    state: generating, success or fail; failure: why, of a failed one; credits: what it took, None if not told.
    """

    ref: str
    state: str
    url: str = ""
    failure: Failure | None = None
    credits: float | None = None


def submit(image_url: str, prompt: str) -> str:
    """Buy a ten-second clip and return the task's id. A lost reply is ``unknown``: KIE has no idempotency key."""
    model = environment.setting("KIE_VIDEO_MODEL", "kling/v2-5-turbo-image-to-video-pro")
    payload: dict[str, object] = {"model": model, "input": _input(model, image_url, prompt)}
    callback = environment.setting("CALLBACK_URL")
    if callback:
        payload["callBackUrl"] = callback
    reply = paid_post(
        base_address() + "/api/v1/jobs/createTask",
        service=SERVICE,
        headers=_headers(),
        payload=payload,
        seconds=60,
        limit=MEGABYTE,
    )
    ref = _data(reply, paid=True, model=model).get("taskId")
    if not isinstance(ref, str) or not ref:
        raise Failure("unknown", f"{SERVICE}: accepted the task but named no id")
    return ref


def ask(ref: str) -> Render:
    """How the task stands. A Failure raised here is about the asking; one in the answer is about the render."""
    reply = free_get(
        base_address() + "/api/v1/jobs/recordInfo",
        service=SERVICE,
        headers=_headers(),
        params={"taskId": ref},
        seconds=20,
    )
    record = _data(reply, paid=False)
    if not record:
        return Render(ref, "fail", failure=Failure("unknown", f"{SERVICE} knows no task {ref}"))
    state, spent = record.get("state"), amount(record.get("consumeCredits"))
    if str(state) in RENDERING:
        return Render(ref, "generating")
    if state == "success":
        return Render(ref, "success", url=_result(record), credits=spent)
    if state == "fail":
        return Render(ref, "fail", failure=_render_failure(record), credits=spent)
    raise Failure("transient", f"{SERVICE}: unheard-of state {state!r}")


def base_address() -> str:
    """Where KIE is asked; its stand-in, where the setting says so."""
    return environment.address("KIE_BASE_URL", "https://api.kie.ai")


def _headers() -> dict[str, str]:
    return {"Authorization": f"Bearer {environment.secret('KIE_API_KEY')}"}


def _input(model: str, image_url: str, prompt: str) -> dict[str, object]:
    """The input as this family of models wants it. Ten seconds, as a string; newer families want ``sound`` said."""
    if model.startswith(("kling-2.6/", "kling-3.0/")):
        mode = {"mode": "pro"} if model.startswith("kling-3.0/") else {}
        return {"prompt": prompt, "image_urls": [image_url], "duration": "10", "sound": False, **mode}
    return {"prompt": prompt, "image_url": image_url, "duration": "10"}


def _data(reply: Reply, *, paid: bool, model: str = "") -> dict[str, Any]:
    """The data of an accepted request, empty for an unknown task. The body's code decides, whatever the HTTP status.

    model: the one asked for, named where KIE complains of a model.
    """
    answer = reply.json()
    code = amount(answer.get("code"))
    message = str(answer.get("msg") or answer.get("message") or f"HTTP {reply.status}")
    if reply.ok and code == ACCEPTED:
        return mapping(answer.get("data"))
    if not paid and "recordinfo is null" in message.lower():
        return {}
    if code is None or (code == ACCEPTED and not reply.ok):
        lost: Kind = "unknown" if paid else "transient"  # a question can be asked again: the render is paid and there
        kind = lost if reply.ok else kind_of_status(reply.status)
        raise Failure(kind, f"{SERVICE}: unreadable answer (HTTP {reply.status})", retry_after=reply.retry_after)
    if model and "model" in message.lower():
        message += f" (KIE_VIDEO_MODEL is {model})"
    raise _failure(int(code), message, paid=paid, wait=reply.retry_after)


def _failure(code: int, message: str, *, paid: bool = False, wait: float | None = None) -> Failure:
    """Name the kind of a business error. 408, an upstream that did not answer, leaves a paid request unknown."""
    if MODERATION.search(message):
        return Failure("refused", f"{SERVICE}: {message}")
    kind = "unknown" if paid and code == 408 else KINDS.get(code, "permanent")
    return Failure(kind, f"{SERVICE}: {message} (code {code})", retry_after=wait or WAITS.get(code))


def _render_failure(record: dict[str, Any]) -> Failure:
    """Why a render failed; without a code another try may well succeed."""
    code = amount(record.get("failCode"))
    return _failure(501 if code is None else int(code), str(record.get("failMsg") or "the render failed"))


def _result(record: dict[str, Any]) -> str:
    """The first result's address, out of JSON in a string."""
    text = record.get("resultJson")
    result = parsed(text) if isinstance(text, str) else text
    urls = sequence(mapping(result).get("resultUrls"))
    return str(urls[0]) if urls else ""
