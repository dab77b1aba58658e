"""Webhooks that have stopped are said, although the poll finds what they should have told."""

import datetime as dt
import uuid

import pytest
from django.utils import timezone

from production import jobs, notion, reception, reconcile, silence
from production.models import Alert, NotionBoard, NotionEvent
from production.reception import AUTOMATION
from sandbox.client import SandboxClient
from tests.factories import make_channel
from tests.sandboxes import make_board

pytestmark = pytest.mark.django_db
SIGNED = "page.properties_updated"


@pytest.fixture
def board() -> NotionBoard:
    return NotionBoard.objects.create(data_source_id="source", hook_secret="typed-in", active_token="token")


def heard(*kinds: str, minutes: float = 10) -> None:
    """Events of these types, so many minutes ago."""
    at = timezone.now() - dt.timedelta(minutes=minutes)
    for kind in kinds:
        NotionEvent.objects.create(event_id=str(uuid.uuid4()), type=kind, page_id="page", received=at)


def causes() -> set[str]:
    return set(Alert.objects.open().values_list("cause", flat=True))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([silence.QUEUED] * 3, {"silent:automations", "silent:webhook"}),
        ([silence.OTHER] * 3, {"silent:webhook"}),  # nobody says that automations send each edit
        ([silence.OLD] * 3, set()),
        ([silence.QUEUED] * 3 + [silence.OLD], {"silent:automations", "silent:webhook"}),
        ([silence.QUEUED] * 2, set()),  # one or two may be lost on the way
        ([silence.QUEUED] * 3 + [AUTOMATION], {"silent:webhook"}),
        ([silence.QUEUED] * 3 + [SIGNED], {"silent:automations"}),
    ],
)
def test_heed_says_who_calls_no_more(board: NotionBoard, found: list[str], expected: set[str]) -> None:
    heard(*found)
    silence.heed(board)
    assert causes() == expected


def test_heed_waits_as_long_as_a_webhook_may_take(board: NotionBoard) -> None:
    heard(*[silence.QUEUED] * 3, minutes=6)
    silence.heed(board)
    assert not causes()


def test_heed_forgets_what_was_found_a_day_ago(board: NotionBoard) -> None:
    heard(*[silence.QUEUED] * 3, minutes=25 * 60)
    silence.heed(board)
    assert not causes()


def test_heed_expects_nothing_of_what_is_not_set_up() -> None:
    heard(*[silence.QUEUED] * 3)
    silence.heed(NotionBoard.objects.create(data_source_id="source"))
    assert not causes()


def test_heed_counts_nothing_of_before_it_was_set_up() -> None:
    heard(*[silence.QUEUED] * 3)
    board = NotionBoard.objects.create(data_source_id="source", hook_next="made", pending_token="token")
    reception.adopt_secret(board, by="olga")
    reception.confirm(board, by="olga")
    silence.heed(board)
    assert not causes()


def test_heed_counts_what_was_found_since_it_was_set_up(board: NotionBoard) -> None:
    board.hook_adopted = board.activated = timezone.now() - dt.timedelta(minutes=20)
    heard(*[silence.QUEUED] * 3, minutes=14)
    silence.heed(board)
    assert not causes(), "found at once: it was set before"
    heard(*[silence.QUEUED] * 3)
    silence.heed(board)
    assert causes() == {"silent:automations", "silent:webhook"}


def test_heed_names_the_remedy_and_is_over_with_the_next_call(board: NotionBoard) -> None:
    heard(*[silence.QUEUED] * 3)
    silence.heed(board)
    assert "resume them by hand" in Alert.objects.get(cause="silent:automations").message
    NotionEvent.objects.update(received=timezone.now() - dt.timedelta(days=2))
    silence.heed(board)
    assert causes() == {"silent:automations", "silent:webhook"}, "nobody has called yet"
    heard(AUTOMATION, minutes=0)
    silence.heed(board)
    assert causes() == {"silent:webhook"}


def test_heed_is_over_where_the_webhook_is_given_up(board: NotionBoard) -> None:
    heard(*[silence.QUEUED] * 3)
    silence.heed(board)
    reception.forget(board, by="olga")
    silence.heed(board)
    assert causes() == {"silent:automations"}
    board.hook_secret = None
    silence.heed(board)
    assert not causes()


@pytest.mark.parametrize(
    ("status", "is_moved", "minutes", "expected"),
    [
        ("Queued", True, 1, silence.QUEUED),
        ("Queued", False, 1, silence.OTHER),
        ("Draft", True, 1, silence.OTHER),
        ("Queued", True, 60, silence.OLD),
        ("Queued", True, None, silence.OLD),
    ],
)
def test_kind_of_an_old_edit_tells_nothing(status: str, is_moved: bool, minutes: int | None, expected: str) -> None:
    """The first look at a board finds what was set before anybody could tell."""
    row = {"id": "p", "properties": {"Status": {"type": "select", "select": {"name": status}}}}
    edited = minutes and (timezone.now() - dt.timedelta(minutes=minutes)).isoformat()
    page = notion._page(row | {"last_edited_time": edited})
    assert silence.kind(page, is_moved=is_moved) == expected


def test_poll_says_that_the_paused_automation_calls_no_more(vendors: SandboxClient) -> None:
    make_channel(name="Sea Stories")
    board = NotionBoard.objects.create(data_source_id=make_board(vendors, "Sea Stories"), hook_secret="typed-in")
    facts = {"Title": "Bees", "Channel": "Sea Stories", "Topic": "How bees dance", "Status": "Queued"}
    for _ in range(3):
        vendors.create_page(board.data_source_id, facts)
    reconcile.poll(board.pk)
    assert not causes(), "each may still be told"
    NotionEvent.objects.update(received=timezone.now() - dt.timedelta(minutes=8))
    NotionBoard.objects.update(poll_at=timezone.now())
    reconcile.poll(board.pk)
    assert causes() == {"silent:automations"}


def test_poll_expects_no_call_for_another_edit_of_a_queued_row(vendors: SandboxClient) -> None:
    make_channel(name="Sea Stories")
    board = NotionBoard.objects.create(data_source_id=make_board(vendors, "Sea Stories"), hook_secret="typed-in")
    facts = {"Title": "Bees", "Channel": "Sea Stories", "Topic": "How bees dance", "Status": "Queued"}
    page = vendors.create_page(board.data_source_id, facts)["id"]
    for row in ({}, {"Priority": "High"}, {"Status": "Draft"}, {"Status": "Queued"}):
        vendors.edit_page(page, row)
        NotionBoard.objects.update(poll_at=timezone.now())
        reconcile.poll(board.pk)
        jobs.take_in()
    kinds = NotionEvent.objects.order_by("pk").values_list("type", flat=True)
    assert list(kinds) == [silence.QUEUED, silence.OTHER, silence.OTHER, silence.QUEUED]
