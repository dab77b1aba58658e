"""What a Notion workspace holds: databases with their data source, and pages; written, announced, shown and found.

The API's counters and the person of the control API both come here.
"""

import time
import uuid
from typing import Any

from sandbox import notion_automations, notion_files, notion_hooks
from sandbox.books import Document
from sandbox.desk import Sandbox, iso
from sandbox.notion_values import (
    COMPUTED,
    EMPTY,
    find_property,
    from_plain,
    invalid,
    notion_error,
    plain,
    read_rich_text,
    read_schema,
    write_values,
)


def create_database(sandbox: Sandbox, title: Any, properties: Any, *, by_person: bool) -> Document:
    """A database with one data source; returns the database as kept."""
    schema = read_schema(properties, by_person=by_person)
    texts = read_rich_text(title, "body.title")
    source: Document = {
        "id": str(uuid.uuid4()),
        "database": str(uuid.uuid4()),
        "title": texts,
        "schema": schema,
        "at": time.time(),
    }
    database: Document = {"id": source["database"], "title": texts, "source": source["id"], "at": time.time()}
    with sandbox.books.transaction():
        sandbox.books.put("notion-source", source["id"], source)
        sandbox.books.put("notion-database", database["id"], database)
    return database


def edit_source(sandbox: Sandbox, source: Document, properties: Any, *, by_person: bool) -> Document:
    """Changes the data source's properties; the rows keep the values of one that gets another name."""
    with sandbox.books.transaction():
        before = {each["id"]: name for name, each in source["schema"].items()}
        source["schema"] = read_schema(properties, by_person=by_person, before=source["schema"])
        sandbox.books.put("notion-source", source["id"], source)
        renamed = {
            before[each["id"]]: name for name, each in source["schema"].items() if before.get(each["id"], name) != name
        }
        for page in rows(sandbox, source["id"]) if renamed else ():
            page["values"] = {renamed.get(name, name): value for name, value in page["values"].items()}
            sandbox.books.put("notion-page", page["id"], page)
    return source


def create_page(sandbox: Sandbox, source: Document, properties: Any, *, author: Document) -> Document:
    """A row of the data source; announces page.created. Returns it as kept."""
    with sandbox.books.transaction():
        values = write_values(source["schema"], properties)
        notion_files.attach(sandbox, values)
        sandbox.books.put("notion-source", source["id"], source)
        page = {
            "id": str(uuid.uuid4()),
            "data_source": source["id"],
            "database": source["database"],
            "created": time.time(),
            "edited": time.time(),
            "created_by": author["id"],
            "edited_by": author["id"],
            "in_trash": False,
            "values": values,
        }
        sandbox.books.put("notion-page", page["id"], page)
        notion_hooks.announce(sandbox, "page.created", page, author, [])
    notion_automations.fire(sandbox, page_view(sandbox, page))
    return page


def edit_page(
    sandbox: Sandbox, page: Document, properties: Any, *, author: Document, in_trash: bool | None = None
) -> Document:
    """Writes the given properties; announces what changed, nothing when nothing did. Returns the page as kept."""
    with sandbox.books.transaction():
        page = find_page(sandbox, page["id"])
        source = find_source(sandbox, page["data_source"])
        written = write_values(source["schema"], properties)
        notion_files.attach(sandbox, written)
        changed = [source["schema"][name]["id"] for name, value in written.items() if page["values"].get(name) != value]
        if in_trash is not None and in_trash != page["in_trash"]:
            page["in_trash"] = in_trash
            kind = "page.deleted" if in_trash else "page.undeleted"
            notion_hooks.announce(sandbox, kind, page, author, [])
        page["values"].update(written)
        page |= {"edited": time.time(), "edited_by": author["id"]}
        sandbox.books.put("notion-source", source["id"], source)
        sandbox.books.put("notion-page", page["id"], page)
        if changed:
            notion_hooks.announce(sandbox, "page.properties_updated", page, author, changed)
    if changed:
        notion_automations.fire(sandbox, page_view(sandbox, page))
    return page


def typed(source: Document, cells: Document) -> Document:
    """What a person typed into cells, as the API's properties."""
    schema = source["schema"]
    for name in cells:
        if find_property(schema, name) is None:
            raise invalid(f"{name} is not a property that exists.")
    return {name: from_plain(schema[name], value) for name, value in cells.items()}


