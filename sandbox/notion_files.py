"""Notion's file uploads: begun, sent in one or many parts, completed, attached; what is attached gets a signed URL."""

import time
import uuid
from pathlib import Path
from typing import Any

import requests
from flask import Response, request, send_file
from werkzeug.utils import secure_filename

from sandbox.books import Document
from sandbox.desk import Sandbox, VendorError, iso
from sandbox.notion_values import invalid, notion_error

MEGABYTE = 1024 * 1024
PART_BYTES = (5 * MEGABYTE, 20 * MEGABYTE)  # of every part but the last; a single part has no least size
MOST_BYTES = {"free": 5 * MEGABYTE, "paid": 5 * 1024 * MEGABYTE}  # a file, by the workspace's plan
UNUSED_LIFE = 3600  # seconds an upload waits to be attached
ADDRESS_LIFE = 3600  # seconds a file's address is good


def set_plan(sandbox: Sandbox, *, paid: bool) -> None:
    sandbox.books.put("notion-plan", "now", {"name": "paid" if paid else "free"})


def most_bytes(sandbox: Sandbox) -> int:
    plan = sandbox.books.get("notion-plan", "now") or {"name": "paid"}
    return MOST_BYTES[plan["name"]]


def begin(sandbox: Sandbox, body: Document) -> Document:
    """An upload as kept; one of mode external_url is fetched at once."""
    mode = body.get("mode", "single_part")
    if mode not in ("single_part", "multi_part", "external_url"):
        raise invalid(f"body failed validation: body.mode should be a known mode, instead was `{mode}`.")
    name, parts = str(body.get("filename") or ""), body.get("number_of_parts")
    if mode != "single_part" and not name:
        raise invalid(f"body failed validation: body.filename should be defined for mode {mode}.")
    if mode == "multi_part" and (not isinstance(parts, int) or not 1 <= parts <= 1000):
        raise invalid("body failed validation: body.number_of_parts should be between 1 and 1000.")
    if mode == "multi_part" and most_bytes(sandbox) == MOST_BYTES["free"]:
        raise invalid("Multi-part uploads are not available for this workspace's plan.")
    kept: Document = {"id": str(uuid.uuid4()), "mode": mode, "name": name, "type": body.get("content_type")}
    kept |= {"parts": parts or 1, "status": "pending", "at": time.time(), "attached": False, "bytes": None}
    if mode == "external_url":
        _fetch(sandbox, kept, str(body.get("external_url") or ""))
    _keep(sandbox, kept)
    return kept


def send(sandbox: Sandbox, kept: Document) -> Document:
    """One part of it, out of the multipart form."""
    file, number = request.files.get("file"), int(request.form.get("part_number") or 1)
    if file is None:
        raise invalid("body failed validation: body.file should be defined, instead was `undefined`.")
    if kept["status"] != "pending" or kept["mode"] == "external_url":
        raise invalid(f"File upload {kept['id']} is {kept['status']} and takes no more content.")
    if not 1 <= number <= kept["parts"]:
        raise invalid(f"body failed validation: body.part_number should be ≤ `{kept['parts']}`.")
    data = file.read()
    small, large = (0 if number == kept["parts"] else PART_BYTES[0]), min(PART_BYTES[1], most_bytes(sandbox))
    if not small <= len(data) <= large:
        raise invalid(f"Part {number} has {len(data)} bytes; {small} to {large} are allowed.")
    kept["name"] = kept["name"] or secure_filename(file.filename or "") or "file"
    kept["type"] = kept["type"] or file.mimetype
    _part(sandbox, kept, number).write_bytes(data)
    if kept["mode"] == "single_part":
        return _whole(sandbox, kept)
    _keep(sandbox, kept)
    return kept


def complete(sandbox: Sandbox, kept: Document) -> Document:
    """All parts become one file."""
    if kept["mode"] != "multi_part" or kept["status"] != "pending":
        raise invalid(f"File upload {kept['id']} is no pending multi-part upload.")
    if missing := [n for n in range(1, kept["parts"] + 1) if not _part(sandbox, kept, n).exists()]:
        raise invalid(f"Parts {', '.join(map(str, missing))} have not been sent.")
    return _whole(sandbox, kept)


