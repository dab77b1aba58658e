"""Notion's property values: what one says, and how one is written. Whatever stands there is somebody else's; what is
no value of its kind says nothing."""

import datetime as dt
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from production.outside import storable

CHUNK = 2000  # UTF-16 units that a rich text element takes: Notion counts as JavaScript does, an emoji has two
MOST_CHUNKS = 100  # elements an array takes
MOST_WORDS = 300  # characters of one value, where it is told what was written
Json = dict[str, Any]


# ---------------------------------------------------------------- read


def as_object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def kind(value: Any) -> str:
    return str(as_object(value).get("type", ""))


def text(value: Any, most: int) -> str:
    """The plain text of a title or rich_text property."""
    return _joined(_content(value), "plain_text").strip()[:most]


def choice(value: Any) -> str:
    """The name of a select or status property."""
    return str(storable(str(as_object(_content(value)).get("name", ""))))[:100]


def moment(value: Any) -> dt.datetime | None:
    """The start of a date property."""
    return time(as_object(as_object(value).get("date")).get("start"))


def time(value: Any) -> dt.datetime | None:
    """A moment as Notion writes it; a day is its first moment in TIME_ZONE. One that UTC has no year for is none."""
    try:
        at = parse_datetime(value)
        day = None if at else parse_date(value)
        at = dt.datetime.combine(day, dt.time()) if day else at
        at = timezone.make_aware(at) if at and timezone.is_naive(at) else at
        return at if at is None else at.astimezone(dt.UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _content(value: Any) -> Any:
    return as_object(value).get(kind(value))


def _joined(parts: Any, name: str) -> str:
    said = "".join(str(as_object(part).get(name, "")) for part in parts) if isinstance(parts, list) else ""
    return str(storable(said))


# ---------------------------------------------------------------- written


def rich_text(text: str) -> Json:
    return {"rich_text": chunks(text)}


def chunks(text: str) -> list[Json]:
    """The end of a text that is too long, in pieces; none of them ends within a character."""
    units = text.encode("utf-16-le", "replace")
    found: list[str] = []
    while units and len(found) < MOST_CHUNKS:
        start = max(len(units) - 2 * CHUNK, 0)
        start += 2 * (start > 0 and 0xDC <= units[start + 1] < 0xE0)  # the second half of a pair
        found.append(units[start:].decode("utf-16-le"))
        units = units[:start]
    return [{"text": {"content": each}} for each in reversed(found)]


def in_words(properties: Any) -> str:
    """What was sent to a row, a line each property; of a long one its end, where the newest stands."""
    said = as_object(properties).items()
    return "\n".join(f"{name}: {_said(next(iter(as_object(value).values()), None))}" for name, value in said)


def _said(content: Any) -> str:
    if isinstance(content, list):
        texts = [
            as_object(part).get("name") or as_object(as_object(part).get("text")).get("content") for part in content
        ]
        content = ("" if all("text" in as_object(part) for part in content) else ", ").join(filter(None, texts))
    if isinstance(content, dict):
        content = content.get("name") or content.get("start")
    words = "–" if content in (None, "") else str(storable(str(content)))
    return words if len(words) <= MOST_WORDS else f"…{words[-MOST_WORDS:]}"
