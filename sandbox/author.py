"""The text model: an answer to any response schema, derived from the topic in the request."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from sandbox.books import Document
from sandbox.media import fingerprint
from sandbox.sentences import (
    ACTIONS,
    CAMERAS,
    LIGHTS,
    PEOPLE,
    PLACES,
    SOUNDS,
    THINGS,
    a,
    narration,
    pick,
    slug,
    subject_of,
)

TOPIC = (
    re.compile(r"<topic>\s*(.+?)\s*</topic>", re.I | re.S),
    re.compile(r'"topic"\s*:\s*"([^"]+)"', re.I),
    re.compile(r"^\W*(?:\w+ )?topic\W*[:=]\s*(\S.*)$", re.I | re.M),
)
DIRECTION = re.compile(r"^\W*(?:story )?direction\W*[:=]\s*(\S.*)$", re.I | re.M)
COUNT = re.compile(r"\b(\d{1,3})\s+(?:\w+\s+)?(\w+?)s?\b")
# "key of an asset of kind character", "one of the asset keys", "id from the assets list"
REFERENCE = re.compile(
    r"\b(?:keys?|slugs?|ids?)\s+(?:of|from|in)\s+(?:an?other\s+|an?\s+|the\s+|one\s+of\s+the\s+)?(\w+)"
    r"|\b(\w+?)(?:'s)?\s+keys?\b",
    re.I,
)
OWN_KEYS = {"key", "slug", "id"}
# How often a word of an enumeration comes; the rest come once. Of eight assets: 3 characters, 4 environments, 1 prop.
WEIGHTS = {"character": 3, "environment": 4, "composite": 3}
USUAL_ITEMS = 5
USUAL_TAGS = ("documentary", "explained", "history", "how it works", "stories")
TYPES = {"object", "array", "string", "integer", "number", "boolean", "null"}


@dataclass(frozen=True)
class Brief:
    """What the request asks to write about; counts such as "6 clips" are read from its words."""

    topic: str
    direction: str
    counts: dict[str, int]

    @classmethod
    def read(cls, prompt: str, told: str) -> "Brief":
        text = f"{prompt}\n{told}"
        found = next((match[1] for pattern in TOPIC if (match := pattern.search(text))), None)
        first = next((line for line in prompt.splitlines() if line.strip()), "something worth a closer look")
        direction = DIRECTION.search(text)
        counts = {noun.lower(): int(number) for number, noun in COUNT.findall(text)}
        topic = " ".join((found or first).split())[:160].strip("\"'* ")
        return cls(topic, direction[1].strip() if direction else "", counts)

    @property
    def subject(self) -> str:
        return subject_of(self.topic)

    @property
    def seed(self) -> int:
        return fingerprint(self.topic) % 1000


def write_answer(brief: Brief, schema: Any) -> str:
    """JSON text that fits the schema (OpenAPI subset or JSON Schema), or a paragraph where there is none.

    Raises ValueError for a schema that can't be read.
    """
    if not isinstance(schema, dict):
        return " ".join(narration(brief.subject, index, 4) for index in range(4))
    return json.dumps(_Author(brief, schema).write(), ensure_ascii=False)


@dataclass(frozen=True)
class _Place:
    """Where in the answer a value stands: its name, the list it is in, what its neighbours already say."""

    name: str
    hint: str = ""
    listed: str = ""
    index: int = 0
    count: int = 1
    mates: Document = field(default_factory=dict)


@dataclass(frozen=True)
class _Gap:
    """A reference that can only be filled once all lists are written."""

    holder: Document
    name: str
    noun: str
    hint: str
    place: _Place
    optional: bool


class _Author:
    def __init__(self, brief: Brief, schema: Document) -> None:
        self.brief = brief
        self.root = schema
        self.keyed: dict[str, list[Document]] = {}
        self.gaps: list[_Gap] = []

    def write(self) -> Any:
        value = self._value(self.root, _Place(""))
        for gap in self.gaps:
            self._fill(gap)
        return value

    def _plain(self, schema: Any) -> Document:
        """The schema with $ref, anyOf, allOf and type lists resolved to their first real meaning."""
        for _ in range(10):
            if not isinstance(schema, dict):
                raise ValueError("a schema must be an object")
            if "$ref" in schema:
                schema = self._at(schema["$ref"]) | {key: each for key, each in schema.items() if key != "$ref"}
            elif options := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
                real = [each for each in options if _kind(each) != "null"] or options
                rest = {key: each for key, each in schema.items() if key not in ("anyOf", "oneOf", "allOf")}
                schema = rest | real[0]
            else:
                return schema
        raise ValueError("the schema refers to itself")

    def _at(self, pointer: str) -> Document:
        node: Any = self.root
        for step in pointer.removeprefix("#/").split("/"):
            if not isinstance(node, dict) or step not in node:
                raise ValueError(f"reference to undefined schema at {pointer}")
            node = node[step]
        return dict(node)

    def _value(self, schema: Any, place: _Place) -> Any:
        schema = self._plain(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return _turn(schema["enum"], place.index)
        writers = {"object": self._object, "array": self._array, "integer": _integer, "number": _number}
        kind = _kind(schema)
        if kind in writers:
            return writers[kind](schema, place)
        if kind == "string":
            return self._string(schema, place)
        return False if kind == "boolean" else None

    def _object(self, schema: Document, place: _Place) -> Document:
        properties = schema.get("properties") or {}
        order = schema.get("propertyOrdering") or list(properties)
        required = schema.get("required") or order
        written: Document = {}
        # Enumerations first: a key or a prompt depends on the kind that stands beside it.
        for name in sorted(order, key=lambda each: not self._plain(properties[each]).get("enum")):
            part = self._plain(properties[name])
            hint = str(part.get("description", ""))
            inner = _Place(name, hint, place.listed, place.index, place.count, written)
            noun = _referred(name, hint) if _kind(part) == "string" and not part.get("enum") else ""
            if noun:
                self.gaps.append(_Gap(written, name, noun, hint, inner, name not in required))
                written[name] = None
            else:
                written[name] = self._value(part, inner)
        ordered = {name: written[name] for name in order}
        written.clear()
        written.update(ordered)
        if OWN_KEYS & set(written):
            self.keyed.setdefault(_single(place.listed), []).append(written)
        return written

    def _array(self, schema: Document, place: _Place) -> list[Any]:
        items = self._plain(schema.get("items") or {"type": "string"})
        count = self._count(schema, place.name)
        hint = f"{place.hint} {items.get('description', '')}"
        noun = _referred(place.name, hint) if _kind(items) == "string" and not items.get("enum") else ""
        if noun:
            return [row[_key_name(row)] for row in self.keyed.get(_single(noun), [])[:count]]
        return [self._value(items, _Place(place.name, hint, place.name, index, count)) for index in range(count)]

    def _count(self, schema: Document, name: str) -> int:
        least, most = int(schema.get("minItems") or 0), int(schema.get("maxItems") or 0)
        wanted = self.brief.counts.get(_single(name)) or max(least, USUAL_ITEMS)
        return max(least, min(wanted, most or max(wanted, least)))

    def _string(self, schema: Document, place: _Place) -> str:
        text = _words(self.brief, place)
        short = int(schema.get("minLength") or 0)
        while len(text) < short:
            text = f"{text} {narration(self.brief.subject, len(text), 18)}"
        return text[: int(schema.get("maxLength") or len(text))].strip()

    def _fill(self, gap: _Gap) -> None:
        rows = self.keyed.get(_single(gap.noun), [])
        same_list = _single(gap.place.listed) == _single(gap.noun)
        if same_list:
            kind = gap.holder.get("kind")
            at = next(index for index, row in enumerate(rows) if row is gap.holder)
            rows = [row for row in rows[:at] if row.get("kind") == kind]
        else:
            rows = _of_kind(rows, f"{gap.name} {gap.hint}")
        # An optional pointer within a list stays mostly empty: every third of a kind goes back to its first.
        if gap.optional and (not rows or (same_list and len(rows) % 3 != 2)):
            del gap.holder[gap.name]
            return
        row = rows[0 if same_list else gap.place.index % len(rows)] if rows else None
        gap.holder[gap.name] = row[_key_name(row)] if row else ""


def _kind(schema: Any) -> str:
    """The type in lower case; a list of types counts as its first that isn't null."""
    given = schema.get("type") if isinstance(schema, dict) else None
    if isinstance(given, list):
        given = next((each for each in given if each != "null"), "null")
    if given is None and isinstance(schema, dict):
        given = "object" if "properties" in schema else "array" if "items" in schema else "string"
    kind = str(given).lower()
    if kind not in TYPES:
        raise ValueError(f"unknown type {given!r}")
    return kind


