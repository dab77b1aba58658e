"""The Notion database of videos: built from its schema, looked over, mended, given the option of each new channel."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import structlog
from django.db.models import Q
from django.utils import timezone

from channels_app.models import Channel
from production import alerts, notion
from production.budget import OverBudgetError, Use
from production.errors import Kind, NotHereError, Trouble
from production.models import NotionBoard
from production.outside import pause_after
from production.schema import KINDS, NEEDED, SCHEMA, Json, Property

log = structlog.get_logger(__name__)
LEASE = dt.timedelta(seconds=90)  # a read and a write
COLUMNS = "board:properties"  # the cause of an alert
COMMA = ","
UNSPEAKABLE = "No row can choose the channel “{}”: Notion allows no comma there. Rename the channel."


@dataclass(frozen=True)
class Finding:
    """What is not as it should be, in words; `change` mends it: the properties to send. None: only by hand, or nothing
    has to be done."""

    words: str
    change: Json | None = None
    is_fault: bool = True


# ---------------------------------------------------------------- built and mended


def build(board: NotionBoard, *, parent: str, name: str) -> None:
    """Make the database below the Notion page `parent` and remember it. Errors: Trouble."""
    if board.data_source_id:
        raise Trouble(
            Kind.PERMANENT, f"There is a board already (data source {board.data_source_id}): check it instead"
        )
    channels = _channels()
    source = {"properties": {each.name: each.config(channels) for each in SCHEMA}}
    try:
        with notion.asking(f"Notion page {parent}") as api:
            made = cast(
                "Json",
                api.databases.create(
                    parent={"type": "page_id", "page_id": parent},
                    title=[{"text": {"content": name}}],
                    initial_data_source=source,
                ),
            )
            database = str(made["id"])
    except notion.WrittenError as written:
        database = written.ref
    board.name = name
    adopt(board, database)
    _remember(board, channels_told=channels)


def adopt(board: NotionBoard, database: str) -> None:
    """Remember the database, by its id as its address has it, and its first data source. Errors: Trouble."""
    with notion.asking(f"Notion database {database}") as api:
        found = cast("Json", api.databases.retrieve(database_id=database))
    sources = found.get("data_sources") or []
    if not sources:
        raise Trouble(Kind.PERMANENT, f"Notion database {database} has no data source that is shared with us")
    board.database_id, board.data_source_id = str(found["id"]), str(sources[0]["id"])
    board.save(update_fields=["name", "database_id", "data_source_id"])
    _learn(board, _properties(board.data_source_id))
    log.info("notion_board_adopted", database=board.database_id, data_source=board.data_source_id)


def check(board: NotionBoard, only: Channel | None = None) -> list[Finding]:
    """What the board lacks, compared with SCHEMA; of channels' names all, or `only` that one's. What it shows is
    remembered. Errors: Trouble."""
    found = _properties(board.data_source_id)
    names = [only.name] if only else list(Channel.objects.values_list("name", flat=True))
    findings = [*_findings(board.property_ids, found, [name for name in names if COMMA not in name])]
    findings += [Finding(UNSPEAKABLE.format(name)) for name in names if COMMA in name]
    _learn(board, found)
    if all(each.allows(found.get(each.name, {}).get("type", "")) for each in NEEDED):
        heed_columns("")
    return findings


def heed_columns(lacks: str) -> None:
    """Operators hear of columns that are not there, and that they are there again."""
    if lacks:
        alerts.raise_alarm(lacks, cause=COLUMNS)
    else:
        alerts.resume(COLUMNS, "Resumed: the board has all its properties again")


def repair(board: NotionBoard) -> list[Finding]:
    """Mend what the API can mend, in one request; what is left for a person. Errors: Trouble."""
    changes: Json = {}
    for finding in check(board):
        for key, change in (finding.change or {}).items():
            changes[key] = changes.get(key, {}) | change
    if changes:
        with notion.asking(f"Notion board {board.data_source_id}") as api:
            api.data_sources.update(board.data_source_id, properties=changes)
    left = check(board)
    if not any(finding.change for finding in left):
        _remember(board, channels_told=_channels())
    return left


# ---------------------------------------------------------------- looked over


def _findings(ids: Mapping[str, str], found: Json, channels: list[str]) -> Iterator[Finding]:
    for wanted in SCHEMA:
        known = _recognised(wanted, ids, found)
        if known is None:
            yield Finding(f"“{wanted.name}” ({KINDS[wanted.kind]}) is missing.", {wanted.name: wanted.config(channels)})
            continue
        if known["name"] != wanted.name:
            renamed = {known["name"]: {"name": wanted.name}}
            yield Finding(f"“{wanted.name}” is called “{known['name']}”: we find columns by their names.", renamed)
        yield from _look_at(wanted, known, channels)


def _look_at(wanted: Property, known: Json, channels: list[str]) -> Iterator[Finding]:
    kind = known["type"]
    if wanted.name == "Status" and kind == "status":
        yield from _look_at_status(wanted, known)
    elif kind != wanted.kind:
        is_, should = KINDS.get(kind, kind), KINDS[wanted.kind]
        yield Finding(f"“{wanted.name}” is of the kind {is_}, not {should}: change it in Notion, by hand.")
    elif kind == "select":
        yield from _look_at_options(wanted, known, channels)


def _look_at_status(wanted: Property, known: Json) -> Iterator[Finding]:
    """The API can neither add nor rename options of that kind; those that are there can be written."""
    there = {option["name"] for option in known["status"].get("options", [])}
    if lacks := [name for name, _ in wanted.options if name not in there]:
        yield Finding(
            f"“Status” is of Notion's own kind “status”, whose options only a person can add: {', '.join(lacks)}. "
            "Or change its kind to select: then repair adds them."
        )


def _look_at_options(wanted: Property, known: Json, channels: list[str]) -> Iterator[Finding]:
    """What is there is sent along as it is: Notion takes a list for the whole of it, and changes no colour."""
    there = [option["name"] for option in known["select"].get("options", [])]
    options = wanted.config(channels)["select"]["options"]
    if new := [option for option in options if option["name"] not in there]:
        kept = [{"id": option["id"], "name": option["name"]} for option in known["select"]["options"]]
        names = ", ".join(option["name"] for option in new)
        yield Finding(
            f"“{wanted.name}” lacks the options {names}.", {known["name"]: {"select": {"options": kept + new}}}
        )
    strange = [name for name in there if name not in {option["name"] for option in options}]
    if strange and wanted.name == "Channel":
        words = f"“Channel” has options that no channel here is called: {', '.join(strange)}."
        yield Finding(words, is_fault=False)


def _recognised(wanted: Property, ids: Mapping[str, str], found: Json) -> Json | None:
    """By its name, else by the id it had when we last saw it; a database has exactly one title."""
    by_id = {each["id"]: each for each in found.values()}
    known = found.get(wanted.name) or by_id.get(ids.get(wanted.name, ""))
    if known is None and wanted.kind == "title":
        known = next((each for each in found.values() if each["type"] == "title"), None)
    return cast("Json | None", known)


def _properties(data_source_id: str) -> Json:
    """By name: id, type and what belongs to that type. Errors: NotHereError, Trouble."""
    if not data_source_id:
        raise Trouble(Kind.PERMANENT, "There is no board yet: make one, or name a database")
    with notion.asking(f"Notion board {data_source_id}") as api:
        found = cast("Json", api.data_sources.retrieve(data_source_id))
    return {name: each | {"name": name} for name, each in found["properties"].items()}


def _learn(board: NotionBoard, found: Json) -> None:
    known = {wanted.name: _recognised(wanted, board.property_ids, found) for wanted in SCHEMA}
    kind = (known["Status"] or {}).get("type")
    ids = {name: each["id"] for name, each in known.items() if each}
    _remember(board, property_ids=ids, status_kind=kind if kind == "status" else "select")


def _remember(board: NotionBoard, **columns: Any) -> None:
    NotionBoard.objects.filter(pk=board.pk).update(**columns)
    board.refresh_from_db()


# ---------------------------------------------------------------- its Channel options (FR3)


def _channels() -> list[str]:
    """No option of a select may have a comma in its name."""
    return list(Channel.objects.exclude(name__contains=",").order_by("name").values_list("name", flat=True))


def due() -> list[int]:
    """Boards that do not know every channel yet."""
    channels, now = set(_channels()), timezone.now()
    boards = NotionBoard.objects.exclude(data_source_id="").filter(Q(tell_at=None) | Q(tell_at__lte=now))
    return [board.pk for board in boards if channels - set(board.channels_told)]


def tell_channels(board_id: int) -> None:
    """Add an option for each channel that has none. In vain: again after 1, 2, 4 min … 1 h."""
    now = timezone.now()
    free = Q(tell_at=None) | Q(tell_at__lte=now)
    if not NotionBoard.objects.filter(free, pk=board_id).update(tell_at=now + LEASE):
        return
    board = NotionBoard.objects.get(pk=board_id)
    try:
        _add_channels(board, _channels())
    except OverBudgetError as over:
        _remember(board, tell_at=over.until)
    except Trouble as trouble:
        log.warning("notion_board_not_told", board=board.pk, reason=trouble.message)
        tries = board.tell_tries + 1
        _remember(board, tell_tries=tries, tell_at=timezone.now() + pause_after(tries, said=trouble.retry_after))


def _add_channels(board: NotionBoard, channels: list[str]) -> None:
    """Errors: NotHereError, Trouble."""
    (wanted,) = [each for each in SCHEMA if each.name == "Channel"]
    known = _recognised(wanted, board.property_ids, _properties(board.data_source_id))
    if known is None or known["type"] != "select":
        raise NotHereError("The board has no select “Channel”: manage.py notion_board check")
    for finding in _look_at_options(wanted, known, channels):
        if finding.change:
            with notion.asking(f"Notion board {board.data_source_id}", Use.STATUS) as api:
                api.data_sources.update(board.data_source_id, properties=finding.change)
    _remember(board, channels_told=channels, tell_at=None, tell_tries=0)
