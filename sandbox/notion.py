"""Notion's API: pages, databases, queries, comments, users and files; as version 2025-09-03 has them."""

import functools
import re
import uuid
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, request

from sandbox import notion_automations, notion_files, notion_hooks
from sandbox.books import Document
from sandbox.desk import Desk, Reply, Sandbox, VendorError, bearer, iso, json_object, known_key
from sandbox.faults import Fault
from sandbox.notion_hooks import BOT, PERSON
from sandbox.notion_values import invalid, matches, notion_error, plain, read_rich_text, sort_key
from sandbox.notion_workspace import (
    computed,
    create_database,
    create_page,
    database_view,
    edit_page,
    edit_source,
    find_database,
    find_page,
    find_source,
    page_view,
    properties_view,
    read_uuid,
    rows,
    source_view,
)

PAGE_SIZE = 100
VERSIONS = re.compile(r"202[56]-\d\d-\d\d")
USER_BOT = {"object": "user", "id": BOT["id"]}
USER_PERSON = {"object": "user", "id": PERSON["id"]}


def app(sandbox: Sandbox) -> Flask:
    unknown = functools.partial(notion_error, 400, "invalid_request_url", "Invalid request URL.")
    desk = Desk(sandbox, "notion", quota_error, unknown=unknown)
    notion_hooks.register(sandbox)
    notion_automations.register(sandbox)
    _pages(desk)
    _databases(desk)
    _people(desk)
    _files(desk)
    return desk.app


def _pages(desk: Desk) -> None:
    sandbox = desk.sandbox

    @desk.counter("POST", "/v1/pages", "pages.create")
    def create() -> Reply:
        body = _checked()
        source = find_source(sandbox, _parent_source(body))
        page = create_page(sandbox, source, body.get("properties") or {}, author=BOT)
        return _page_reply(sandbox, page)

    @desk.counter("GET", "/v1/pages/<key>", "pages.retrieve")
    def retrieve(key: str) -> Reply:
        _checked()
        return _page_reply(sandbox, find_page(sandbox, key))

    @desk.counter("PATCH", "/v1/pages/<key>", "pages.update")
    def update(key: str) -> Reply:
        body = _checked()
        page = find_page(sandbox, key)
        trash = body.get("in_trash", body.get("archived"))
        if page["in_trash"] and trash is not False:
            raise invalid("Can't edit block that is archived. You must unarchive the block before editing.")
        page = edit_page(sandbox, page, body.get("properties") or {}, author=BOT, in_trash=trash)
        return _page_reply(sandbox, page)


def _databases(desk: Desk) -> None:
    sandbox = desk.sandbox

    @desk.counter("POST", "/v1/databases", "databases.create")
    def create() -> Reply:
        body = _checked()
        given = (body.get("initial_data_source") or {}).get("properties") or body.get("properties")
        if not body.get("parent"):
            raise invalid("body failed validation: body.parent should be defined, instead was `undefined`.")
        database = create_database(sandbox, body.get("title") or [], given, by_person=False)
        return Reply(body=database_view(database), ref=database["id"])

    @desk.counter("GET", "/v1/databases/<key>", "databases.retrieve")
    def retrieve(key: str) -> Reply:
        _checked()
        return Reply(body=database_view(find_database(sandbox, key)))

    @desk.counter("GET", "/v1/data_sources/<key>", "data_sources.retrieve")
    def source(key: str) -> Reply:
        _checked()
        return Reply(body=source_view(find_source(sandbox, key)))

    @desk.counter("PATCH", "/v1/data_sources/<key>", "data_sources.update")
    def update(key: str) -> Reply:
        body = _checked()
        found = edit_source(sandbox, find_source(sandbox, key), body.get("properties") or {}, by_person=False)
        return Reply(body=source_view(found), ref=found["id"])

    @desk.counter("POST", "/v1/data_sources/<key>/query", "data_sources.query")
    def query(key: str) -> Reply:
        body = _checked()
        return Reply(body=_query(sandbox, find_source(sandbox, key), body))


def _people(desk: Desk) -> None:
    sandbox = desk.sandbox

    @desk.counter("GET", "/v1/users/me", "users.me")
    def me() -> Reply:
        _checked()
        owner: Document = {"owner": {"type": "workspace", "workspace": True}, "workspace_name": "Sandbox"}
        owner["workspace_limits"] = {"max_file_upload_size_in_bytes": notion_files.most_bytes(sandbox)}
        return Reply(body=USER_BOT | {"name": "Sandbox integration", "avatar_url": None, "type": "bot", "bot": owner})

    @desk.counter("GET", "/v1/users", "users.list")
    def users() -> Reply:
        _checked()
        bot: Document = USER_BOT | {"name": "Sandbox integration", "avatar_url": None, "type": "bot", "bot": {}}
        return Reply(body=_paged([_person(), bot], "user", request.args))

    @desk.counter("GET", "/v1/users/<key>", "users.retrieve")
    def user(key: str) -> Reply:
        _checked()
        if key != PERSON["id"]:
            raise notion_error(404, "object_not_found", f"Could not find user with ID: {key}.")
        return Reply(body=_person())

    @desk.counter("POST", "/v1/comments", "comments.create")
    def comment() -> Reply:
        body = _checked()
        page = find_page(sandbox, str((body.get("parent") or {}).get("page_id")))
        text = read_rich_text(body.get("rich_text"), "body.rich_text")
        parent = {"type": "page_id", "page_id": page["id"]}
        kept: Document = {"object": "comment", "id": str(uuid.uuid4()), "parent": parent}
        kept |= {"rich_text": text, "created_time": iso(), "created_by": USER_BOT}
        sandbox.books.put("notion-comment", kept["id"], kept)
        return Reply(body=kept, ref=kept["id"], text=str(plain(text)))

    @desk.counter("GET", "/v1/comments", "comments.list")
    def comments() -> Reply:
        _checked()
        wanted = read_uuid(request.args.get("block_id", ""))
        found = [each for each in sandbox.books.all("notion-comment") if each["parent"]["page_id"] == wanted]
        return Reply(body=_paged(found, "comment", request.args))


