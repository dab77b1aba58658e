"""Notion's properties: schemas, values checked as the real API checks them, filters and sorts."""

import hashlib
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sandbox.books import Document
from sandbox.desk import VendorError

TEXT_LIMIT = 2000  # UTF-16 units of one text.content: JavaScript counts them
LIST_LIMIT = 100  # elements of one array
COLOURS = ("default", "gray", "brown", "orange", "yellow", "green", "blue", "purple", "pink", "red")
OPTION_TYPES = ("select", "multi_select", "status")
# Type -> its empty value; what can't be written here is computed by Notion.
EMPTY: dict[str, Any] = {
    "title": [],
    "rich_text": [],
    "select": None,
    "multi_select": [],
    "status": None,
    "number": None,
    "url": None,
    "checkbox": False,
    "date": None,
    "files": [],
    "people": [],
}
COMPUTED = ("last_edited_time", "created_time", "last_edited_by", "created_by")
ANNOTATIONS = {
    **dict.fromkeys(("bold", "italic", "strikethrough", "underline", "code"), False),
    "color": "default",
}


def notion_error(status: int, code: str, message: str) -> VendorError:
    body = {"object": "error", "status": status, "code": code, "message": message, "request_id": str(uuid.uuid4())}
    return VendorError(status, body)


def invalid(message: str) -> VendorError:
    return notion_error(400, "validation_error", message)


def read_schema(given: Any, *, by_person: bool, before: Document | None = None) -> Document:
    """Properties of a data source as kept: {name: {id, name, type, <type>: config}}; named by name or id, null removes
    one, a `name` renames it."""
    if not isinstance(given, dict):
        raise invalid("body failed validation: body.properties should be an object.")
    schema = dict(before or {})
    for key, wanted in given.items():
        known = find_property(schema, key)
        name = known["name"] if known else key
        if wanted is None:
            schema.pop(name, None)
            continue
        changed = _changed(name, wanted, known, by_person=by_person)
        if changed["name"] != name and changed["name"] in schema:
            raise invalid(f"A property named {changed['name']} exists already.")
        schema = {old: each for old, each in schema.items() if old != name} | {changed["name"]: changed}
    if [each["type"] for each in schema.values()].count("title") != 1:
        raise invalid("Title is not provided: a data source has exactly one property of type title.")
    return schema


def _changed(name: str, wanted: Any, known: Document | None, *, by_person: bool) -> Document:
    """The property with another name, another configuration, or both."""
    new = str(wanted["name"]) if isinstance(wanted, dict) and wanted.get("name") else name
    if known and isinstance(wanted, dict) and set(wanted) == {"name"}:
        return known | {"name": new}
    return _property(name, wanted, known, by_person=by_person) | {"name": new}


def _property(name: str, wanted: Any, known: Document | None, *, by_person: bool) -> Document:
    kinds = [kind for kind in (*EMPTY, *COMPUTED) if isinstance(wanted, dict) and kind in wanted]
    if not kinds:
        raise invalid(f"body failed validation: body.properties.{name} has no type this API knows.")
    kind = kinds[0]
    if kind == "status" and not by_person and not (known and known["type"] == "status"):
        raise invalid("Creating status database properties via the API is not currently supported.")
    config = dict(wanted[kind] or {})
    if kind in OPTION_TYPES:
        there = known[kind]["options"] if known and known["type"] == kind else []
        config["options"] = [_kept(there, each) or option(name, each) for each in config.get("options", there)]
    if kind == "number":
        config.setdefault("format", "number")
    key = known["id"] if known else "title" if kind == "title" else _short_id(name)
    return {"id": key, "name": name, "type": kind, "description": None, kind: config}


def _kept(there: list[Document], given: Any) -> Document | None:
    """The option that is there already; a colour it has not can't be given to it."""
    given = given if isinstance(given, dict) else {}
    names = (given.get("id"), given.get("name"))
    known = next((each for each in there if each["id"] == names[0] or each["name"] == names[1]), None)
    if known and given.get("color", known["color"]) != known["color"]:
        raise invalid(f"Cannot update color of select with name: {known['name']}.")
    return known


def option(property_name: str, given: Any) -> Document:
    name = str(given["name"]) if isinstance(given, dict) and "name" in given else ""
    if not name or "," in name:
        raise invalid("Invalid select option: a name is needed, commas are not allowed.")
    colour = given.get("color") or COLOURS[int(hashlib.sha256(name.encode()).hexdigest(), 16) % len(COLOURS)]
    return {
        "id": given.get("id") or _short_id(property_name + name),
        "name": name,
        "color": colour,
        "description": None,
    }


