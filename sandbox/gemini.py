"""Gemini: generateContent of image and text models, and the list of models."""

import base64
import json
import re
import uuid
from dataclasses import replace
from typing import Any

from flask import Flask, request

from sandbox.author import Brief, write_answer
from sandbox.books import Document
from sandbox.desk import Desk, Reply, Sandbox, VendorError, json_object, known_key, strings_in
from sandbox.faults import Fault
from sandbox.paint import SCALES, SIZES, paint

IMAGE_MODELS = {"gemini-nano-banana-2.1": 0.0336, "gemini-3-pro-image": 0.134}  # USD for a 1K image
TEXT_MODELS = ("gemini-3.5-flash", "gemini-3.8-flash")
IMAGE_TOKENS = 1120  # a 1K image; $30 a million makes 0.0336
IMAGE_INPUT_USD = 1.5e-6  # a token of text or image put into an image model
TEXT_INPUT_USD, TEXT_OUTPUT_USD = 0.5e-6, 3.0e-6

# What a request may hold; anything else is refused, as the real service does. None: not looked into.
REQUEST: Document = {
    "contents": None,
    "systemInstruction": None,
    "tools": None,
    "toolConfig": None,
    "safetySettings": None,
    "cachedContent": None,
    "model": None,
    "generationConfig": {
        **dict.fromkeys(("temperature", "topP", "topK", "seed", "candidateCount", "maxOutputTokens", "stopSequences")),
        **dict.fromkeys(("presencePenalty", "frequencyPenalty", "responseLogprobs", "logprobs", "thinkingConfig")),
        **dict.fromkeys(("responseModalities", "responseMimeType", "responseSchema", "responseJsonSchema")),
        **dict.fromkeys(("mediaResolution", "speechConfig")),
        "imageConfig": {"aspectRatio": None, "imageSize": None},
    },
}


def app(sandbox: Sandbox) -> Flask:
    desk = Desk(sandbox, "gemini", quota_error, unknown=lambda: error(404, "NOT_FOUND", "Method not found."))

    @desk.counter("GET", "/<any(v1beta,v1):version>/models", "models")
    def models(version: str) -> Reply:
        _check_key()
        return Reply(body=_model_page())

    @desk.counter("GET", "/<any(v1beta,v1):version>/models/<model>", "models")
    def model(version: str, model: str) -> Reply:
        _check_key()
        _check_model(model, version)
        return Reply(body=_model(model))

    @desk.counter("POST", "/<any(v1beta,v1):version>/models/<model>:generateContent", "generateContent")
    def generate(version: str, model: str) -> Reply:
        return _generate(desk, model, version)

    @desk.counter("POST", "/<any(v1beta,v1):version>/models/<model>:streamGenerateContent", "generateContent")
    def stream(version: str, model: str) -> Reply:
        whole = _generate(desk, model, version)
        events = "".join(f"data: {json.dumps(chunk)}\r\n\r\n" for chunk in _chunks(whole.body))
        return replace(whole, body=events, headers={"Content-Type": "text/event-stream"})

    @desk.counter("POST", "/<any(v1beta,v1):version>/models/<model>:countTokens", "countTokens")
    def count(version: str, model: str) -> Reply:
        _check_key()
        _check_model(model, version)
        parts = _parts(json_object() or {})
        words = "".join(part["text"] for part in parts if isinstance(part.get("text"), str))
        usage = _usage(words, sum("inlineData" in part for part in parts), 0)
        return Reply(body={"totalTokens": usage["promptTokenCount"]})

    return desk.app


def _model(name: str) -> Document:
    methods = ["generateContent", "streamGenerateContent", "countTokens"]
    size = {"inputTokenLimit": 65_536, "outputTokenLimit": 32_768}
    head = {"name": f"models/{name}", "displayName": name, "version": "1"}
    return head | size | {"supportedGenerationMethods": methods}


def _model_page() -> Document:
    """The models from the page token on, 50 a page unless told."""
    names = [*TEXT_MODELS, *IMAGE_MODELS]
    size, start = request.args.get("pageSize", 50, int), request.args.get("pageToken", 0, int)
    more = {"nextPageToken": str(start + size)} if start + size < len(names) else {}
    return {"models": [_model(name) for name in names[start : start + size]]} | more