def view(sandbox: Sandbox, kept: Document) -> Document:
    address = sandbox.addresses["NOTION_BASE_URL"]
    return {
        "object": "file_upload",
        "id": kept["id"],
        "created_time": iso(kept["at"]),
        "last_edited_time": iso(kept["at"]),
        "expiry_time": None if kept["attached"] else iso(kept["at"] + UNUSED_LIFE),
        "upload_url": f"{address}/v1/file_uploads/{kept['id']}/send" if kept["status"] == "pending" else None,
        "archived": False,
        "status": kept["status"],
        "filename": kept["name"] or None,
        "content_type": kept["type"],
        "content_length": kept["bytes"],
        "number_of_parts": {"total": kept["parts"], "sent": _sent(sandbox, kept)},
    }


def find(sandbox: Sandbox, key: str) -> Document:
    """The upload as kept; raises the vendor's 404. One that nobody attached within an hour has expired."""
    kept = sandbox.books.get("notion-file", key)
    if kept is None:
        raise notion_error(404, "object_not_found", f"Could not find file_upload with ID: {key}.")
    if not kept["attached"] and time.time() > kept["at"] + UNUSED_LIFE:
        kept["status"] = "expired"
    return kept


def attach(sandbox: Sandbox, values: Document) -> None:
    """Checks the uploads that the values of a page name, and marks them as used; raises 400."""
    for value in values.values():
        for each in value if isinstance(value, list) else ():
            if isinstance(each, dict) and each.get("type", "") == "file_upload":
                kept = find(sandbox, str(each["file_upload"]["id"]))
                if kept["status"] != "uploaded":
                    raise invalid(f"File upload {kept['id']} is {kept['status']} and can't be attached.")
                each.setdefault("name", kept["name"])
                _keep(sandbox, kept | {"attached": True})


def shown(sandbox: Sandbox, each: Document) -> Document:
    """A file of a files property as the API shows it: an upload has become a file with an address for an hour."""
    if each.get("type") != "file_upload":
        return each
    kept, until = find(sandbox, each["file_upload"]["id"]), time.time() + ADDRESS_LIFE
    url = f"{sandbox.addresses['NOTION_BASE_URL']}/files/{kept['id']}/{secure_filename(kept['name'])}"
    file = {"url": f"{url}?until={until:.0f}", "expiry_time": iso(until)}
    return {"name": each.get("name") or kept["name"], "type": "file", "file": file}


def content(sandbox: Sandbox, key: str) -> Response:
    """The file itself; 403 once its address has expired."""
    if request.args.get("until", 0.0, float) < time.time():
        raise VendorError(403, "Request has expired")
    kept = find(sandbox, key)
    return send_file(_file(sandbox, kept), mimetype=kept["type"], download_name=kept["name"])


def _fetch(sandbox: Sandbox, kept: Document, url: str) -> None:
    try:
        answer = requests.get(url, timeout=20)
        answer.raise_for_status()
    except requests.RequestException as error:
        raise invalid(f"The external URL could not be fetched: {error}") from error
    _file(sandbox, kept).write_bytes(answer.content)
    kept |= {"status": "uploaded", "bytes": len(answer.content)}
    kept["type"] = kept["type"] or answer.headers.get("Content-Type")


def _whole(sandbox: Sandbox, kept: Document) -> Document:
    parts = [_part(sandbox, kept, number) for number in range(1, kept["parts"] + 1)]
    data = b"".join(part.read_bytes() for part in parts)
    _file(sandbox, kept).write_bytes(data)
    for part in parts:
        part.unlink()
    kept |= {"status": "uploaded", "bytes": len(data)}
    _keep(sandbox, kept)
    return kept


def _sent(sandbox: Sandbox, kept: Document) -> int:
    done = kept["status"] == "uploaded"
    return kept["parts"] if done else sum(_part(sandbox, kept, n).exists() for n in range(1, kept["parts"] + 1))


def _keep(sandbox: Sandbox, kept: Document) -> None:
    sandbox.books.put("notion-file", kept["id"], kept)


def _file(sandbox: Sandbox, kept: Document) -> Path:
    return sandbox.folder("notion/files") / str(kept["id"])


def _part(sandbox: Sandbox, kept: Document, number: int) -> Path:
    return sandbox.folder("notion/files") / f"{kept['id']}.{number}"


def everything(sandbox: Sandbox, status: Any) -> list[Document]:
    """All uploads, oldest first; of one status if that is given."""
    found = [find(sandbox, kept["id"]) for kept in sandbox.books.all("notion-file")]
    return [kept for kept in found if status in (None, "", kept["status"])]
