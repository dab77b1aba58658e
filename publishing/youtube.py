"""The YouTube edge: google-api-python-client with its own discovery document, aimed at the configured address."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import google_auth_httplib2
import httplib2
from django.conf import settings
from google.auth.exceptions import GoogleAuthError, RefreshError
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build_from_document
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaFileUpload, MediaInMemoryUpload

from production.errors import Kind, Trouble
from production.providers import is_own_address

CHUNK = 8 * 1024 * 1024  # a multiple of 256 KiB, as the protocol wants
SECONDS = 60
TRIES = 2  # more of what comes with the film: a second and three later at most
DAILY = {"quotaExceeded", "uploadLimitExceeded"}
AGAIN = {"rateLimitExceeded", "userRateLimitExceeded", "backendError"}


class SessionGoneError(Exception):
    """The upload session is not known (any more)."""


@dataclass(frozen=True)
class Progress:
    """How far a session is: bytes stored, and the video once it is whole."""

    stored: int
    video: dict[str, Any] | None = None


class _SessionNoter(httplib2.Http):  # type: ignore[misc]
    """Tells a session's address as soon as it is known: the client library would send the first bytes right after."""

    def __init__(self, on_session: Callable[[str], None], seconds: float) -> None:
        super().__init__(timeout=seconds)
        self.redirect_codes = httplib2.REDIRECT_CODES - {308}  # "resume incomplete", not a redirect
        self.on_session = on_session

    def request(self, uri: str, *args: Any, **kwargs: Any) -> tuple[httplib2.Response, bytes]:
        response, content = super().request(uri, *args, **kwargs)
        if response.status == 200 and "uploadType=resumable" in uri and "location" in response:
            self.on_session(response["location"])
        return response, content


class YouTube:
    """One account's calls, to be closed at the end. Errors of all: Trouble, RefreshError (the consent is gone)."""

    def __init__(
        self, credentials: Credentials, on_session: Callable[[str], None] = lambda uri: None, seconds: float = SECONDS
    ) -> None:
        self.http = google_auth_httplib2.AuthorizedHttp(credentials, http=_SessionNoter(on_session, seconds))
        self.service = build_from_document(_discovery(settings.ADDRESSES["YOUTUBE_BASE_URL"]), http=self.http)

    def close(self) -> None:
        self.service.close()

    def channel_id(self) -> str:
        """The YouTube channel that these credentials upload to."""
        with _asking():
            found = self.service.channels().list(part="id", mine=True).execute().get("items", [])
        if not found:
            raise Trouble(Kind.PERMANENT, "This Google account has no YouTube channel: create one and reconnect")
        return str(found[0]["id"])

    def upload(self, film: Path, body: dict[str, Any], *, session: str, offset: int, size: int) -> Iterator[Progress]:
        """Send the film from `offset` on, yielding after every chunk; with no session yet, begin one (see on_session).

        Errors: SessionGoneError.
        """
        media = MediaFileUpload(str(film), mimetype="video/mp4", chunksize=CHUNK, resumable=True)
        insert = self.service.videos().insert(
            part="snippet,status", body=body, media_body=media, notifySubscribers=False
        )
        insert.resumable_uri = session or None
        insert.resumable_progress = offset
        video = None
        while video is None:
            with _asking(session=True):
                _, video = insert.next_chunk()
            yield Progress(size if video else insert.resumable_progress, video)

    def ask(self, session: str, size: int) -> Progress:
        """How far is this session? Sends no byte. Errors: SessionGoneError."""
        with _asking(session=True):
            response, content = self.http.request(
                session, "PUT", headers={"Content-Length": "0", "Content-Range": f"bytes */{size}"}
            )
            if response.status in (200, 201):
                return Progress(size, json.loads(content))
            if response.status == 308:
                return Progress(int(response["range"].rpartition("-")[2]) + 1 if "range" in response else 0)
            raise HttpError(response, content)

    def set_thumbnail(self, video_id: str, jpeg: bytes) -> None:
        """Replaces the one there is."""
        media = MediaInMemoryUpload(jpeg, mimetype="image/jpeg")
        with _asking():
            self.service.thumbnails().set(videoId=video_id, media_body=media).execute(num_retries=TRIES)

    def add_captions(self, video_id: str, srt: bytes, language: str) -> None:
        """Captions in that language; where there are some already nothing changes."""
        snippet = {"videoId": video_id, "language": language, "name": "", "isDraft": False}
        media = MediaInMemoryUpload(srt, mimetype="application/octet-stream")
        insert = self.service.captions().insert(part="snippet", body={"snippet": snippet}, media_body=media)
        with _asking(unless=409):
            insert.execute(num_retries=TRIES)