def _chunks(answer: Document) -> list[Document]:
    """A text in two parts, the usage and the reason for the end with the last; anything else as it is."""
    candidates = answer.get("candidates") or []
    parts = candidates[0]["content"].get("parts", []) if candidates else []
    text = parts[0].get("text", "") if parts else ""
    if len(text) < 2:
        return [answer]
    half = len(text) // 2
    first, last = ({"parts": [{"text": part}], "role": "model"} for part in (text[:half], text[half:]))
    told = {key: answer[key] for key in ("modelVersion", "responseId")}
    begun = told | {"candidates": [{"content": first, "index": 0}]}
    return [begun, answer | {"candidates": [candidates[0] | {"content": last}]}]


def _generate(desk: Desk, model: str, version: str) -> Reply:
    _check_key()
    _check_model(model, version)
    body = json_object()
    if body is None:
        raise error(400, "INVALID_ARGUMENT", "Invalid JSON payload received.")
    _check_fields(body, REQUEST, "")
    parts = _parts(body)
    prompt = "\n".join(part["text"] for part in parts if isinstance(part.get("text"), str))
    pictures = sum("inlineData" in part for part in parts)
    if not parts:
        raise error(400, "INVALID_ARGUMENT", "* GenerateContentRequest.contents: contents is not specified")
    _check_pictures(parts)
    if desk.refused(prompt, "generateContent"):
        return _refusal(model, prompt)
    config = body.get("generationConfig") or {}
    if model in IMAGE_MODELS:
        return _image(desk, model, prompt, pictures, config)
    return _text(desk, model, prompt, pictures, body, config)


def _image(desk: Desk, model: str, prompt: str, pictures: int, config: Document) -> Reply:
    shape = config.get("imageConfig") or {}
    aspect, size = shape.get("aspectRatio", "1:1"), shape.get("imageSize", "1K")
    if aspect not in SIZES or size not in SCALES:
        raise error(400, "INVALID_ARGUMENT", f"Unsupported aspectRatio {aspect!r} or imageSize {size!r}.")
    if "responseSchema" in config or "responseJsonSchema" in config:
        raise error(400, "INVALID_ARGUMENT", "JSON mode is not enabled for this model.")
    if pictures > 14:
        raise error(400, "INVALID_ARGUMENT", "At most 14 reference images.")
    desk.sandbox.wait(desk.sandbox.pace.now.image)
    picture = paint(prompt, aspect, size)
    data = {"mimeType": picture.mime, "data": base64.b64encode(picture.data).decode()}
    usage = _usage(prompt, pictures, IMAGE_TOKENS)
    usd = IMAGE_MODELS[model] + usage["promptTokenCount"] * IMAGE_INPUT_USD
    ref, body = _answer(model, [{"inlineData": data}], usage)
    return Reply(body=body, ref=ref, usd=round(usd, 6), units=1, unit="image", text=prompt)


