"""The Notion edge: a page is read into a `Page`, a `Row` is written back. Nothing else speaks to Notion's API.

notion-client 3.1 (API version 2025-09-03). Its own retries are off: a sleeping retry would hold a worker.
"""

import hashlib
import hmac
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, cast

import httpx
from django.conf import settings
from notion_client import Client
from notion_client.errors import APIResponseError, HTTPResponseError, RequestTimeoutError

from production.errors import Kind, NotHereError, Trouble
from production.outside import storable

CHUNK = 2000  # characters a rich text element takes [Notion request limits]
MOST_CHUNKS = 100  # elements an array takes
SECONDS = 10  # for each of connecting, sending, waiting, reading: 40 s at most; leases on them are longer
# What a board has to have: the first seven are read, the others and Status written.
PROPERTIES = (
    *("Title", "Channel", "Topic", "Story Direction", "Status", "Priority", "Privacy"),
    *("Error Log", "YouTube URL", "Cost", "Progress"),
)
AGAIN = {409, 429, 500, 502, 503, 504, 529}  # 529 service_overload is like 429


@dataclass(frozen=True)
class Page:
    """A row of the board as a person left it, each text bounded. `in_trash`: it is deleted."""

    id: str
    title: str
    channel: str
    topic: str
    story_direction: str
    status: str
    priority: str
    privacy: str
    edited_by: str
    in_trash: bool


@dataclass(frozen=True)
class Row:
    """What is written to a row; None leaves a property as it is."""

    status: str | None = None
    error_log: str | None = None
    url: str | None = None
    cost: Decimal | None = None
    progress: str | None = None


@contextmanager
def client() -> Iterator[Client]:
    """In place of the package's own `with`, which makes two connection pools a call: 34 ms, most of it certificates."""
    with httpx.Client(verify=_authorities()) as http:
        yield Client(
            client=http,
            auth=settings.NOTION_API_KEY,
            base_url=settings.ADDRESSES["NOTION_BASE_URL"],
            timeout_ms=SECONDS * 1000,
            retry=False,
        )


@cache
def _authorities() -> ssl.SSLContext:
    """Whose certificates are trusted; read once a process, 17 ms."""
    return httpx.create_ssl_context()


def fetch(page_id: str) -> Page:
    """Errors: NotHereError (deleted or not shared with us), Trouble."""
    with _asking(f"Notion page {page_id}") as notion:
        return _page(cast("dict[str, Any]", notion.pages.retrieve(page_id=page_id)))


def write(page_id: str, row: Row) -> None:
    """Update the row's properties. Errors: NotHereError, Trouble."""
    properties = _properties(row)
    if properties:
        with _asking(f"Notion page {page_id}") as notion:
            notion.pages.update(page_id=page_id, properties=properties)


def create(data_source_id: str, *, title: str, topic: str, channel: str, status: str) -> str:
    """Add a row to the board; its page id. Errors: NotHereError, Trouble."""
    properties = {
        "Title": {"title": _chunks(title)},
        "Topic": {"rich_text": _chunks(topic)},
        "Channel": {"select": {"name": channel}},
        "Status": {"select": {"name": status}},
    }
    parent = {"type": "data_source_id", "data_source_id": data_source_id}
    with _asking(f"Notion board {data_source_id}") as notion:
        return str(cast("dict[str, Any]", notion.pages.create(parent=parent, properties=properties))["id"])


def properties(data_source_id: str) -> dict[str, Any]:
    """The board's columns by name, as Notion describes them. Errors: NotHereError, Trouble."""
    with _asking(f"Notion board {data_source_id}") as notion:
        found = cast("dict[str, Any]", notion.data_sources.retrieve(data_source_id)).get("properties")
    return found if isinstance(found, dict) else {}


def is_signed(body: bytes, signature: str, token: str) -> bool:
    """`X-Notion-Signature: sha256=<hex>` is an HMAC over the raw body with the verification token."""
    expected = "sha256=" + hmac.new(token.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode())


@contextmanager
def _asking(what: str) -> Iterator[Client]:
    try:
        with client() as notion:
            yield notion
    except (APIResponseError, HTTPResponseError) as error:
        raise _trouble(what, error) from error
    except (RequestTimeoutError, httpx.HTTPError, ValueError) as error:  # ValueError: a proxy's page in place of JSON
        raise Trouble(Kind.TRANSIENT, f"{what}: no answer ({type(error).__name__})") from error


def _trouble(what: str, error: HTTPResponseError) -> Trouble:
    """404 also means "not shared with the integration"."""
    if error.status == 404:
        return NotHereError(f"{what} is not there: deleted, or not shared with the integration")
    kind = Kind.TRANSIENT if error.status in AGAIN else Kind.PERMANENT
    return Trouble(
        kind, f"{what}: {error} ({error.status})"[:500], retry_after=_pause(error.headers.get("Retry-After", ""))
    )


def _pause(said: str) -> float | None:
    """Seconds as Retry-After says them, up to five digits: a day."""
    return float(said) if re.fullmatch("[0-9]{1,5}", said) else None


def _page(page: dict[str, Any]) -> Page:
    properties = page.get("properties", {})
    return Page(
        id=str(page["id"]),
        title=_text(properties.get("Title"), 200),
        channel=_choice(properties.get("Channel")),
        topic=_text(properties.get("Topic"), 2000),
        story_direction=_text(properties.get("Story Direction"), 10_000),
        status=_choice(properties.get("Status")),
        priority=_choice(properties.get("Priority")),
        privacy=_choice(properties.get("Privacy")),
        edited_by=str((page.get("last_edited_by") or {}).get("id", "")),
        in_trash=bool(page.get("in_trash") or page.get("archived")),
    )


def _text(value: Any, most: int) -> str:
    """The plain text of a title or rich_text property."""
    if not isinstance(value, dict):
        return ""
    parts = value.get(value.get("type", ""), [])
    text = "".join(str(part.get("plain_text", "")) for part in parts) if isinstance(parts, list) else ""
    return str(storable(text)).strip()[:most]


def _choice(value: Any) -> str:
    """The name of a select or status property."""
    if not isinstance(value, dict):
        return ""
    chosen = value.get(value.get("type", ""))
    return str(chosen.get("name", ""))[:100] if isinstance(chosen, dict) else ""


def _properties(row: Row) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    if row.status is not None:
        properties["Status"] = {"select": {"name": row.status}}
    if row.error_log is not None:
        properties["Error Log"] = {"rich_text": _chunks(row.error_log)}
    if row.url is not None:
        properties["YouTube URL"] = {"url": row.url or None}
    if row.cost is not None:
        properties["Cost"] = {"number": float(row.cost)}
    if row.progress is not None:
        properties["Progress"] = {"rich_text": _chunks(row.progress)}
    return properties


def _chunks(text: str) -> list[dict[str, Any]]:
    text = text[-CHUNK * MOST_CHUNKS :]
    return [{"text": {"content": text[at : at + CHUNK]}} for at in range(0, len(text), CHUNK)]
