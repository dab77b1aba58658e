"""What Notion reports is stored before it is answered; what it means is found out by a job (`intake`).

Two kinds: events of an integration's subscription, signed over their body, and the "Send webhook" action of an
automation or button, which can only show a secret in a header.
"""

import json
import secrets
import time
import uuid
from functools import lru_cache
from typing import Any, NamedTuple

import structlog
from django.db import IntegrityError, transaction
from django.utils import timezone

from production.broker import ring
from production.errors import Kind, Trouble
from production.models import NotionBoard, NotionEvent
from production.outside import is_signed, storable

log = structlog.get_logger(__name__)
JOB = "production.jobs.take_in"
HEADER = "X-Webhook-Secret"  # an operator types it into the automation, with the secret as its value
SECRET_SECONDS = 2.0  # a burst of webhooks reads and decrypts the secrets once, not a thousand times
AUTOMATION = "automation"
State = NotionEvent.State


class UnsignedError(Exception):
    """The signature or the secret is missing or wrong."""


class MalformedError(Exception):
    """Not a Notion webhook."""


# ---------------------------------------------------------------- signed


def receive(body: bytes, signature: str) -> str:
    """Store a signed webhook. Returns one word for the answer: stored, known or handshake.

    Errors: UnsignedError, MalformedError.
    """
    said = _parsed(body)
    if _is_signed(body, signature):
        return _store_event(said)
    _secrets.cache_clear()  # it may be a new secret's signature: that counts at once
    if _is_signed(body, signature):
        return _store_event(said)
    if "verification_token" in said and not _secrets(_period()).signing:
        return _shake_hands(NotionBoard.objects.first_or_new(), said["verification_token"])
    raise UnsignedError


def confirm(board: NotionBoard, *, by: str) -> None:
    """The operator has pasted the token into Notion: from now on events must be signed with it."""
    if not board.pending_token:
        raise Trouble(Kind.PERMANENT, "No handshake has come in yet: create the webhook in Notion first")
    board.active_token, board.pending_token = board.pending_token, None
    board.activated, board.activated_by = timezone.now(), by
    board.save(update_fields=["active_token", "pending_token", "activated", "activated_by"])
    log.info("notion_webhook_activated", by=by)


def forget(board: NotionBoard, *, by: str) -> None:
    """The webhook is lost or was made anew: the next handshake is heard, and until it is confirmed no event."""
    board.active_token, board.activated, board.activated_by = None, None, ""
    board.save(update_fields=["active_token", "activated", "activated_by"])
    _secrets.cache_clear()
    log.warning("notion_webhook_forgotten", by=by)


def _is_signed(body: bytes, signature: str) -> bool:
    secret = _secrets(_period()).signing
    return secret is not None and is_signed(body, signature, secret)


def _shake_hands(board: NotionBoard, token: Any) -> str:
    if not isinstance(token, str) or not 8 <= len(token) <= 200:
        raise MalformedError("verification_token is not a token")
    board.pending_token = token
    board.save(update_fields=["pending_token"])
    log.info("notion_handshake_received")
    return "handshake"


def _store_event(said: dict[str, Any]) -> str:
    event_id, kind = said.get("id"), said.get("type")
    if not (isinstance(event_id, str) and 0 < len(event_id) <= 64 and isinstance(kind, str) and len(kind) <= 80):
        raise MalformedError("id or type is missing")
    entity = _object(said.get("entity"))
    page_id = str(entity.get("id", "")) if entity.get("type") == "page" else ""
    return _store(event_id=event_id, type=kind, page_id=page_id[:36], author=_author(said.get("authors")))


def _author(authors: Any) -> str:
    """ "bot" only if all of them are: events are aggregated, and a person's change may stand beside our own."""
    kinds = [str(_object(author).get("type", "")) for author in authors] if isinstance(authors, list) else []
    return next((kind for kind in kinds if kind != "bot"), kinds[0] if kinds else "")[:100]


