"""What YouTube is told, within its limits, and what its answers are taken for."""

import datetime as dt
import json

import pytest
from django.utils import timezone
from google.oauth2.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from production.errors import Kind, Trouble
from publishing import youtube
from publishing.youtube import YouTube
from tests.vendor import answering

FACTS = {"title": "Bees", "description": "About", "tags": ["a"], "category": 27, "language": "en"}
FACTS |= {"privacy": "private", "made_for_kids": False, "synthetic_media": True}
TEXT = st.text(max_size=6000)


def snippet(**words: object) -> dict:
    return youtube.body(FACTS | words)["snippet"]


@given(st.text(max_size=300) | st.text("<>a ", max_size=300))
def test_body_title_fits(title):
    found = snippet(title=title)["title"]
    assert len(found) <= 100
    assert not set(found) & set("<>")
    assert found == title or len(title) > 100 or set(title) & set("<>") or title.strip() != title


@given(TEXT | st.text("🐝<é", min_size=1000, max_size=6000))
def test_body_description_fits_in_bytes_and_breaks_no_character(description):
    found = snippet(description=description)["description"]
    assert len(found.encode()) <= 5000
    assert not set(found) & set("<>")
    plain = description.replace("<", "‹").replace(">", "›").strip()
    assert plain.startswith(found)
    assert found == plain or len(plain.encode()) > 5000


@given(st.lists(st.text("ab é", min_size=1, max_size=30), max_size=60))
def test_body_tags_fit_as_youtube_counts(tags):
    found = snippet(tags=tags)["tags"]
    assert found == tags[: len(found)]
    assert sum(len(tag) + 2 * (" " in tag) for tag in found) + max(len(found) - 1, 0) <= 500
    assert found == tags or len(found) >= 9


@pytest.mark.parametrize("privacy", ["private", "unlisted", "public"])
@pytest.mark.parametrize("flag", [True, False])
def test_body_always_says_privacy_kids_and_disclosure(privacy, flag):
    found = youtube.body(FACTS | {"privacy": privacy, "made_for_kids": flag, "synthetic_media": not flag})
    assert found["status"] == {
        "privacyStatus": privacy,
        "selfDeclaredMadeForKids": flag,
        "containsSyntheticMedia": not flag,
    }
    assert (found["snippet"]["categoryId"], found["snippet"]["defaultLanguage"]) == ("27", "en")


def test_body_schedules_what_is_to_go_public_later():
    due = timezone.now() + dt.timedelta(days=1)
    status = youtube.body(FACTS | {"privacy": "unlisted", "publish_at": due.isoformat()})["status"]
    assert (status["privacyStatus"], status["publishAt"]) == ("private", due.isoformat().replace("+00:00", "Z"))


def test_body_of_a_moment_that_is_over_publishes_at_once():
    status = youtube.body(FACTS | {"publish_at": (timezone.now() - dt.timedelta(hours=1)).isoformat()})["status"]
    assert status["privacyStatus"] == "public"
    assert "publishAt" not in status


# ---------------------------------------------------------------- answers


def client(settings: Settings, address: str) -> YouTube:
    settings.ADDRESSES = settings.ADDRESSES | {"YOUTUBE_BASE_URL": f"{address}/"}
    return YouTube(Credentials("an-access-token"))


def error(status: int, reason: str) -> bytes:
    each = {"message": "why", "domain": "youtube", "reason": reason}
    return json.dumps({"error": {"code": status, "message": "why", "errors": [each]}}).encode()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, error(403, "quotaExceeded"), Kind.QUOTA),
        (400, error(400, "uploadLimitExceeded"), Kind.QUOTA),
        (403, error(403, "rateLimitExceeded"), Kind.TRANSIENT),
        (403, error(403, "forbidden"), Kind.PERMANENT),
        (400, error(400, "invalidTitle"), Kind.PERMANENT),
        (429, b"{}", Kind.TRANSIENT),
        (500, b"<html>", Kind.TRANSIENT),
        (503, error(503, "backendError"), Kind.TRANSIENT),
        (404, error(404, "channelNotFound"), Kind.PERMANENT),
        (400, b'{"error": {"errors": "x"}}', Kind.PERMANENT),
        (200, b'{"items": []}', Kind.PERMANENT),
        (200, b"{}", Kind.PERMANENT),
    ],
)
def test_channel_id_trouble_by_reason(settings: Settings, status, body, kind):
    with answering(status, body, Content_Type="application/json") as (address, met):
        with pytest.raises(Trouble) as trouble:
            client(settings, address).channel_id()
        assert len(met) == 1
    assert trouble.value.kind == kind
    assert trouble.value.message


def test_channel_id_where_nobody_listens(settings: Settings, dead_address: str):
    with pytest.raises(Trouble, match="YouTube did not answer") as trouble:
        client(settings, dead_address).channel_id()
    assert trouble.value.kind == Kind.TRANSIENT


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("https://youtube.googleapis.com/", "https://www.youtube.com/watch?v=x"),
        ("http://127.0.0.1:9/", "http://127.0.0.1:9/watch?v=x"),
    ],
)
def test_watch_url(settings: Settings, address, url):
    settings.ADDRESSES = settings.ADDRESSES | {"YOUTUBE_BASE_URL": address}
    assert youtube.watch_url("x") == url
