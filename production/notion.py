"""The Notion edge: a page is read into a `Page`, a `Row` is written back. Nothing else speaks to Notion's API.

notion-client 3.1 (API version 2025-09-03). Its own retries are off: a sleeping retry would hold a worker. Each request
is counted in the budget that all processes share, before it is sent.
"""

import datetime as dt
import json
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

import httpx
from django.conf import settings
from django.utils import timezone
from notion_client import Client
from notion_client.errors import APIResponseError, HTTPResponseError, RequestTimeoutError

from production import budget, letters, values
from production.budget import Use
from production.errors import Kind, NotHereError, Trouble
from production.models import NotionBoard
from production.outside import storable
from production.schema import NEEDED
from production.values import as_object

SECONDS = 10  # for each of connecting, sending, waiting, reading: 40 s at most; leases on them are longer
AGAIN = {409, 429, 500, 502, 503, 504, 529}
TOO_MUCH = {429, 529}  # 529 service_overload is like 429
BLOCKED = "public_api_request_blocked"  # the one reason of a 429 that no waiting ends


class WrittenError(Trouble):
    """Notion answered with an error and has written all the same; `ref` is the id of what it wrote."""

    def __init__(self, message: str, ref: str) -> None:
        super().__init__(Kind.TRANSIENT, message)
        self.ref = ref


REPAIR = "renamed, deleted or of another kind? Mend the board with manage.py notion_board repair"
BROKEN = ("is not a property that exists", "is expected to be")  # a write to a column that is no more what it was


@dataclass(frozen=True)
class Page:
    """A row of the board as a person left it, each text bounded. `in_trash`: it is deleted; `lacks`: columns that we
    need and its board does not have, or has of another kind; `edited`: cut to the minute."""

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
    publish_at: dt.datetime | None = None
    edited: dt.datetime | None = None
    data_source_id: str = ""
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Batch:
    """Up to a hundred rows of a query. Not `complete`: there are more, and Notion will not give them."""

    pages: list[Page]
    following: str
    complete: bool


@dataclass(frozen=True)
class Row:
    """What is written to a row; None leaves a property as it is."""

    status: str | None = None
    error_log: str | None = None
    url: str | None = None
    cost: Decimal | None = None
    progress: str | None = None
    retry: str | None = None
    priority: str | None = None
    files: list[dict[str, Any]] | None = None


@contextmanager
def asking(what: str, use: Use = Use.READ, *, seconds: float = SECONDS) -> Iterator[Client]:
    """A client for requests about `what`. `seconds` for each of connecting, sending, waiting, reading.

    Errors: OverBudgetError, NotHereError, WrittenError, Trouble.
    """
    try:
        with _client(use, seconds) as notion:
            yield notion
    except (APIResponseError, HTTPResponseError) as error:
        raise _trouble(what, error) from error
    except (RequestTimeoutError, httpx.HTTPError, ValueError) as error:  # ValueError: a proxy's page in place of JSON
        raise Trouble(Kind.TRANSIENT, f"{what}: no answer ({type(error).__name__})") from error


@contextmanager
def _client(use: Use, seconds: float) -> Iterator[Client]:
    """In place of the package's own `with`, which makes two connection pools a call: 34 ms, most of it certificates."""
    hooks: dict[str, list[Any]] = {
        "request": [lambda request: budget.spend(use), letters.note],
        "response": [letters.answered],
    }
    with httpx.Client(verify=_authorities(), event_hooks=hooks) as http:
        yield Client(
            client=http,
            auth=settings.NOTION_API_KEY,
            base_url=settings.ADDRESSES["NOTION_BASE_URL"],
            timeout_ms=int(seconds * 1000),
            retry=False,
        )


@cache
def _authorities() -> ssl.SSLContext:
    """Whose certificates are trusted; read once a process, 17 ms."""
    return httpx.create_ssl_context()


def fetch(page_id: str) -> Page:
    """Errors: NotHereError (deleted or not shared with us), Trouble."""
    with asking(f"Notion page {page_id}") as notion:
        return _page(notion.pages.retrieve(page_id=page_id))


def changed(data_source_id: str, since: dt.datetime | None = None) -> Iterator[Batch]:
    """The board's rows, who was edited first comes first; only those edited in the minute of `since` or later.

    Errors: NotHereError, Trouble, with any of the batches.
    """
    following = ""
    while True:
        with asking(f"Notion board {data_source_id}") as notion:
            batch = _batch(notion.data_sources.query(data_source_id=data_source_id, **_query(since, following)))
        yield batch
        following = batch.following
        if not following:
            return


