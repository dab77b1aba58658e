"""From what Notion reports to what we do: a webhook is stored, its page read again, and a row becomes a task.

A webhook says only "page X changed"; the page itself is asked what it wants. So order does not matter, a repeated event
does nothing twice, and a burst for one page is one read.
"""

import datetime as dt
import json
import time
from functools import lru_cache
from typing import Any

import structlog
from django.db import IntegrityError, OperationalError, transaction
from django.db.models import F
from django.utils import timezone

from channels_app.models import Channel, Privacy
from production import decisions, lifecycle, notion, takes
from production.broker import ring
from production.errors import Kind, NotHereError, Trouble
from production.models import NotionBoard, NotionEvent, Priority, Task
from production.outside import pause_after, storable
from production.stages import Status

log = structlog.get_logger(__name__)
JOB = "production.jobs.take_in"
LEASE = dt.timedelta(seconds=90)  # a read and a write
TRIES = 10
SECRET_SECONDS = 2.0  # a burst of webhooks reads and decrypts the secret once, not a thousand times
PRIORITIES = {priority.label: priority for priority in Priority}
State = NotionEvent.State


class UnsignedError(Exception):
    """The signature is missing or wrong."""


class MalformedError(Exception):
    """Not a Notion webhook."""


# ---------------------------------------------------------------- received


def receive(body: bytes, signature: str) -> str:
    """Store a webhook before it is answered. Returns one word for the answer: stored, known or handshake.

    Errors: UnsignedError, MalformedError.
    """
    said = _parsed(body)
    if _is_signed(body, signature):
        return _store(said)
    _secret.cache_clear()  # it may be a new secret's signature: that counts at once
    if _is_signed(body, signature):
        return _store(said)
    if "verification_token" in said and not _secret(_period()):
        return _shake_hands(NotionBoard.objects.first_or_new(), said["verification_token"])
    raise UnsignedError


def confirm(board: NotionBoard, *, by: str) -> None:
    """The operator has pasted the token into Notion: from now on events must be signed with it."""
    if not board.pending_token:
        raise Trouble(Kind.PERMANENT, "No handshake has come in yet: create the webhook in Notion first")
    board.active_token, board.pending_token = board.pending_token, None
    board.activated, board.activated_by = timezone.now(), by
    board.save()
    log.info("notion_webhook_activated", by=by)


def _is_signed(body: bytes, signature: str) -> bool:
    secret = _secret(_period())
    return secret is not None and notion.is_signed(body, signature, secret)


@lru_cache(maxsize=1)
def _secret(period: int) -> str | None:
    """The active secret, read once a period: for so long at most does a process trust one that is active no more."""
    return NotionBoard.objects.order_by("pk").values_list("active_token", flat=True).first()


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


def _shake_hands(board: NotionBoard, token: Any) -> str:
    if not isinstance(token, str) or not 8 <= len(token) <= 200:
        raise MalformedError("verification_token is not a token")
    board.pending_token = token
    board.save(update_fields=["pending_token"])
    log.info("notion_handshake_received")
    return "handshake"


def _store(said: dict[str, Any]) -> str:
    event_id, kind = said.get("id"), said.get("type")
    if not (isinstance(event_id, str) and 0 < len(event_id) <= 64 and isinstance(kind, str) and len(kind) <= 80):
        raise MalformedError("id or type is missing")
    entity, authors = _object(said.get("entity")), said.get("authors")
    try:
        with transaction.atomic():
            event = NotionEvent.objects.create(
                event_id=event_id,
                type=kind,
                page_id=str(entity.get("id", ""))[:36] if entity.get("type") == "page" else "",
                author=_author(authors),
            )
            ring(JOB, event.pk)
    except IntegrityError:
        return "known"
    return "stored"


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _author(authors: Any) -> str:
    """ "bot" only if all of them are: events are aggregated, and a person's change may stand beside our own."""
    kinds = [str(_object(author).get("type", "")) for author in authors] if isinstance(authors, list) else []
    return next((kind for kind in kinds if kind != "bot"), kinds[0] if kinds else "")[:100]


# ---------------------------------------------------------------- processed


def due() -> list[int]:
    waiting = NotionEvent.objects.filter(state=State.PENDING, due_at__lte=timezone.now())
    return list(waiting.order_by("due_at").values_list("pk", flat=True)[:100])