def cells(sandbox: Sandbox, page: Document) -> Document:
    """A page as a person sees it: id, url and plain values by property name."""
    source = find_source(sandbox, page["data_source"])
    shown = {name: plain(each[each["type"]]) for name, each in properties_view(source, page).items()}
    return {"id": page["id"], "url": _url(page), "in_trash": page["in_trash"], "properties": shown}


def properties_view(source: Document, page: Document) -> Document:
    """Every property of the data source with the page's value, as the API shows them."""
    shown = {}
    for name, known in source["schema"].items():
        kind = known["type"]
        value = computed(kind, page) if kind in COMPUTED else page["values"].get(name, EMPTY[kind])
        shown[name] = {"id": known["id"], "name": name, "type": kind, kind: value}
    return shown


def computed(kind: str, page: Document) -> Any:
    at, by = ("created", "created_by") if kind.startswith("created") else ("edited", "edited_by")
    return {"object": "user", "id": page[by]} if kind.endswith("_by") else minute(page[at])


def minute(at: float) -> str:
    """Notion's page times are cut to the minute."""
    return iso(at // 60 * 60)


def page_view(sandbox: Sandbox, page: Document) -> Document:
    source = find_source(sandbox, page["data_source"])
    shown = properties_view(source, page)
    for each in shown.values():
        if each["type"] == "files":
            each["files"] = [notion_files.shown(sandbox, file) for file in each["files"]]
    parent = {"type": "data_source_id", "data_source_id": page["data_source"], "database_id": page["database"]}
    return {
        "object": "page",
        "id": page["id"],
        "created_time": minute(page["created"]),
        "last_edited_time": minute(page["edited"]),
        "created_by": {"object": "user", "id": page["created_by"]},
        "last_edited_by": {"object": "user", "id": page["edited_by"]},
        "cover": None,
        "icon": None,
        "parent": parent,
        "archived": page["in_trash"],
        "in_trash": page["in_trash"],
        "is_locked": False,
        "properties": {name: {key: each[key] for key in each if key != "name"} for name, each in shown.items()},
        "url": _url(page),
        "public_url": None,
    }


def database_view(database: Document) -> Document:
    name = str(plain(database["title"]))
    return {
        "object": "database",
        "id": database["id"],
        "title": database["title"],
        "description": [],
        "parent": {"type": "workspace", "workspace": True},
        "is_inline": False,
        "in_trash": False,
        "created_time": minute(database["at"]),
        "last_edited_time": minute(database["at"]),
        "data_sources": [{"id": database["source"], "name": name}],
        "url": f"https://www.notion.so/{database['id'].replace('-', '')}",
    }


def source_view(source: Document) -> Document:
    return {
        "object": "data_source",
        "id": source["id"],
        "title": source["title"],
        "description": [],
        "parent": {"type": "database_id", "database_id": source["database"]},
        "database_parent": {"type": "workspace", "workspace": True},
        "properties": source["schema"],
        "in_trash": False,
        "created_time": minute(source["at"]),
        "last_edited_time": minute(source["at"]),
        "url": f"https://www.notion.so/{source['database'].replace('-', '')}",
    }


def _url(page: Document) -> str:
    return f"https://www.notion.so/{page['id'].replace('-', '')}"


def rows(sandbox: Sandbox, source: str, *, in_trash: bool = False) -> list[Document]:
    """The data source's pages as kept, oldest first."""
    pages = sandbox.books.all("notion-page")
    return [page for page in pages if page["data_source"] == source and page["in_trash"] == in_trash]


def find_database(sandbox: Sandbox, key: str) -> Document:
    return _found(sandbox, "notion-database", key, "database")


def find_page(sandbox: Sandbox, key: str) -> Document:
    return _found(sandbox, "notion-page", key, "page")


def find_source(sandbox: Sandbox, key: str) -> Document:
    return _found(sandbox, "notion-source", key, "data_source")


def _found(sandbox: Sandbox, kind: str, key: str, called: str) -> Document:
    body = sandbox.books.get(kind, read_uuid(key))
    if body is None:
        shared = "Make sure the relevant pages and databases are shared with your integration."
        message = f"Could not find {called} with ID: {key}. {shared}"
        raise notion_error(404, "object_not_found", message)
    return body


def read_uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise invalid(f"path failed validation: {text!r} should be a valid uuid.") from None