def name_of(user_id: str) -> str:
    """What people call a Notion user, or the id where that can't be had; empty for a bot."""
    try:
        return _name_of(user_id) if user_id else ""
    except Trouble:
        return user_id


@lru_cache(maxsize=500)
def _name_of(user_id: str) -> str:
    """Errors: Trouble that passes."""
    try:
        with asking(f"Notion user {user_id}") as notion:
            user = as_object(notion.users.retrieve(user_id=user_id))
    except Trouble as trouble:
        if trouble.kind == Kind.TRANSIENT:
            raise
        return user_id  # the integration may not read users
    return "" if user.get("type") == "bot" else str(storable(user.get("name") or user_id))[:100]


def write(page_id: str, row: Row, use: Use = Use.STATUS) -> None:
    """Update the row's properties; the same again changes nothing. Errors: OverBudgetError, NotHereError, Trouble."""
    properties = _properties(row)
    if properties:
        with suppress(WrittenError), asking(f"Notion page {page_id}", use) as notion:
            notion.pages.update(page_id=page_id, properties=properties)


def create(data_source_id: str, *, title: str, topic: str, channel: str, status: str) -> str:
    """Add a row to the board; its page id. A row that was added although the answer was an error, or got lost, is
    looked for and not added again. Errors: NotHereError, Trouble."""
    properties = _filled({"Title": title, "Topic": topic, "Channel": channel, "Status": status})
    parent, began = {"type": "data_source_id", "data_source_id": data_source_id}, timezone.now()
    try:
        with asking(f"Notion board {data_source_id}") as notion:
            return _id(notion.pages.create(parent=parent, properties=properties))
    except WrittenError as written:
        return written.ref
    except budget.OverBudgetError:
        raise  # it was not asked, or refused unread
    except Trouble as trouble:
        unheard = trouble.kind == Kind.TRANSIENT  # no answer, or a server's trouble
        found = find(data_source_id, title, channel, since=began) if unheard else []
        if not found:
            raise
        return found[-1]


def find(data_source_id: str, title: str, channel: str, *, since: dt.datetime) -> list[str]:
    """Ids of the channel's rows of that title that we have added since then, the oldest first; a row's time is cut to
    the minute. Errors: NotHereError, Trouble."""
    minute = since.replace(second=0, microsecond=0).isoformat()
    added = {"timestamp": "created_time", "created_time": {"on_or_after": minute}}
    named = {"property": "Title", "title": {"equals": title}}
    criterion = {"and": [named, {"property": "Channel", "select": {"equals": channel}}, added]}
    sorts = [{"timestamp": "created_time", "direction": "ascending"}]
    with asking(f"Notion board {data_source_id}") as notion:
        found = as_object(notion.data_sources.query(data_source_id, filter=criterion, sorts=sorts)).get("results") or []
        us = _id(notion.users.me()) if found else ""
    return [str(page["id"]) for page in found if (page.get("created_by") or {}).get("id") == us]


def fill(page_id: str, words: dict[str, str]) -> None:
    """Write what people fill in, by property name. Errors: NotHereError, Trouble."""
    with asking(f"Notion page {page_id}") as notion:
        notion.pages.update(page_id=page_id, properties=_filled(words))


def _filled(words: dict[str, str]) -> dict[str, Any]:
    return {name: _value(name, value) for name, value in words.items()}


def _value(name: str, value: str) -> dict[str, Any]:
    if name in ("Title", "Topic"):
        return {"title" if name == "Title" else "rich_text": values.chunks(value)}
    if name == "Publish At":
        return {"date": {"start": value} if value else None}
    if name == "Status":
        return {_status_kind(): {"name": value}}
    return {"select": {"name": value} if value else None}