def _short_id(name: str) -> str:
    """Four characters, partly percent-encoded, as Notion's property ids are."""
    mark = hashlib.sha256(name.encode()).hexdigest()
    return f"%3A{mark[:3]}" if int(mark[3], 16) < 8 else mark[:4]


def find_property(schema: Document, name_or_id: str) -> Document | None:
    known: Document | None = schema.get(name_or_id)
    return known or next((each for each in schema.values() if each["id"] == name_or_id), None)


def write_values(schema: Document, given: Any) -> dict[str, Any]:
    """Checked values by property name; a select's new option is added to the schema in place."""
    if not isinstance(given, dict):
        raise invalid("body failed validation: body.properties should be an object.")
    written = {}
    for name, value in given.items():
        known = find_property(schema, name)
        if known is None:
            raise invalid(f"{name} is not a property that exists.")
        written[known["name"]] = _written(known, value)
    return written


def _written(known: Document, value: Any) -> Any:
    kind, name = known["type"], known["name"]
    if kind in COMPUTED:
        raise invalid(f"{name} is computed and can't be written.")
    if not isinstance(value, dict) or kind not in value:
        raise invalid(f"{name} is expected to be {kind}.")
    return WRITERS[kind](known, value[kind])


def _texts(known: Document, value: Any) -> list[Document]:
    where = f"body.properties.{known['name']}.{known['type']}"
    return read_rich_text(value, where)


def read_rich_text(value: Any, where: str) -> list[Document]:
    if not isinstance(value, list):
        raise invalid(f"body failed validation: {where} should be an array.")
    if len(value) > LIST_LIMIT:
        raise invalid(f"body failed validation: {where}.length should be ≤ `{LIST_LIMIT}`, instead was `{len(value)}`.")
    return [_text(each, f"{where}[{index}]") for index, each in enumerate(value)]


def _text(given: Any, where: str) -> Document:
    text = given.get("text") if isinstance(given, dict) else None
    content = text.get("content") if isinstance(text, dict) else None
    if not isinstance(text, dict) or not isinstance(content, str):
        raise invalid(f"body failed validation: {where}.text.content should be defined, instead was `undefined`.")
    length = len(content.encode("utf-16-le", "surrogatepass")) // 2
    if length > TEXT_LIMIT:
        found = f"should be ≤ `{TEXT_LIMIT}`, instead was `{length}`."
        raise invalid(f"body failed validation: {where}.text.content.length {found}")
    link = text.get("link")
    href = link.get("url") if isinstance(link, dict) else None
    body = {"type": "text", "text": {"content": content, "link": link}, "annotations": dict(ANNOTATIONS)}
    return body | {"plain_text": content, "href": href}


def _choice(known: Document, value: Any) -> Document | None:
    if value is None:
        return None
    options = known[known["type"]]["options"]
    if not isinstance(value, dict) or not ({"name", "id"} & set(value)):
        raise invalid(f"{known['name']} is expected to be an option with a name or an id.")
    for each in options:
        if value.get("id") == each["id"] or value.get("name") == each["name"]:
            return _shown_option(each)
    if known["type"] == "status" or "name" not in value:
        named = value.get("name") or value.get("id")
        raise invalid(f'Invalid {known["type"]} option. {known["type"].capitalize()} option "{named}" does not exist.')
    options.append(option(known["name"], value))
    return _shown_option(options[-1])


def _shown_option(each: Document) -> Document:
    return {key: each[key] for key in ("id", "name", "color")}


def _choices(known: Document, value: Any) -> list[Document]:
    if not isinstance(value, list) or len(value) > LIST_LIMIT:
        raise invalid(f"{known['name']} is expected to be a list of at most {LIST_LIMIT} options.")
    return [chosen for each in value if (chosen := _choice(known, each))]


def _number(known: Document, value: Any) -> Any:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise invalid(f"body failed validation: body.properties.{known['name']}.number should be a number or `null`.")
    return value


def _url(known: Document, value: Any) -> Any:
    if value is not None and (not isinstance(value, str) or not 0 < len(value) <= TEXT_LIMIT):
        raise invalid(f"body failed validation: body.properties.{known['name']}.url should be a string or `null`.")
    return value


def _date(known: Document, value: Any) -> Any:
    if value is None:
        return None
    try:
        moment(value["start"])
        if value.get("end"):
            moment(value["end"])
    except (KeyError, TypeError, ValueError) as trouble:
        raise invalid(f"{known['name']} is expected to be a date in ISO 8601.") from trouble
    return {"start": value["start"], "end": value.get("end"), "time_zone": value.get("time_zone")}


