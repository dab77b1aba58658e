"""What each step of a plan may be: the schema that the text model is held to, and what we check once more."""

from collections.abc import Callable
from typing import Any

import jsonschema

from production.models import Asset, Clip
from production.stages import Step

Json = dict[str, Any]
TEXT: Json = {"type": "string", "minLength": 1, "maxLength": 2000}
KEY: Json = TEXT | {"maxLength": 60, "pattern": "^[a-z0-9][a-z0-9_-]*$"}


def schema(step: Step, facts: Json, told: Json) -> Json:
    """JSON Schema of the step's output; the model is held to it and so are we."""
    return SCHEMAS[step.name](facts, told)


def _research(facts: Json, told: Json) -> Json:
    fact = _object(
        claim=TEXT | {"maxLength": 600, "description": "One fact, with its number, name or date"},
        source=TEXT | {"maxLength": 300, "description": "Where one would look it up"},
    )
    return _object(
        question=TEXT | {"maxLength": 300, "description": "The question that the film answers"},
        facts=_array(fact, 5, 40),
        surprises=_array(TEXT | {"maxLength": 400}, 1, 8),
        doubtful=_array(TEXT | {"maxLength": 400}, 0, 8),
    )


def _story(facts: Json, told: Json) -> Json:
    clips = facts["clips"]
    return _object(
        title=TEXT | {"maxLength": 100},
        story=TEXT | {"description": "The story in one paragraph"},
        beats=_array(TEXT | {"maxLength": 400, "description": "What this clip tells"}, clips, clips),
        description=TEXT | {"maxLength": 4000},
        tags=_array(TEXT | {"maxLength": 30}, 3, 15),
    )


def _assets(facts: Json, told: Json) -> Json:
    asset = _object(
        key=KEY | {"description": "Unique short name, lower case"},
        kind={"type": "string", "enum": Asset.Kind.values},
        prompt=TEXT | {"description": "What to draw"},
        reference={"type": "string", "maxLength": 60, "description": "Empty, or the key of an asset with its look"},
    )
    return _object(assets=_array(asset, facts["assets"], facts["assets"]))


def _shots(facts: Json, told: Json) -> Json:
    clips = len(told["story"]["beats"])
    keys = [asset["key"] for asset in told["assets"]["assets"]]
    clip = _object(
        layout={"type": "string", "enum": Clip.Layout.values},
        character={"type": "string", "enum": keys, "description": "Who or what is shown"},
        environment={"type": "string", "enum": keys, "description": "Where; left out: the first image alone"},
        motion_prompt=TEXT | {"description": "Action first, camera last"},
        optional=("environment",),  # Gemini refuses any schema with an empty word in an enum
    )
    return _object(clips=_array(clip, clips, clips))


def _narration(facts: Json, told: Json) -> Json:
    clips = len(told["shots"]["clips"])
    return _object(narration=_array(TEXT | {"description": "18 to 24 spoken words"}, clips, clips))


def _sounds(facts: Json, told: Json) -> Json:
    clips = len(told["shots"]["clips"])
    return _object(sounds=_array(TEXT | {"maxLength": 450, "description": "What is heard in the place"}, clips, clips))


SCHEMAS: dict[str, Callable[[Json, Json], Json]] = {
    "research": _research,
    "story": _story,
    "assets": _assets,
    "shots": _shots,
    "narration": _narration,
    "sounds": _sounds,
}


# ---------------------------------------------------------------- what is wrong with an answer


def check(output: Any, step: Step, facts: Json, told: Json) -> None:
    """Errors: ValueError with one sentence: not the schema's shape, or a name that leads nowhere."""
    fault = next(jsonschema.Draft202012Validator(schema(step, facts, told)).iter_errors(_tidied(output)), None)
    if fault:
        raise ValueError(_in_words(fault)) from fault
    if step.name == "story" and not output["title"].strip():
        raise ValueError("the title is blank")
    if step.name == "assets":
        _check_assets(output["assets"])
    elif step.name == "shots":
        _check_shots(output["clips"])


def _tidied(output: Any) -> Any:
    """An environment that is empty is none."""
    clips = output.get("clips") if isinstance(output, dict) else None
    if not isinstance(clips, list):
        return output
    return output | {"clips": [_without_blank(clip) for clip in clips]}


def _without_blank(clip: Any) -> Any:
    blank = isinstance(clip, dict) and clip.get("environment") == ""
    return {name: value for name, value in clip.items() if name != "environment"} if blank else clip


def _in_words(fault: jsonschema.ValidationError) -> str:
    """Without the text that is wrong, which may be long: its place, what it is and what it may be."""
    wanted: Any
    given: Any
    place, wanted, given = fault.json_path, fault.validator_value, fault.instance
    if fault.validator in ("minItems", "maxItems"):
        bound = "at least" if fault.validator == "minItems" else "at most"
        return f"{place} has {len(given)} entries, {bound} {wanted} are wanted"
    if fault.validator in ("minLength", "maxLength"):
        bound = "at least" if fault.validator == "minLength" else "at most"
        return f"{place} has {len(given)} characters, {bound} {wanted} are allowed"
    if fault.validator == "enum":
        return f"{place} is “{str(given)[:60]}”, which is none of {', '.join(map(str, wanted))}"[:400]
    if fault.validator in ("required", "additionalProperties"):
        return f"{place}: {fault.message}"[:300]
    return f"{place} is “{str(given)[:60]}”, not a {fault.validator} of {wanted}"[:300]


def _check_assets(assets: list[Json]) -> None:
    seen: set[str] = set()
    for asset in assets:
        if asset["key"].endswith("\n"):  # to a pattern, "$" is also the place before a last line break
            raise ValueError(f"the key “{asset['key'].strip()}” has a line break")
        if asset["reference"] and asset["reference"] not in seen:
            raise ValueError(f"image “{asset['key']}” refers to “{asset['reference']}”, which does not come before it")
        if asset["key"] in seen:
            raise ValueError(f"two images have the key “{asset['key']}”")
        seen.add(asset["key"])


def _check_shots(clips: list[Json]) -> None:
    for number, clip in enumerate(clips, 1):
        if clip["layout"] == Clip.Layout.SPLIT and not clip.get("environment"):
            raise ValueError(f"clip {number} is split and has only one image")


def _object(optional: tuple[str, ...] = (), **properties: Any) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _array(items: Json, least: int, most: int) -> Json:
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}