def process(event_id: int) -> None:
    """Find out what a stored event means and do it. Trouble with Notion: again in 1, 2, 4 … minutes, then every hour
    for as long as Notion is away; what fails for another reason is given up after TRIES."""
    now = timezone.now()
    mine = NotionEvent.objects.filter(pk=event_id, state=State.PENDING, due_at__lte=now)
    if not mine.update(due_at=now + LEASE, tries=F("tries") + 1):
        return
    event = NotionEvent.objects.get(pk=event_id)
    try:
        state, outcome = _understand(event)
    except NotHereError as gone:
        state, outcome = State.IGNORED, gone.message
    except Trouble as trouble:
        _again_later(event, trouble)
        return
    except OperationalError:
        raise  # the database is away: nothing can be written down now, the lease brings the event back
    except Exception as error:
        log.exception("intake_event_broke", notion_event=event.pk)
        _again_later(event, Trouble(Kind.PERMANENT, f"{type(error).__name__}: {error}"))
        return
    NotionEvent.objects.filter(pk=event.pk).update(state=state, outcome=outcome[:500])


def _understand(event: NotionEvent) -> tuple[State, str]:
    """Errors: NotHereError, Trouble."""
    if not event.page_id:
        return State.IGNORED, f"{event.type} is not about a page"
    if event.author == "bot":
        return State.IGNORED, "our own write"
    page = notion.fetch(event.page_id)
    if page.status != Status.QUEUED.label or page.in_trash:
        return State.IGNORED, f"the row is {page.status or 'without a status'}: nothing to start"
    return State.DONE, queue(page)


def queue(page: notion.Page) -> str:
    """A row that a creator has set to Queued becomes a task, or goes back to Draft with the reason.

    Returns what came of it in words. Errors: Trouble where Notion can't be told.
    """
    channel = Channel.objects.filter(name=page.channel).first()
    if lacks := _lacks(page, channel):
        return _put_back(page, lacks)
    assert channel
    with transaction.atomic():
        task = _task_of(page, channel)
        if task.status != Status.DRAFT:
            lifecycle.tell_again(task)
            return f"task {task.pk} is {task.get_status_display()} already: the row is put back"
        decisions.submit(task, by=f"notion: {page.edited_by}"[:150])
    return f"task {task.pk} queued"


def _lacks(page: notion.Page, channel: Channel | None) -> str:
    """What keeps the row from being made, in a sentence for its Error Log; empty when nothing does."""
    if not page.title:
        return "Title is empty: fill it in and set Queued again."
    if not page.topic:
        return "Topic is empty: fill it in and set Queued again."
    if channel is None:
        known = ", ".join(Channel.objects.values_list("name", flat=True)) or "none yet"
        return f"Channel “{page.channel}” is not known (known: {known}): choose one and set Queued again."
    return ""


def _put_back(page: notion.Page, reason: str) -> str:
    line = f"{timezone.now():%Y-%m-%d %H:%M} UTC Intake: {reason}"
    notion.write(page.id, notion.Row(status=Status.DRAFT.label, error_log=line))
    log.info("intake_row_refused", page=page.id, reason=reason)
    return reason


def _task_of(page: notion.Page, channel: Channel) -> Task:
    """The page's unfinished task, or a new run of it; a row that was published once keeps its old history."""
    words = said_by(page) | {"channel": channel}
    unfinished = Task.objects.exclude(status=Status.PUBLISHED)
    found, created = unfinished.get_or_create(page_id=page.id, defaults=words)
    task = lifecycle.lock(found.pk)
    if task.status == Status.DRAFT and not created:
        if task.channel_id != channel.pk:
            if takes.is_under_way(task):
                raise Trouble(Kind.TRANSIENT, "The former channel's takes are still under way", retry_after=60)
            takes.discard(task)  # another voice, another style, another workspace
        Task.objects.filter(pk=task.pk).update(**words)
    return task


def said_by(page: notion.Page) -> dict[str, Any]:
    """The columns of a task that its row fills."""
    return {
        "title": page.title,
        "topic": page.topic,
        "story_direction": page.story_direction,
        "priority": PRIORITIES.get(page.priority, Priority.NORMAL),
        "privacy": page.privacy.lower() if page.privacy.lower() in Privacy.values else "",
    }


def _again_later(event: NotionEvent, trouble: Trouble) -> None:
    given_up = event.tries >= TRIES and trouble.kind not in (Kind.TRANSIENT, Kind.QUOTA)
    NotionEvent.objects.filter(pk=event.pk).update(
        state=State.FAILED if given_up else State.PENDING,
        due_at=timezone.now() + pause_after(event.tries, said=trouble.retry_after),
        outcome=f"try {event.tries}: {trouble.message}"[:500],
    )
    log.warning("intake_event_failed", notion_event=event.pk, tries=event.tries, reason=trouble.message)