def _checkbox(known: Document, value: Any) -> bool:
    if not isinstance(value, bool):
        raise invalid(f"body failed validation: body.properties.{known['name']}.checkbox should be a boolean.")
    return value


def _listed(known: Document, value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > LIST_LIMIT:
        raise invalid(f"{known['name']} is expected to be a list of at most {LIST_LIMIT}.")
    return value


WRITERS: dict[str, Callable[[Document, Any], Any]] = {
    "title": _texts,
    "rich_text": _texts,
    "select": _choice,
    "status": _choice,
    "multi_select": _choices,
    "number": _number,
    "url": _url,
    "date": _date,
    "checkbox": _checkbox,
    "files": _listed,
    "people": _listed,
}


def moment(text: str) -> datetime:
    """A date or time as Notion writes it; one without a zone is UTC."""
    parsed = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def plain(value: Any) -> Any:
    """A property value as a person reads it: text, an option's name, a number, a date's start."""
    if isinstance(value, list):
        parts = [plain(each) for each in value]
        return "".join(parts) if all(isinstance(each, str) for each in parts) else parts
    if isinstance(value, dict):
        return value.get("plain_text", value.get("name", value.get("start", value)))
    return value


def from_plain(known: Document, value: Any) -> Document:
    """What a person types into a cell, as the API wants it."""
    kind = known["type"]
    if kind in ("title", "rich_text"):
        words = str(value or "")
        half = TEXT_LIMIT // 2  # of characters that all may be pairs
        chunks = [words[at : at + half] for at in range(0, len(words), half)]
        return {kind: [{"text": {"content": chunk}} for chunk in chunks]}
    if kind in ("select", "status"):
        return {kind: {"name": value} if value else None}
    if kind == "multi_select":
        return {kind: [{"name": each} for each in value]}
    if kind == "date":
        return {kind: {"start": value} if value else None}
    return {kind: value}


def matches(condition: Any, properties: Document) -> bool:
    """Whether a page's properties (as the API shows them) meet a filter; {} is met by all."""
    if not isinstance(condition, dict):
        raise invalid("body failed validation: body.filter should be an object.")
    if "and" in condition:
        return all(matches(each, properties) for each in condition["and"])
    if "or" in condition:
        return any(matches(each, properties) for each in condition["or"])
    if not condition:
        return True
    name = condition.get("property") or condition.get("timestamp")
    known = find_property(properties, str(name))
    if known is None:
        raise invalid(f"Could not find property with name or id: {name}")
    tests = condition.get(known["type"])
    if not isinstance(tests, dict):
        raise invalid(f"database property {known['type']} does not match filter for {name}.")
    return all(_test(operator, wanted, known) for operator, wanted in tests.items())


def _test(operator: str, wanted: Any, known: Document) -> bool:
    value = plain(known[known["type"]])
    if operator in ("is_empty", "is_not_empty"):
        return (value in (None, "", [])) == (operator == "is_empty")
    if known["type"] in (*COMPUTED, "date"):
        if value is None:
            return False
        value, wanted = moment(value), moment(wanted)
    if operator not in OPERATORS:
        raise invalid(f"body failed validation: body.filter.{known['type']}.{operator} should be not present.")
    return bool(OPERATORS[operator](value, wanted))


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "equals": lambda value, wanted: value == wanted,
    "does_not_equal": lambda value, wanted: value != wanted,
    "contains": lambda value, wanted: wanted.lower() in (value or "").lower(),
    "does_not_contain": lambda value, wanted: wanted.lower() not in (value or "").lower(),
    "starts_with": lambda value, wanted: bool(re.match(re.escape(wanted), value or "", re.I)),
    "greater_than": lambda value, wanted: value is not None and value > wanted,
    "less_than": lambda value, wanted: value is not None and value < wanted,
    "after": lambda value, wanted: value > wanted,
    "before": lambda value, wanted: value < wanted,
    "on_or_after": lambda value, wanted: value >= wanted,
    "on_or_before": lambda value, wanted: value <= wanted,
}


def sort_key(rule: Document, properties: Document) -> tuple[bool, str]:
    """Where a page stands under one sort rule; empty values last."""
    name = rule.get("property") or rule.get("timestamp")
    known = find_property(properties, str(name))
    if known is None:
        raise invalid(f"Could not find sort property with name or id: {name}")
    value = plain(known[known["type"]])
    return value is None, f"{value:020.6f}" if isinstance(value, int | float) else str(value)
