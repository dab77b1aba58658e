import contextlib
import hashlib
import importlib.resources
import json
import os

import googleapiclient.discovery
import googleapiclient.http
import httplib2
import pytest
import requests
from google.auth.exceptions import RefreshError
from google.oauth2.credentials import Credentials
from google_auth_httplib2 import AuthorizedHttp
from googleapiclient.errors import HttpError, ResumableUploadError

CHUNK = 256 * 1024
BROKEN = (OSError, httplib2.error.HttpLib2Error, HttpError)  # what a lost connection looks like from the library
BODY = {
    "snippet": {"title": "Lighthouses", "description": "How they work", "categoryId": "27", "tags": ["light"]},
    "status": {"privacyStatus": "private", "selfDeclaredMadeForKids": False, "containsSyntheticMedia": True},
}


@pytest.fixture
def connect(addresses):
    """A YouTube service of google-api-python-client for a refresh token."""
    document = importlib.resources.files("googleapiclient.discovery_cache") / "documents" / "youtube.v3.json"
    described = json.loads(document.read_text())
    described["rootUrl"] = described["mtlsRootUrl"] = addresses["YOUTUBE_BASE_URL"]
    opened = []

    def build(refresh="sandbox-refresh"):
        credentials = Credentials(
            None,
            refresh_token=refresh,
            token_uri=addresses["GOOGLE_TOKEN_URL"],
            client_id="sandbox-client",
            client_secret="sandbox-secret",
        )
        wire = httplib2.Http(timeout=10)
        wire.redirect_codes = wire.redirect_codes - {308}
        opened.append(wire)
        return googleapiclient.discovery.build_from_document(described, http=AuthorizedHttp(credentials, http=wire))

    yield build
    for wire in opened:
        wire.close()


@pytest.fixture
def film():
    return os.urandom(3 * CHUNK + 1000)


def insert(service, film, body=BODY):
    media = googleapiclient.http.MediaInMemoryUpload(film, mimetype="video/mp4", chunksize=CHUNK, resumable=True)
    return service.videos().insert(part="snippet,status", body=body, media_body=media)


def finish(request):
    for _ in range(10):
        if done := request.next_chunk()[1]:
            return done
    raise AssertionError("the upload does not move")


def test_videos_insert_keeps_the_film_and_its_metadata(connect, film, control, addresses):
    service = connect()
    video = finish(insert(service, film))
    assert video["snippet"]["title"] == "Lighthouses"
    assert video["status"]["privacyStatus"] == "private"
    (kept,) = [each for each in control.videos() if each["id"] == video["id"]]
    assert kept["sha256"] == hashlib.sha256(film).hexdigest()
    found = service.videos().list(part="status,processingDetails", id=video["id"]).execute()["items"][0]
    assert (found["status"]["uploadStatus"], found["processingDetails"]["processingStatus"]) == (
        "processed",
        "succeeded",
    )
    page = requests.get(f"{addresses['YOUTUBE_BASE_URL']}watch?v={video['id']}", timeout=5)
    assert "Lighthouses" in page.text
    head = {"Range": "bytes=0-99"}
    part = requests.get(f"{addresses['YOUTUBE_BASE_URL']}films/{video['id']}.mp4", headers=head, timeout=5)
    assert (part.status_code, part.content) == (206, film[:100])


def test_videos_insert_resumes_in_a_new_client_after_a_cut(connect, film, control):
    first = insert(connect(), film)
    first.next_chunk()
    control.plan_fault("youtube", "cut", "upload", after_bytes=1000)
    with pytest.raises(BROKEN):
        first.next_chunk()
    second = insert(connect(), film)
    second.resumable_uri, second._in_error_state = first.resumable_uri, True
    before = len(control.videos())
    progress, _ = second.next_chunk()
    assert progress.resumable_progress >= 2 * CHUNK  # the first chunk is not sent again
    video = finish(second)
    assert len(control.videos()) == before + 1
    assert control.videos()[-1]["id"] == video["id"]
    assert control.videos()[-1]["sha256"] == hashlib.sha256(film).hexdigest()