def _text(desk: Desk, model: str, prompt: str, pictures: int, body: Document, config: Document) -> Reply:
    if "IMAGE" in (config.get("responseModalities") or []):
        raise error(400, "INVALID_ARGUMENT", "This model does not support the requested response modalities: image")
    desk.sandbox.wait(desk.sandbox.pace.now.text)
    told = "\n".join(strings_in(body.get("systemInstruction")))
    schema = config.get("responseJsonSchema") or config.get("responseSchema")
    if place := _blank_enum(schema):
        raise error(
            400,
            "INVALID_ARGUMENT",
            f"* GenerateContentRequest.generation_config.response_schema.{place}: cannot be empty",
        )
    try:
        text = write_answer(Brief.read(prompt, told), schema)
    except ValueError as trouble:
        raise error(
            400, "INVALID_ARGUMENT", f"* GenerateContentRequest.generation_config.response_schema: {trouble}"
        ) from trouble
    fault = desk.fault("generateContent", prompt, "bad_text", "cut_text")
    if fault:
        text = str(fault.body) if fault.kind == "bad_text" else text[: len(text) // 2]
    usage = _usage(prompt + told, pictures, len(text) // 4 + 1)
    usd = usage["promptTokenCount"] * TEXT_INPUT_USD + usage["candidatesTokenCount"] * TEXT_OUTPUT_USD
    ref, answer = _answer(model, [{"text": text}], usage)
    if fault and fault.kind == "cut_text":
        answer["candidates"][0]["finishReason"] = "MAX_TOKENS"
    booked = Reply(body=answer, ref=ref, usd=round(usd, 6), units=usage["totalTokenCount"], unit="token", text=prompt)
    return replace(booked, note=fault.kind) if fault else booked


def _blank_enum(schema: Any, place: str = "") -> str:
    """Where an enumeration has an empty member, which the real service does not take."""
    if isinstance(schema, list):
        return next(filter(None, (_blank_enum(each, place) for each in schema)), "")
    if not isinstance(schema, dict):
        return ""
    if "" in (schema.get("enum") or []):
        return f"{place}enum[{schema['enum'].index('')}]"
    return next(filter(None, (_blank_enum(each, f"{place}{name}.") for name, each in schema.items())), "")


def _answer(model: str, parts: list[Document], usage: Document) -> tuple[str, Document]:
    ref = uuid.uuid4().hex[:22]
    candidate = {"content": {"parts": parts, "role": "model"}, "finishReason": "STOP", "index": 0}
    return ref, {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model, "responseId": ref}


def _refusal(model: str, prompt: str) -> Reply:
    """A refusal is an HTTP 200: no candidates for texts, a candidate without an image for image models."""
    usage = _usage(prompt, 0, 0)
    if model in IMAGE_MODELS:
        finish = {"finishReason": "IMAGE_SAFETY", "finishMessage": "Unable to show the generated image.", "index": 0}
        body: Document = {"candidates": [{"content": {}} | finish]}
    else:
        body = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
    body |= {"usageMetadata": usage, "modelVersion": model}
    return Reply(body=body, accepted=False, text=prompt, note="refuse")


def _usage(prompt: str, pictures: int, made: int) -> dict[str, int]:
    asked = len(prompt) // 4 + 1 + 258 * pictures  # 258 tokens: an image that is looked at
    return {"promptTokenCount": asked, "candidatesTokenCount": made, "totalTokenCount": asked + made}


def _parts(body: Document) -> list[Document]:
    contents = body.get("contents")
    contents = [contents] if isinstance(contents, dict) else contents
    if not isinstance(contents, list):
        return []
    parts = [part for content in contents if isinstance(content, dict) for part in content.get("parts") or []]
    return [_camel(part) for part in parts if isinstance(part, dict)]


def _check_pictures(parts: list[Document]) -> None:
    """Raises the service's 400 for one that holds no picture."""
    for part in parts:
        given = part.get("inlineData")
        if given is None:
            continue
        try:
            head = base64.b64decode(given["data"], altchars=b"-_", validate=True)[:12]  # Google takes both alphabets
        except (KeyError, TypeError, ValueError):
            raise error(400, "INVALID_ARGUMENT", "Invalid value at 'contents.parts.inline_data.data'.") from None
        if not head.startswith((b"\x89PNG", b"\xff\xd8")) and head[8:] != b"WEBP":
            raise error(400, "INVALID_ARGUMENT", "Unable to process input image.")


def _camel(value: Any) -> Any:
    """Keys as the service names them: it takes inline_data for inlineData."""
    if not isinstance(value, dict):
        return value
    return {re.sub(r"_([a-z])", lambda found: found[1].upper(), key): each for key, each in value.items()}


def _check_fields(given: Document, known: Document, path: str) -> None:
    """Raises the service's 400 for the first unknown key; renames snake_case keys in place."""
    renamed = _camel(given)
    given.clear()
    given.update(renamed)
    for key, value in given.items():
        if key not in known:
            where = f" at '{path}'" if path else ""
            raise error(
                400,
                "INVALID_ARGUMENT",
                f'Invalid JSON payload received. Unknown name "{key}"{where}: Cannot find field.',
            )
        if known[key] is not None and isinstance(value, dict):
            _check_fields(value, known[key], f"{path}.{key}".strip("."))


def _check_key() -> None:
    if not known_key(request.headers.get("x-goog-api-key") or request.args.get("key")):
        reason = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
        }
        raise error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", reason)


def _check_model(model: str, version: str) -> None:
    if model not in IMAGE_MODELS and model not in TEXT_MODELS:
        raise error(
            404,
            "NOT_FOUND",
            f"models/{model} is not found for API version {version}, or is not supported for generateContent. "
            "Call ListModels to see the list of available models and their supported methods.",
        )


def error(status: int, name: str, message: str, *details: Document) -> VendorError:
    body: Document = {"code": status, "message": message, "status": name}
    if details:
        body["details"] = list(details)
    return VendorError(status, {"error": body})


def quota_error(fault: Fault) -> VendorError:
    """A 429: a daily limit is told by its quotaId alone, RetryInfo shows seconds either way."""
    violation = {
        "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
        "quotaId": f"GenerateRequests{'PerDay' if fault.daily else 'PerMinute'}PerProjectPerModel",
        "quotaValue": "1000",
    }
    return error(
        429,
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota, please check your plan and billing details.",
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{round(fault.seconds)}s"},
    )