def body(facts: dict[str, Any]) -> dict[str, Any]:
    """The video resource within the API's limits; privacy is always said, its absence would mean public."""
    return {
        "snippet": {
            "title": _plain(facts["title"])[:100],
            "description": _plain(facts["description"]).encode()[:5000].decode(errors="ignore"),
            "tags": _fitting(facts["tags"]),
            "categoryId": str(facts["category"]),
            "defaultLanguage": facts["language"],
        },
        "status": {
            "privacyStatus": facts["privacy"],
            "selfDeclaredMadeForKids": facts["made_for_kids"],
            "containsSyntheticMedia": facts["synthetic_media"],
        },
    }


def watch_url(video_id: str) -> str:
    """Where people see the video; a rehearsal's on the sandbox."""
    own = is_own_address("YOUTUBE_BASE_URL")
    site = "https://www.youtube.com" if own else settings.ADDRESSES["YOUTUBE_BASE_URL"].rstrip("/")
    return f"{site}/watch?v={video_id}"


def _plain(text: str) -> str:
    """Titles and descriptions may not hold angle brackets."""
    return text.replace("<", "‹").replace(">", "›").strip()


def _fitting(tags: list[str]) -> list[str]:
    """As many tags as fit: 500 characters with commas, a tag with a space counts two quotes more."""
    fitting, left = [], 500
    for tag in tags:
        left -= len(tag) + 1 + 2 * (" " in tag)
        if left < 0:
            break
        fitting.append(tag)
    return fitting


@cache
def _discovery(address: str) -> dict[str, Any]:
    """The wheel's description of the API, aimed at another host: `api_endpoint` alone leaves uploads on https."""
    path = files("googleapiclient") / "discovery_cache/documents/youtube.v3.json"
    document: dict[str, Any] = json.loads(path.read_text())
    root = address.rstrip("/") + "/"
    return document | {"rootUrl": root, "mtlsRootUrl": root, "baseUrl": root}


@contextmanager
def _asking(*, session: bool = False, unless: int = 0) -> Iterator[None]:
    """`unless`: the status that is as good as success."""
    try:
        yield
    except HttpError as error:
        if error.status_code == unless:
            return
        if session and error.status_code in (404, 410):
            raise SessionGoneError from error
        raise _trouble(error) from error
    except RefreshError:
        raise  # whose consent it was, the caller knows
    except (OSError, httplib2.HttpLib2Error, GoogleAuthError) as error:
        raise Trouble(Kind.TRANSIENT, f"YouTube did not answer ({type(error).__name__})") from error


def _trouble(error: HttpError) -> Trouble:
    """The reason decides, not the status: an upload limit is a 400, a quota a 403."""
    details = error.error_details if isinstance(error.error_details, list) else []
    reason = str(details[0].get("reason", "")) if details and isinstance(details[0], dict) else ""
    message = f"YouTube said {error.status_code} {reason}: {error.reason}"[:300]
    if reason in DAILY:
        return Trouble(Kind.QUOTA, message)
    again = reason in AGAIN or error.status_code >= 500 or error.status_code == 429
    return Trouble(Kind.TRANSIENT if again else Kind.PERMANENT, message)
