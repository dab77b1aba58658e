"""From a topic to a production plan: one structured call to the text model, checked before any money follows it."""

import json
from collections.abc import Callable, Collection
from decimal import Decimal
from string import Template
from typing import Any

import jsonschema
import requests
from django.conf import settings
from urllib3.exceptions import NewConnectionError

from production.errors import Kind, Trouble
from production.models import Asset, Clip, Take, Task
from production.outside import storable

Json = dict[str, Any]
MOST_BYTES = 2_000_000
AGAIN = {408, 429, 500, 502, 503, 504}


def write(take: Take, beat: Callable[[], None]) -> tuple[Json, Decimal | None]:
    """Ask for the plan. Returns (plan, USD). Errors: Trouble; an unusable plan is transient and says why."""
    facts = take.recipe["facts"]
    reply = _ask(instructions(facts), schema(facts["clips"], facts["assets"]))
    usd = _cost(reply)
    try:
        plan = storable(json.loads(_text(reply)))
        check(plan, facts["clips"], facts["assets"])
    except ValueError as error:
        raise Trouble(Kind.TRANSIENT, f"The plan can't be used: {error}"[:500], usd=usd) from error
    return plan, usd


def land(take: Take) -> None:
    """The plan becomes rows. Called with the task's row locked; a plan made again replaces its rows."""
    plan, task = take.result, take.task
    task.clips.all().delete()
    task.assets.all().delete()
    assets = _land_assets(task, plan["assets"])
    Clip.objects.bulk_create(
        Clip(
            task=task,
            number=number,
            narration=clip["narration"],
            motion_prompt=clip["motion_prompt"],
            sound_prompt=clip["sound_prompt"],
            layout=clip["layout"],
            character=assets[clip["character"]],
            environment=assets[clip["environment"] or clip["character"]],
        )
        for number, clip in enumerate(plan["clips"], 1)
    )
    Task.objects.filter(pk=task.pk).update(
        story=plan["story"], description=plan["description"], tags=plan["tags"], title=task.title or plan["title"]
    )


def instructions(facts: Json) -> str:
    """The SOP prompt of `prompts/plan.md` with this task's facts; operators edit that file."""
    template = Template((settings.BASE_DIR / "prompts/plan.md").read_text())
    return template.safe_substitute({name: value or "-" for name, value in facts.items()})


def schema(clips: int, assets: int) -> Json:
    """JSON Schema of a plan with so many clips and images; the model is held to it and so are we."""
    text = {"type": "string", "minLength": 1, "maxLength": 2000}
    key = text | {"maxLength": 60, "pattern": "^[a-z0-9][a-z0-9_-]*$"}
    asset = {
        "key": key | {"description": "Unique short name, lower case"},
        "kind": {"type": "string", "enum": Asset.Kind.values},
        "prompt": text | {"description": "What to draw"},
        "reference": {"type": "string", "description": "Empty, or the key of an asset whose look it keeps"},
    }
    clip = {
        "narration": text | {"description": "18 to 24 spoken words"},
        "motion_prompt": text | {"description": "Action first, camera last"},
        "sound_prompt": text | {"maxLength": 450, "description": "What is heard in the place"},
        "layout": {"type": "string", "enum": Clip.Layout.values},
        "character": {"type": "string", "description": "Key of an asset of kind character"},
        "environment": {"type": "string", "description": "Key of an asset of kind environment; empty: none"},
    }
    return _object(
        title=text | {"maxLength": 100},
        story=text,
        description=text | {"maxLength": 4000},
        tags={"type": "array", "items": text | {"maxLength": 30}, "minItems": 3, "maxItems": 15},
        assets={"type": "array", "items": _object(**asset), "minItems": assets, "maxItems": assets},
        clips={"type": "array", "items": _object(**clip), "minItems": clips, "maxItems": clips},
    )


def check(plan: Any, clips: int, assets: int) -> None:
    """Errors: ValueError with one sentence: not the schema's shape, or a name that leads nowhere."""
    try:
        jsonschema.validate(plan, schema(clips, assets))
    except jsonschema.ValidationError as error:
        raise ValueError(f"{error.json_path}: {error.message}"[:300]) from error
    kinds = {asset["key"]: asset["kind"] for asset in plan["assets"]}
    if len(kinds) < len(plan["assets"]):
        raise ValueError("two images have the same key")
    seen: set[str] = set()
    for asset in plan["assets"]:
        if asset["reference"] and asset["reference"] not in seen:
            raise ValueError(f"image “{asset['key']}” refers to “{asset['reference']}”, which does not come before it")
        seen.add(asset["key"])
    for number, clip in enumerate(plan["clips"], 1):
        _check_images(clip, f"clip {number}", kinds)


def _check_images(clip: Json, name: str, known: Collection[str]) -> None:
    if clip["layout"] == Clip.Layout.SPLIT and not clip["environment"]:
        raise ValueError(f"{name} is split and has only one image")
    for role in (clip["character"], clip["environment"] or clip["character"]):
        if role not in known:
            raise ValueError(f"{name} uses “{role}”, which no image has as its key")


def _object(**properties: Any) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _land_assets(task: Task, planned: list[Json]) -> dict[str, Asset]:
    assets: dict[str, Asset] = {}
    for number, asset in enumerate(planned, 1):
        assets[asset["key"]] = Asset.objects.create(
            task=task,
            number=number,
            key=asset["key"],
            kind=asset["kind"],
            prompt=asset["prompt"],
            reference=assets.get(asset["reference"]),
        )
    return assets


# ---------------------------------------------------------------- the text model (vendors.md, Gemini)


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


def _text(reply: Json) -> str:
    """The answer's text. Refusals come with HTTP 200: no candidate, or a finishReason other than STOP."""
    candidate = (reply.get("candidates") or [{}])[0]
    reason = (reply.get("promptFeedback") or {}).get("blockReason") or candidate.get("finishReason")
    parts = (candidate.get("content") or {}).get("parts") or []
    text = "".join(part.get("text", "") for part in parts if not part.get("thought"))
    if not text or reason not in ("STOP", None):
        kind = Kind.TRANSIENT if reason == "MAX_TOKENS" else Kind.REFUSED
        raise Trouble(kind, f"The text model gave no plan ({reason or 'empty answer'})", usd=_cost(reply))
    return text


def _cost(reply: Json) -> Decimal | None:
    usage = reply.get("usageMetadata") or {}
    if not usage:
        return None
    answered = usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)
    tokens = (usage.get("promptTokenCount", 0), answered)
    prices = settings.TEXT_USD_PER_MILLION
    return sum((Decimal(n) * usd / 1_000_000 for n, usd in zip(tokens, prices, strict=True)), Decimal(0))