# ---------------------------------------------------------------- with a secret in a header


def require_secret(shown: str) -> None:
    """Errors: UnsignedError."""
    if not _is_secret(shown):
        _secrets.cache_clear()
        if not _is_secret(shown):
            raise UnsignedError


def receive_from_automation(body: bytes | None) -> str:
    """Store what an automation that has shown the secret sends; None for a body that is too large. Whatever it says,
    it is no error: Notion pauses an automation whose call fails. Returns stored, known or ignored."""
    try:
        if body is None:
            raise MalformedError("over 1 MB")
        return _store(**_told_by(_parsed(body)))
    except MalformedError as fault:
        log.warning("webhook_automation_ignored", reason=str(fault))
        outcome = f"{fault}: nothing to read"
        words = {"type": AUTOMATION, "state": State.IGNORED, "outcome": outcome}
        NotionEvent.objects.create(event_id=f"{AUTOMATION}:{uuid.uuid4()}", **words)
        return "ignored"


def renew_secret(board: NotionBoard, *, by: str) -> None:
    """A new secret, good beside the former one until `adopt_secret`."""
    board.hook_next = secrets.token_urlsafe(32)
    board.save(update_fields=["hook_next"])
    log.info("notion_secret_renewed", by=by)


def adopt_secret(board: NotionBoard, *, by: str) -> None:
    """The new one is in every automation: it is never shown again, and the former is good no more."""
    if not board.hook_next:
        raise Trouble(Kind.PERMANENT, "There is no new secret: make one first")
    board.hook_secret, board.hook_next, board.hook_adopted = board.hook_next, None, timezone.now()
    board.save(update_fields=["hook_secret", "hook_next", "hook_adopted"])
    log.info("notion_secret_adopted", by=by)


def _is_secret(shown: str) -> bool:
    known = _secrets(_period()).shown
    return any(secrets.compare_digest(secret.encode(), shown.encode()) for secret in known)


def _told_by(said: dict[str, Any]) -> dict[str, str]:
    """The shape is documented nowhere: only the page's id is needed. Errors: MalformedError."""
    source, data = _object(said.get("source")), _object(said.get("data"))
    page_id = data.get("id")
    if not isinstance(page_id, str) or data.get("object", "page") != "page":
        raise MalformedError("data.id is not a page's")
    try:
        page_id = str(uuid.UUID(page_id))
    except ValueError as error:
        raise MalformedError("data.id is not a page's") from error
    # A repeated call has the same id and attempt; without an id each one is its own.
    call = f"{source.get('event_id') or uuid.uuid4()}"[:40]
    attempt = f"{source.get('attempt', 1)}"[:10]
    return {"event_id": f"{AUTOMATION}:{call}:{attempt}", "type": AUTOMATION, "page_id": page_id}


# ---------------------------------------------------------------- both


class Secrets(NamedTuple):
    """What events are signed with, and what automations may show."""

    signing: str | None
    shown: tuple[str, ...]


@lru_cache(maxsize=1)
def _secrets(period: int) -> Secrets:
    """Read once a period: for so long at most does a process trust a secret that is active no more."""
    columns = ("active_token", "hook_secret", "hook_next")
    signing, *shown = NotionBoard.objects.order_by("pk").values_list(*columns).first() or (None, None, None)
    return Secrets(signing, tuple(filter(None, shown)))


def _period() -> int:
    return int(time.monotonic() / SECRET_SECONDS)


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        said = storable(json.loads(body))
    except (ValueError, RecursionError) as error:
        raise MalformedError("not JSON") from error
    if not isinstance(said, dict):
        raise MalformedError("not a JSON object")
    return said


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _store(**words: str) -> str:
    try:
        with transaction.atomic():
            NotionEvent.objects.create(**words)
            ring(JOB)
    except IntegrityError:
        return "known"
    return "stored"