def test_videos_insert_lost_last_reply_does_not_make_a_second_video(connect, film, control):
    request = insert(connect(), film)
    for _ in range(3):
        request.next_chunk()
    before, calls = len(control.videos()), len(control.calls("youtube", "upload"))
    control.plan_fault("youtube", "lost_reply", "upload")
    with contextlib.suppress(*BROKEN):  # httplib2 may ask again by itself
        request.next_chunk()
    assert next(call["fault"] for call in control.calls("youtube", "upload")[calls:]) == "lost_reply"
    again = insert(connect(), film)
    again.resumable_uri, again._in_error_state = request.resumable_uri, True
    assert finish(again)["id"] == control.videos()[-1]["id"]
    assert len(control.videos()) == before + 1


def test_upload_dead_session_is_404(addresses):
    url = f"{addresses['YOUTUBE_BASE_URL']}upload/youtube/v3/videos?uploadType=resumable&upload_id=gone"
    answer = requests.put(url, headers={"Content-Range": "bytes */100"}, timeout=5)
    assert answer.status_code == 404


def test_videos_insert_bad_title_names_its_reason(connect, film):
    body = {**BODY, "snippet": {**BODY["snippet"], "title": "a < b"}}
    with pytest.raises(ResumableUploadError) as caught:
        insert(connect(), film, body).next_chunk()
    assert caught.value.resp.status == 400
    assert caught.value.error_details[0]["reason"] == "invalidTitle"


def test_videos_insert_over_quota(connect, film, control):
    control.plan_fault("youtube", "quota", "videos.insert", daily=True)
    with pytest.raises(ResumableUploadError) as caught:
        insert(connect(), film).next_chunk()
    assert caught.value.error_details[0]["reason"] == "quotaExceeded"


def test_videos_update_wipes_what_is_not_sent(connect, film):
    service = connect()
    video = finish(insert(service, film))
    body = {"id": video["id"], "snippet": {"title": "New", "categoryId": "27"}}
    changed = service.videos().update(part="snippet", body=body).execute()
    assert changed["snippet"]["title"] == "New"
    assert "tags" not in changed["snippet"]


def test_thumbnails_set_shows_on_the_watch_page(connect, film, tmp_path, addresses):
    service = connect()
    video = finish(insert(service, film))
    picture = tmp_path / "thumb.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n rest")
    service.thumbnails().set(videoId=video["id"], media_body=str(picture)).execute()
    page = requests.get(f"{addresses['YOUTUBE_BASE_URL']}watch?v={video['id']}", timeout=5)
    assert f'poster="/films/{video["id"]}.png"' in page.text
    poster = requests.get(f"{addresses['YOUTUBE_BASE_URL']}films/{video['id']}.png", timeout=5)
    assert poster.content == picture.read_bytes()


def test_channels_list_tells_whose_token_it_is(connect, control):
    control.set_account("sandbox-other", "UCother", "Other channel")
    item = connect("sandbox-other").channels().list(part="id,snippet", mine=True).execute()["items"][0]
    assert (item["id"], item["snippet"]["title"]) == ("UCother", "Other channel")


def test_token_revoked_is_invalid_grant(connect, control):
    control.revoke("sandbox-gone")
    with pytest.raises(RefreshError, match="invalid_grant"):
        connect("sandbox-gone").channels().list(part="id", mine=True).execute()
    control.restore("sandbox-gone")
    assert connect("sandbox-gone").channels().list(part="id", mine=True).execute()["items"]


def test_videos_list_without_a_good_token_is_401(addresses):
    answer = requests.get(f"{addresses['YOUTUBE_BASE_URL']}youtube/v3/videos", params={"id": "x"}, timeout=5)
    assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (401, "authError")


def test_videos_list_processing_takes_its_time(connect, film, control):
    control.set_pace(processing=3600)
    service = connect()
    video = finish(insert(service, film))

    def state():
        listed = service.videos().list(part="processingDetails", id=video["id"]).execute()
        return listed["items"][0]["processingDetails"]["processingStatus"]

    assert state() == "processing"
    control.set_pace(processing=0)
    assert state() == "succeeded"


def test_http_error_details_of_an_unknown_video(connect):
    with pytest.raises(HttpError) as caught:
        connect().videos().update(part="status", body={"id": "nope", "status": {}}).execute()
    assert caught.value.error_details[0]["reason"] == "videoNotFound"