def _single(noun: str) -> str:
    return noun.lower().removesuffix("s")


def _referred(name: str, hint: str) -> str:
    """The list whose keys the property names, or "": told by its description."""
    found = REFERENCE.search(hint)
    if not found or name.lower() in OWN_KEYS:
        return ""
    return found[1] or found[2]


def _key_name(row: Document) -> str:
    return next(name for name in ("key", "slug", "id") if name in row)


def _of_kind(rows: list[Document], hint: str) -> list[Document]:
    """Those whose kind is spoken of in the hint; all of them where none is."""
    spoken = hint.lower()
    return [row for row in rows if str(row.get("kind", "?")).lower() in spoken] or rows


def _turn(options: list[Any], index: int) -> Any:
    """Smooth weighted turns through an enumeration: counts follow WEIGHTS, kinds come mixed."""
    weights = [WEIGHTS.get(str(option).lower(), 1) for option in options]
    debts = [0] * len(options)
    chosen = 0
    for _ in range(index + 1):
        debts = [debt + weight for debt, weight in zip(debts, weights, strict=True)]
        chosen = debts.index(max(debts))
        debts[chosen] -= sum(weights)
    return options[chosen]


def _integer(schema: Document, place: _Place) -> int:
    wanted = place.index + 1 if place.listed else 10 if "second" in f"{place.name} {place.hint}" else 1
    return int(_number(schema | {"wanted": wanted}, place))


