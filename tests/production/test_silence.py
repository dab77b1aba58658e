"""Webhooks that have stopped are said, although the poll finds what they should have told."""

import datetime as dt
import uuid

import pytest
from django.utils import timezone

from production import silence
from production.models import Alert, NotionBoard, NotionEvent
from production.reception import AUTOMATION

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