def _trouble(what: str, error: HTTPResponseError) -> Trouble:
    """404 also means "not shared with the integration". What says "too much" closes the budget for everybody."""
    remedy = f": {REPAIR}" if any(words in str(error) for words in BROKEN) else ""
    message, details = f"{what}: {str(error)[:300]} ({error.status}){remedy}", _details(error)
    if error.status == 404 or (error.status == 400 and "archived" in str(error)):
        return NotHereError(f"{what} is not there: deleted, or not shared with the integration")
    if details.get("committed_resource_id"):
        return WrittenError(message, str(details["committed_resource_id"])[:36])
    pause = _pause(error.headers.get("Retry-After", ""))
    if details.get("rate_limit_reason") == BLOCKED:
        budget.stop(f"{BLOCKED}: Notion has shut this connection out; find out why, then end the pause")
        return budget.OverBudgetError(message, budget.PAUSED_LOOK)
    if error.status in TOO_MUCH:
        budget.hush(pause, message)
        return budget.OverBudgetError(message, budget.UNSAID if pause is None else pause)
    return Trouble(Kind.TRANSIENT if error.status in AGAIN else Kind.PERMANENT, message, retry_after=pause)


def _details(error: HTTPResponseError) -> dict[str, Any]:
    """`additional_data` of the answer, where it has any; of a code that it does not know the package keeps none."""
    try:
        details = json.loads(error.body).get("additional_data")
    except (ValueError, AttributeError):
        details = None
    return details if isinstance(details, dict) else {}


def _pause(said: str) -> float | None:
    """Seconds as Retry-After says them, up to five digits: a day."""
    return float(said) if re.fullmatch("[0-9]{1,5}", said) else None


def _id(found: Any) -> str:
    """Errors: ValueError for what is no object of Notion's."""
    known = as_object(found).get("id")
    if not isinstance(known, str):
        raise ValueError("an object without an id")
    return known


def _page(page: Any) -> Page:
    """Errors: ValueError for what is no page."""
    page_id, properties = _id(page), as_object(page.get("properties"))
    return Page(
        id=page_id,
        title=values.text(properties.get("Title"), 200),
        channel=values.choice(properties.get("Channel")),
        topic=values.text(properties.get("Topic"), 2000),
        story_direction=values.text(properties.get("Story Direction"), 10_000),
        status=values.choice(properties.get("Status")),
        priority=values.choice(properties.get("Priority")),
        privacy=values.choice(properties.get("Privacy")),
        edited_by=str(as_object(page.get("last_edited_by")).get("id", "")),
        in_trash=bool(page.get("in_trash") or page.get("archived")),
        publish_at=values.moment(properties.get("Publish At")),
        edited=values.time(page.get("last_edited_time")),
        data_source_id=str(as_object(page.get("parent")).get("data_source_id", "")),
        lacks=tuple(each.name for each in NEEDED if not each.allows(values.kind(properties.get(each.name)))),
    )


def _query(since: dt.datetime | None, following: str) -> dict[str, Any]:
    edited = "last_edited_time"
    asked: dict[str, Any] = {"page_size": 100, "sorts": [{"timestamp": edited, "direction": "ascending"}]}
    if since:
        asked["filter"] = {"timestamp": edited, edited: {"on_or_after": since.isoformat()}}
    return asked | ({"start_cursor": following} if following else {})


def _batch(said: Any) -> Batch:
    """Errors: ValueError for what is no answer to a query."""
    if not isinstance(as_object(said).get("results"), list):
        raise ValueError("an answer without rows")
    following = said.get("next_cursor") if said.get("has_more") else None
    status, rows = as_object(said.get("request_status")), map(as_object, said["results"])
    return Batch(
        pages=[_page(row) for row in rows if row.get("object") == "page" and row.get("id")],
        following=str(following or ""),
        complete=status.get("type") != "incomplete",
    )


def _properties(row: Row) -> dict[str, Any]:
    said = {name: getattr(row, name) for name in COLUMNS}
    return {COLUMNS[name][0]: COLUMNS[name][1](value) for name, value in said.items() if value is not None}


def _status_kind() -> str:
    """Whether the board's Status is a select or of Notion's own kind "status": they are written differently."""
    return NotionBoard.objects.order_by("pk").values_list("status_kind", flat=True).first() or "select"


# Each field of a `Row`: its property, and how its value is written.
COLUMNS: dict[str, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    "status": ("Status", lambda label: {_status_kind(): {"name": label}}),
    "error_log": ("Error Log", values.rich_text),
    "url": ("YouTube URL", lambda url: {"url": url[: values.CHUNK] or None}),
    "cost": ("Cost", lambda usd: {"number": float(usd)}),
    "progress": ("Progress", values.rich_text),
    "retry": ("Retry", values.rich_text),
    "priority": ("Priority", lambda label: {"select": {"name": label}}),
    "files": ("Assets", lambda files: {"files": files[: values.MOST_CHUNKS]}),
}