def _number(schema: Document, place: _Place) -> float:
    value = float(schema.get("wanted", 1))
    value = max(value, float(schema.get("minimum", value)))
    return min(value, float(schema.get("maximum", value)))


def _words(brief: Brief, place: _Place) -> str:
    """What a string property says: by its name, else by its description, else a sentence about the topic."""
    for told in (place.name, place.hint):
        for pattern, write in WRITERS:
            if re.search(pattern, told, re.I):
                return write(brief, place)
    return narration(brief.subject, place.index, max(place.count, 2))


def _kind_of(place: _Place) -> str:
    return str(place.mates.get("kind") or place.mates.get("type") or place.listed or place.name).lower()


def _portrayed(brief: Brief, place: _Place) -> str:
    """Who or what an asset shows; every index has its own, also once the stock is used up."""
    kind = _kind_of(place)
    stock = PEOPLE if "char" in kind else THINGS if "prop" in kind else PLACES
    words = pick(stock, place.index, brief.seed)
    lap = place.index // len(stock)
    return f"{words} {lap + 1}" if lap else words


def _key(brief: Brief, place: _Place) -> str:
    return slug(f"{_kind_of(place)} {_portrayed(brief, place)}" if place.listed else brief.topic)


def _image_prompt(brief: Brief, place: _Place) -> str:
    kind, shown = _kind_of(place), a(_portrayed(brief, place))
    world = f"the world of {brief.subject}"
    if "char" in kind:
        return f"{shown.capitalize()} from {world}, full-body character, friendly face, plain white background"
    if "prop" in kind:
        return f"{shown.capitalize()} from {world}, single prop, isolated on a plain white background"
    return f"Wide establishing shot of {shown}, {world}, {pick(LIGHTS, place.index)}, no text"


def _motion(brief: Brief, place: _Place) -> str:
    action, camera = pick(ACTIONS, place.index, brief.seed), pick(CAMERAS, place.index, brief.seed)
    return f"The figure in the foreground {action}; camera: {camera}"


def _story(brief: Brief, place: _Place) -> str:
    arc = " ".join(narration(brief.subject, index, 4) for index in range(4))
    return f"{arc} The tone follows the direction given: {brief.direction}" if brief.direction else arc


def _tag(brief: Brief, place: _Place) -> str:
    words = [word.lower() for word in re.findall(r"[^\W\d_]{4,}", brief.topic)]
    stock = list(dict.fromkeys([brief.subject.lower(), *words, *USUAL_TAGS]))
    return stock[place.index] if place.index < len(stock) else f"{brief.subject.lower()} part {place.index}"


# In this order: a "sound_prompt" is a sound, a "motion_prompt" a motion, any other "prompt" a picture.
WRITERS = (
    (r"^(key|slug|id)$", _key),
    (r"tag|keyword", _tag),
    (r"narrat|voice|spoken|^script", lambda brief, place: narration(brief.subject, place.index, place.count)),
    (r"sound|sfx|audio|effect", lambda brief, place: pick(SOUNDS, place.index, brief.seed)),
    (r"motion|camera|movement|action|video_prompt", _motion),
    (r"title|headline", lambda brief, _: brief.topic[:1].upper() + brief.topic[1:95]),
    (
        r"^description|summary",
        lambda brief, _: f"{brief.topic}. {narration(brief.subject, 0, 3)} {narration(brief.subject, 1, 3)}",
    ),
    (r"story|synopsis|outline|arc", _story),
    (r"prompt|image|visual|look", _image_prompt),
    (r"^name|^label", _portrayed),
)
