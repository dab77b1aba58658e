"""google-auth-oauthlib and google-api-python-client against the sandbox: what test_youtube.py leaves out."""

import contextlib
import importlib.resources
import io
import json
import os
from urllib.parse import parse_qs, urlsplit

import googleapiclient.discovery
import httplib2
import pytest
import requests
from google.auth.transport.requests import Request
from google.oauth2.credentials import Credentials
from google_auth_httplib2 import AuthorizedHttp
from google_auth_oauthlib.flow import Flow
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaFileUpload, MediaIoBaseUpload
from oauthlib.oauth2.rfc6749.errors import AccessDeniedError, InvalidGrantError, OAuth2Error

from tests.sandboxes import KEY

SCOPES = ["https://www.googleapis.com/auth/youtube.upload", "https://www.googleapis.com/auth/youtube.force-ssl"]
BACK = "http://127.0.0.1:9/oauth/back"
CHUNK = 256 * 1024
BODY = {"snippet": {"title": "Lighthouses", "categoryId": "27"}, "status": {"privacyStatus": "private"}}


@pytest.fixture
def flow(addresses, monkeypatch):
    """A new Flow, as each of the two views of a web application makes one."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    token = addresses["GOOGLE_TOKEN_URL"]
    auth = token.removesuffix("/token") + "/o/oauth2/v2/auth"
    web = {"client_id": KEY, "client_secret": KEY, "auth_uri": auth, "token_uri": token}
    opened = []

    def make(**more):
        opened.append(Flow.from_client_config({"web": web}, SCOPES, redirect_uri=BACK, **more))
        return opened[-1]

    yield make
    for each in opened:
        each.oauth2session.close()


def consented(flow):
    """The address at which Google sends the owner back, and what the session has to remember."""
    begun = flow()
    url, state = begun.authorization_url(prompt="consent")
    answer = requests.get(url, allow_redirects=False, timeout=5)
    assert answer.status_code == 302
    return answer.headers["Location"], state, begun.code_verifier


def test_flow_ends_in_credentials_that_refresh(flow, control):
    control.set_consent("sandbox-consented")
    control.set_account("sandbox-consented", "UCconsented", "Consented channel")
    location, state, verifier = consented(flow)
    assert parse_qs(urlsplit(location).query)["state"] == [state]
    ended = flow(state=state, code_verifier=verifier)
    ended.fetch_token(authorization_response=location)
    credentials = ended.credentials
    assert (credentials.refresh_token, set(credentials.granted_scopes)) == ("sandbox-consented", set(SCOPES))
    before = credentials.token
    with requests.Session() as session:
        credentials.refresh(Request(session))
    assert credentials.token != before
    control.set_consent()


def test_flow_unticked_scope_shows_in_what_is_granted(flow, control, monkeypatch):
    monkeypatch.setenv("OAUTHLIB_RELAX_TOKEN_SCOPE", "1")
    control.set_consent(scopes=SCOPES[:1])
    location, state, verifier = consented(flow)
    ended = flow(state=state, code_verifier=verifier)
    ended.fetch_token(authorization_response=location)
    assert list(ended.credentials.granted_scopes) == SCOPES[:1]
    control.set_consent()


def test_flow_wrong_verifier_and_used_code_are_invalid_grant(flow):
    location, state, verifier = consented(flow)
    with pytest.raises(InvalidGrantError, match="Invalid code verifier"):
        flow(state=state, code_verifier="x" * 64).fetch_token(authorization_response=location)
    with pytest.raises(InvalidGrantError, match="Malformed auth code"):
        flow(state=state, code_verifier=verifier).fetch_token(authorization_response=location)


def test_flow_owner_says_no(flow, control):
    control.plan_fault("google", "refuse", "consent")
    location, state, verifier = consented(flow)
    with pytest.raises(AccessDeniedError):
        flow(state=state, code_verifier=verifier).fetch_token(authorization_response=location)


def test_flow_code_is_for_the_address_that_asked(flow):
    location, state, verifier = consented(flow)
    other = flow(state=state, code_verifier=verifier)
    other.redirect_uri = BACK + "/elsewhere"
    with pytest.raises(OAuth2Error, match="redirect_uri_mismatch"):
        other.fetch_token(authorization_response=location)


@pytest.fixture
def youtube(addresses):
    document = importlib.resources.files("googleapiclient.discovery_cache") / "documents" / "youtube.v3.json"
    described = json.loads(document.read_text())
    described["rootUrl"] = described["mtlsRootUrl"] = addresses["YOUTUBE_BASE_URL"]
    given = {"token_uri": addresses["GOOGLE_TOKEN_URL"], "client_id": KEY, "client_secret": KEY}
    wire = httplib2.Http(timeout=10)
    wire.redirect_codes = wire.redirect_codes - {308}
    http = AuthorizedHttp(Credentials(None, refresh_token="sandbox-google", **given), http=wire)
    with contextlib.closing(wire):
        yield googleapiclient.discovery.build_from_document(described, http=http)


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(os.urandom(2 * CHUNK + 99))
    return path


def begun(youtube, film):
    media = MediaFileUpload(str(film), mimetype="video/mp4", chunksize=CHUNK, resumable=True)
    return youtube.videos().insert(part="snippet,status", body=BODY, media_body=media)


def inserted(youtube, film):
    request, video = begun(youtube, film), None
    while video is None:
        _, video = request.next_chunk()
    return video


def test_next_chunk_after_a_503_asks_before_it_sends_again(youtube, film, control):
    before, request = len(control.calls("youtube", "upload")), begun(youtube, film)
    request.next_chunk()
    control.plan_fault("youtube", "status", "upload", status=503, body="backend")
    with pytest.raises(HttpError) as caught:
        request.next_chunk()
    assert caught.value.status_code == 503
    video = None
    while video is None:
        _, video = request.next_chunk()
    assert control.videos()[-1]["bytes"] == film.stat().st_size
    assert [call["status"] for call in control.calls("youtube", "upload")[before:]] == [308, 503, 308, 308, 200]


def test_execute_tries_again_by_itself(youtube, control, monkeypatch):
    monkeypatch.setattr("googleapiclient.http.random.random", lambda: 0.001)  # of the pause between two tries
    control.plan_fault("youtube", "quota", "channels.list", times=2)  # 403 rateLimitExceeded
    before = len(control.calls("youtube", "channels.list"))
    assert youtube.channels().list(part="id", mine=True).execute(num_retries=2)["items"]
    assert [call["status"] for call in control.calls("youtube", "channels.list")[before:]] == [403, 403, 200]


def captions(youtube, video, text=b"1\n00:00:00,000 --> 00:00:01,000\nAfter\n", language="en"):
    snippet = {"videoId": video, "language": language, "name": "English"}
    media = MediaIoBaseUpload(io.BytesIO(text), mimetype="application/octet-stream")
    return youtube.captions().insert(part="snippet", body={"snippet": snippet}, media_body=media).execute()


def test_captions_travel_as_multipart(youtube, film):
    video = inserted(youtube, film)["id"]
    made = captions(youtube, video)
    assert (made["snippet"]["status"], made["snippet"]["language"]) == ("serving", "en")
    (listed,) = youtube.captions().list(part="id,snippet", videoId=video).execute()["items"]
    assert listed["id"] == made["id"]
    with pytest.raises(HttpError) as caught:
        captions(youtube, video)
    assert (caught.value.status_code, caught.value.error_details[0]["reason"]) == (409, "captionExists")
    youtube.captions().delete(id=made["id"]).execute()
    assert youtube.captions().list(part="id", videoId=video).execute()["items"] == []


def test_captions_that_are_refused(youtube, film):
    with pytest.raises(HttpError) as caught:
        captions(youtube, "nope")
    assert caught.value.error_details[0]["reason"] == "videoNotFound"
    with pytest.raises(HttpError) as caught:
        captions(youtube, inserted(youtube, film)["id"], language="")
    assert caught.value.error_details[0]["reason"] == "invalidMetadata"


def test_playlist_items_page_by_page(youtube, film):
    video = inserted(youtube, film)["id"]
    place = {"playlistId": "PLsandbox", "resourceId": {"kind": "youtube#video", "videoId": video}}
    for _ in range(3):
        youtube.playlistItems().insert(part="snippet", body={"snippet": place}).execute()
    api, positions = youtube.playlistItems(), []
    request = api.list(part="snippet", playlistId="PLsandbox", maxResults=2)
    while request is not None:
        answer = request.execute()
        positions += [item["snippet"]["position"] for item in answer["items"]]
        request = api.list_next(request, answer)
    assert positions == [0, 1, 2]
    with pytest.raises(HttpError) as caught:
        youtube.playlistItems().insert(part="snippet", body={"snippet": place | {"playlistId": "missing"}}).execute()
    assert (caught.value.status_code, caught.value.error_details[0]["reason"]) == (404, "playlistNotFound")


def test_limits_count_units_by_the_day(youtube, film, control):
    video = inserted(youtube, film)["id"]
    control.set_limits(on=True)
    with pytest.raises(HttpError) as caught:
        for number in range(26):
            captions(youtube, video, language=f"x{number}")  # 400 units each
    assert (caught.value.status_code, caught.value.error_details[0]["reason"]) == (403, "quotaExceeded")
    control.set_limits(on=False)
    assert captions(youtube, video, language="after")["id"]
