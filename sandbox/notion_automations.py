"""Notion's "Send webhook" action of automations: unsigned, with the headers somebody typed in; paused when it fails."""

import json
import time
import uuid
from typing import Any

from sandbox.books import Document
from sandbox.desk import Sandbox
from sandbox.notion_hooks import book, post

KIND = "notion-automation"


def register(sandbox: Sandbox) -> None:
    sandbox.errands.register("notion.automation", lambda errand: _send(sandbox, errand), 4)


def create(sandbox: Sandbox, url: str, headers: dict[str, str]) -> Document:
    kept: Document = {"id": str(uuid.uuid4()), "url": url, "headers": headers, "paused": False}
    sandbox.books.put(KIND, kept["id"], kept)
    return kept


def everything(sandbox: Sandbox) -> list[Document]:
    return sandbox.books.all(KIND)


def forget(sandbox: Sandbox) -> None:
    for kept in everything(sandbox):
        sandbox.books.forget(KIND, kept["id"])


def fire(sandbox: Sandbox, page: Any) -> None:
    """A row was added or edited, by whomever; `page` as the API shows it."""
    for kept in everything(sandbox):
        source = {"type": "automation", "automation_id": kept["id"], "action_id": kept["id"]}
        source |= {"event_id": str(uuid.uuid4()), "attempt": 1}
        errand = {"automation": kept["id"], "body": {"source": source, "data": page}}
        sandbox.errands.add("notion.automation", errand, after=sandbox.pace.now.webhook)


def _send(sandbox: Sandbox, errand: Document) -> None:
    """One call; an automation that meets anything but a 2xx calls no more until a person resumes it."""
    kept = sandbox.books.get(KIND, errand["automation"])
    if kept is None or kept["paused"]:
        return
    page = errand["body"]["data"]["id"]
    fault = sandbox.faults.take("notion", "automation", page, frozenset({"drop", "duplicate"}))
    copies = {"drop": 0, "duplicate": 2}.get(fault.kind if fault else "", 1)
    raw = json.dumps(errand["body"], separators=(",", ":")).encode()
    status = [post(kept["url"], raw, kept["headers"]) for _ in range(copies)][-1] if copies else 0
    book(sandbox, "automation", kept["id"], status, f"{page} {time.time():.3f}")
    if copies and not 200 <= status < 300:
        sandbox.books.put(KIND, kept["id"], kept | {"paused": True})