def _person() -> Document:
    person = {"person": {"email": "creator@sandbox.invalid"}}
    return USER_PERSON | {"name": "Creator", "avatar_url": None, "type": "person"} | person


def _files(desk: Desk) -> None:
    sandbox = desk.sandbox

    @desk.counter("POST", "/v1/file_uploads", "file_uploads.create")
    def create() -> Reply:
        kept = notion_files.begin(sandbox, _checked())
        return Reply(body=notion_files.view(sandbox, kept), ref=kept["id"], text=kept["name"])

    @desk.counter("GET", "/v1/file_uploads", "file_uploads.list")
    def listed() -> Reply:
        _checked()
        found = notion_files.everything(sandbox, request.args.get("status"))
        return Reply(body=_paged([notion_files.view(sandbox, kept) for kept in found], "file_upload", request.args))

    @desk.counter("GET", "/v1/file_uploads/<key>", "file_uploads.retrieve")
    def retrieve(key: str) -> Reply:
        _checked()
        return Reply(body=notion_files.view(sandbox, notion_files.find(sandbox, key)))

    @desk.counter("POST", "/v1/file_uploads/<key>/send", "file_uploads.send")
    def send(key: str) -> Reply:
        _check_access()
        kept = notion_files.send(sandbox, notion_files.find(sandbox, key))
        return Reply(body=notion_files.view(sandbox, kept), ref=kept["id"])

    @desk.counter("POST", "/v1/file_uploads/<key>/complete", "file_uploads.complete")
    def complete(key: str) -> Reply:
        _checked()
        kept = notion_files.complete(sandbox, notion_files.find(sandbox, key))
        return Reply(body=notion_files.view(sandbox, kept), ref=kept["id"])

    @desk.counter("GET", "/files/<key>/<name>", "download")
    def download(key: str, name: str) -> Response:
        return notion_files.content(sandbox, key)


def _query(sandbox: Sandbox, source: Document, body: Document) -> Document:
    times = {name: {"id": name, "name": name, "type": name} for name in ("created_time", "last_edited_time")}
    found = []
    for page in rows(sandbox, source["id"], in_trash=bool(body.get("in_trash"))):
        shown = properties_view(source, page)
        clocks = {name: each | {name: computed(name, page)} for name, each in times.items()}
        if matches(body.get("filter") or {}, clocks | shown):
            found.append((page, clocks | shown))
    for rule in reversed(body.get("sorts") or []):
        found.sort(key=lambda pair: sort_key(rule, pair[1]), reverse=rule.get("direction") == "descending")
    listed = _paged([page for page, _ in found], "page_or_data_source", body)
    return listed | {"results": [page_view(sandbox, page) for page in listed["results"]]}


def _paged(found: list[Document], kind: str, asked: Mapping[str, Any]) -> Document:
    """One page of what was found, as `page_size` and `start_cursor` ask for it; the cursor is the next one's id."""
    size = asked.get("page_size", PAGE_SIZE)
    size = int(size) if str(size).isdecimal() else size
    if not isinstance(size, int) or not 1 <= size <= PAGE_SIZE:
        raise invalid(f"body failed validation: body.page_size should be ≤ `{PAGE_SIZE}`, instead was `{size}`.")
    start = _after(found, asked.get("start_cursor"))
    following = found[start + size : start + size + 1]
    return _list(found[start : start + size], kind, following[0]["id"] if following else None)


def _after(pages: list[Document], cursor: Any) -> int:
    if cursor is None:
        return 0
    for index, page in enumerate(pages):
        if page["id"] == cursor:
            return index
    raise invalid(f"The start_cursor provided is invalid: {cursor}")


def _list(results: list[Document], kind: str, cursor: str | None = None) -> Document:
    head = {"object": "list", "results": results, "next_cursor": cursor, "has_more": cursor is not None}
    return head | {"type": kind, kind: {}, "request_id": str(uuid.uuid4())}


def _page_reply(sandbox: Sandbox, page: Document) -> Reply:
    told = {name: plain(value) for name, value in page["values"].items()}
    return Reply(body=page_view(sandbox, page), ref=page["id"], text=str(told))


def _checked() -> Document:
    """The body of a request whose key and version are good ({} for GET); raises the vendor's errors."""
    _check_access()
    body = json_object()
    if body is None and request.method != "GET" and request.get_data():
        raise notion_error(400, "invalid_json", "Error parsing JSON body.")
    return body or {}


def _check_access() -> None:
    if not known_key(bearer()):
        raise notion_error(401, "unauthorized", "API token is invalid.")
    if not VERSIONS.fullmatch(request.headers.get("Notion-Version", "")):
        raise notion_error(400, "missing_version", "Notion-Version header should be defined, e.g. 2025-09-03.")


def quota_error(fault: Fault) -> VendorError:
    limited = notion_error(429, "rate_limited", "You have been rate limited. Please try again later.").reply
    reason = {"additional_data": {"rate_limit_reason": "public_api_request_rate_limit"}}
    return VendorError(429, limited.body | reason, {"Retry-After": str(round(fault.seconds))})


def _parent_source(body: Document) -> str:
    parent = body.get("parent")
    if not isinstance(parent, dict) or "data_source_id" not in parent:
        raise invalid("body failed validation: body.parent.data_source_id should be defined, instead was `undefined`.")
    return str(parent["data_source_id"])
