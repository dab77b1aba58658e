"""Notion's integration webhooks: handshake, a human's paste, signed events, up to eight attempts."""

import hashlib
import hmac
import json
import secrets
import time
import uuid

import requests

from sandbox.books import Call, Document
from sandbox.desk import Sandbox, iso

BOT = {"id": "b0700000-0000-4000-8000-00000000b070", "type": "bot"}
PERSON = {"id": "9e500000-0000-4000-8000-00000000c001", "type": "person"}
WORKSPACE = {"workspace_id": "30000000-0000-4000-8000-000000000001", "workspace_name": "Sandbox"}
INTEGRATION = "40000000-0000-4000-8000-000000000001"
ATTEMPTS = 8
PAUSES = (0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8)  # seconds; the real ones grow to a day
DELIVERIES_AT_ONCE = 8


def register(sandbox: Sandbox) -> None:
    sandbox.errands.register("notion.event", lambda errand: _deliver(sandbox, errand), DELIVERIES_AT_ONCE)


def subscribe(sandbox: Sandbox, url: str) -> Document:
    """Posts the handshake to the address; delivery begins when the token is pasted back (`verify`)."""
    token = f"secret_{secrets.token_urlsafe(32)}"
    kept: Document = {"id": str(uuid.uuid4()), "url": url, "verification_token": token, "active": False}
    sandbox.books.put("notion-subscription", kept["id"], kept)
    status = post(url, json.dumps({"verification_token": token}).encode(), {})
    book(sandbox, "handshake", kept["id"], status, url)
    return kept | {"handshake_status": status}


def verify(sandbox: Sandbox, token: str) -> Document | None:
    """Turns delivery on for the subscription whose token this is; None for a wrong one."""
    for kept in subscriptions(sandbox):
        if hmac.compare_digest(kept["verification_token"], token):
            kept["active"] = True
            sandbox.books.put("notion-subscription", kept["id"], kept)
            return kept
    return None


def subscriptions(sandbox: Sandbox) -> list[Document]:
    return sandbox.books.all("notion-subscription")


def unsubscribe(sandbox: Sandbox) -> None:
    for kept in subscriptions(sandbox):
        sandbox.books.forget("notion-subscription", kept["id"])


def announce(sandbox: Sandbox, kind: str, page: Document, author: Document, updated: list[str]) -> None:
    """Queues one event about a page for every active subscription."""
    parent = {"id": page["database"], "type": "database", "data_source_id": page["data_source"]}
    data: Document = {"parent": parent}
    if kind == "page.properties_updated":
        data["updated_properties"] = updated
    event = {
        "id": str(uuid.uuid4()),
        "timestamp": iso(),
        **WORKSPACE,
        "integration_id": INTEGRATION,
        "type": kind,
        "authors": [author],
        "api_version": "2025-09-03",
        "entity": {"id": page["id"], "type": "page"},
        "data": data,
    }
    for kept in subscriptions(sandbox):
        if kept["active"]:
            errand = {"subscription": kept["id"], "event": event, "attempt": 1}
            sandbox.errands.add("notion.event", errand, after=sandbox.pace.now.webhook)


def _deliver(sandbox: Sandbox, errand: Document) -> float | None:
    """One attempt; returns the pause before the next, None when taken or given up."""
    kept = sandbox.books.get("notion-subscription", errand["subscription"])
    if kept is None:
        return None
    attempt, event = errand["attempt"], errand["event"]
    body = {**event, "subscription_id": kept["id"], "attempt_number": attempt}
    raw = json.dumps(body, separators=(",", ":")).encode()
    signed = {"X-Notion-Signature": signature(kept["verification_token"], raw)}
    trouble = sandbox.faults.take("notion", "webhook", event["type"], frozenset({"drop", "duplicate", "late"}))
    kind = trouble.kind if trouble else ""
    if trouble and kind == "late":
        return trouble.seconds
    copies = {"drop": 0, "duplicate": 2}.get(kind, 1)  # a dropped one is lost for good, as may happen
    status = [post(kept["url"], raw, signed) for _ in range(copies)][-1] if copies else 0
    book(sandbox, "webhook", event["id"], status, f"{event['type']} {event['entity']['id']} attempt {attempt}")
    if 200 <= status < 300 or not copies or attempt >= ATTEMPTS:
        return None
    errand["attempt"] = attempt + 1
    return PAUSES[attempt - 1]


def signature(token: str, raw: bytes) -> str:
    """The X-Notion-Signature of a body: HMAC-SHA256 over its raw bytes, keyed with the verification token."""
    return f"sha256={hmac.new(token.encode(), raw, hashlib.sha256).hexdigest()}"


def post(url: str, raw: bytes, headers: dict[str, str]) -> int:
    """The HTTP status, 0 where nobody answered."""
    own = {"Content-Type": "application/json", "User-Agent": "Notion-Webhooks (sandbox)"}
    try:
        return requests.post(url, data=raw, headers=own | headers, timeout=10).status_code
    except requests.RequestException:
        return 0


def book(sandbox: Sandbox, operation: str, ref: str, status: int, text: str) -> None:
    taken = 200 <= status < 300
    sandbox.books.record(
        Call(
            vendor="notion",
            operation=operation,
            status=status,
            accepted=taken,
            ref=ref,
            text=f"{text} {time.time():.3f}",
        )
    )
