"""Files with byte ranges, checked against slicing."""

import datetime as dt
from pathlib import Path

import pytest
from django.core import signing
from django.http import Http404
from django.test import RequestFactory
from hypothesis import given, settings
from hypothesis import strategies as st

from production import facts, looking, media, workspace
from production.media import serve
from production.models import Take
from production.stages import Status
from tests.factories import make_operator, make_staff, make_take, make_task

pytestmark = pytest.mark.django_db  # a response that is closed looks after its connection
BYTES = bytes(range(256)) * 3


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("media") / "film.mp4"
    path.write_bytes(BYTES)
    return path


def ask(path: Path, method: str = "GET", *, most: int = 0, etag: str = "", **headers: str):
    return serve(RequestFactory().generic(method, "/", headers=headers), path, most=most, etag=etag)


def body(response) -> bytes:
    content = b"".join(response.streaming_content) if response.streaming else response.content
    response.close()
    return content


@settings(deadline=None)
@given(st.integers(0, 900), st.none() | st.integers(0, 900))
def test_serve_range_is_a_slice(file, first, last):
    response = ask(file, Range=f"bytes={first}-{'' if last is None else last}")
    wanted = BYTES[first : None if last is None else last + 1]
    if wanted:
        assert body(response) == wanted
        assert response.status_code == 206
        assert response["Content-Range"] == f"bytes {first}-{first + len(wanted) - 1}/{len(BYTES)}"
        assert response["Content-Length"] == str(len(wanted))
    else:
        assert (response.status_code, response["Content-Range"]) == (416, f"bytes */{len(BYTES)}")


@settings(deadline=None)
@given(st.integers(0, 900))
def test_serve_suffix_is_a_slice_from_the_end(file, count):
    response = ask(file, Range=f"bytes=-{count}")
    assert response.status_code == (206 if count else 416)
    assert not count or body(response) == BYTES[-count:]


@pytest.mark.parametrize(
    "header",
    ["", "bytes=-", "bytes=a-b", "bytes=0-1,4-5", "lines=0-1", f"bytes={'9' * 5000}-", "bytes=٣-٤", " bytes=0-1"],
)
def test_serve_whole_file_for_anything_else(file, header):
    response = ask(file, Range=header)
    assert (response.status_code, body(response)) == (200, BYTES)
    assert "Content-Range" not in response
    assert response["Accept-Ranges"] == "bytes"
    assert response["Content-Type"] == "video/mp4"


def test_serve_head_has_the_length_and_no_body(file):
    response = ask(file, "HEAD", Range="bytes=10-19")
    assert (response.status_code, response["Content-Length"], body(response)) == (206, "10", b"")


def test_serve_304_when_the_browser_has_it(file):
    etag = ask(file, "HEAD")["ETag"]
    assert ask(file, **{"If-None-Match": f'"old", {etag}'}).status_code == 304
    assert ask(file, "HEAD", **{"If-None-Match": '"old"'}).status_code == 200


def test_serve_range_only_of_the_file_the_player_knows(file):
    etag = ask(file, "HEAD")["ETag"]
    assert ask(file, "HEAD", Range="bytes=0-1", **{"If-Range": etag}).status_code == 206
    assert ask(file, "HEAD", Range="bytes=0-1", **{"If-Range": '"old"'}).status_code == 200


def test_serve_range_of_a_file_known_by_its_date(file):
    date = ask(file, "HEAD")["Last-Modified"]
    assert ask(file, "HEAD", Range="bytes=0-1", **{"If-Range": date}).status_code == 206
    assert ask(file, "HEAD", **{"If-Modified-Since": date}).status_code == 304
    assert ask(file, "HEAD", **{"If-Match": '"other"'}).status_code == 412
    assert ask(file, "HEAD", **{"If-None-Match": "*"}).status_code == 304


@settings(deadline=None)
@given(st.integers(1, 900))
def test_serve_part_by_part_is_the_whole_file(file, step):
    """A player that gets less than it asked for asks for the next part."""
    whole = b""
    while len(whole) < len(BYTES):
        response = ask(file, Range=f"bytes={len(whole)}-", most=step)
        assert response["Content-Range"].endswith(f"/{len(BYTES)}")
        part = body(response)
        assert 0 < len(part) <= step
        whole += part
    assert whole == BYTES


def test_serve_by_its_content_may_be_kept_for_ever(file):
    response = ask(file, "HEAD", etag="c0ffee")
    assert (response["ETag"], response["Cache-Control"]) == ('"c0ffee"', "private, max-age=31536000, immutable")
    assert "immutable" not in ask(file, "HEAD")["Cache-Control"]


@pytest.mark.parametrize("kind", ["gone", "folder", "unreadable"])
def test_serve_what_can_not_be_read_is_404(tmp_path, kind, monkeypatch):
    path = tmp_path / "film.mp4"
    if kind == "folder":
        path.mkdir()
    if kind == "unreadable":
        path.write_bytes(BYTES)
        monkeypatch.setattr(Path, "open", lambda *_: (_ for _ in ()).throw(PermissionError("no")))
    with pytest.raises(Http404):
        ask(path)


def test_serve_file_that_shrinks_meanwhile_ends_early(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(BYTES)
    response = ask(path)
    path.write_bytes(BYTES[:100])
    assert body(response) == BYTES[:100]


def test_serve_empty_file(tmp_path):
    path = tmp_path / "nothing.bin"
    path.write_bytes(b"")
    assert (body(ask(path)), ask(path, "HEAD")["Content-Type"]) == (b"", "application/octet-stream")
    assert ask(path, Range="bytes=0-").status_code == ask(path, Range="bytes=-5").status_code == 416


def test_take_file_is_for_staff_only(client):
    take = make_take(make_task(Status.GENERATING_ASSETS), "image", 1)
    url = f"/media/take/{take.pk}"
    assert client.get(url).status_code == 302
    client.force_login(make_operator())
    response = client.get(url, headers={"Range": "bytes=0-7"})
    assert (response.status_code, body(response)) == (206, b"\x89PNG\r\n\x1a\n")
    assert response["X-Content-Type-Options"] == "nosniff"


def test_media_is_for_who_may_see_tasks(client):
    take = make_take(make_task(Status.GENERATING_ASSETS), "image", 1)
    client.force_login(make_staff("view_channel"))
    for url in (f"/media/take/{take.pk}", f"/media/take/{take.pk}/poster", f"/media/take/{take.pk}/captions.vtt"):
        assert client.get(url).status_code == 403
    client.force_login(make_staff("view_task"))
    assert client.get(f"/media/take/{take.pk}").getvalue()
    assert client.post(f"/media/take/{take.pk}").status_code == 405
    client.logout()
    for url in (f"/media/take/{take.pk}/poster", f"/media/take/{take.pk}/captions.vtt"):
        assert client.get(url).status_code == 302


def test_take_file_answers_players_in_parts_and_others_whole(client, monkeypatch):
    monkeypatch.setattr(media, "PART", 100)
    take = make_take(make_task(Status.GENERATING_VIDEO), "clip", 1)
    client.force_login(make_operator())
    response = client.get(f"/media/take/{take.pk}", headers={"Range": "bytes=0-"})
    assert (response["Content-Range"], len(response.getvalue())) == (f"bytes 0-99/{take.size}", 100)
    assert len(client.get(f"/media/take/{take.pk}").getvalue()) == take.size
    assert response["ETag"] == f'"{take.sha256}"'


def test_take_file_is_handed_on_to_the_proxy(client, settings):
    settings.ACCEL_PREFIX = "/workspaces/"
    take = make_take(make_task(Status.GENERATING_ASSETS), "image", 1)
    client.force_login(make_operator())
    response = client.get(f"/media/take/{take.pk}", headers={"Range": "bytes=0-7"})
    inside = workspace.file_of(take).relative_to(settings.WORKSPACE_ROOT)
    assert (response.status_code, response.content) == (200, b"")
    assert response["X-Accel-Redirect"] == f"/workspaces/{inside}"
    assert (response["Content-Type"], response["X-Content-Type-Options"]) == ("image/png", "nosniff")
    workspace.remove(take.task)
    assert client.get(f"/media/take/{take.pk}").status_code == 404


def test_take_poster_is_small_and_kept(client):
    task = make_task(Status.GENERATING_VIDEO)
    clip, image = make_take(task, "clip", 1), make_take(task, "image", 1)
    client.force_login(make_operator())
    assert client.get(f"/media/take/{clip.pk}/poster").status_code == 404
    assert client.get(f"/media/take/{image.pk}/poster").getvalue() == workspace.file_of(image).read_bytes()
    looking.look_over({("clip", 1): workspace.file_of(clip), ("image", 1): workspace.file_of(image)}, {})
    for take in (clip, image):
        response = client.get(f"/media/take/{take.pk}/poster")
        assert (response["Content-Type"], response.getvalue()[8:12]) == ("image/webp", b"WEBP")
        assert "immutable" in response["Cache-Control"]
        again = client.get(f"/media/take/{take.pk}/poster", headers={"If-None-Match": response["ETag"]})
        assert (again.status_code, again["ETag"]) == (304, response["ETag"])


SRT = """1
00:00:02,000 --> 00:00:03,000
Up the <stairs> & --> on.

2
00:00:03,542 --> 00:00:05,052
No times
two lines
"""
VTT = """WEBVTT

00:00:02.000 --> 00:00:03.000
Up the &lt;stairs&gt; &amp; --&gt; on.

00:00:03.542 --> 00:00:05.052
No times
two lines

"""


def test_take_captions_are_webvtt(client):
    film = make_take(make_task(Status.ASSEMBLING), "film")
    client.force_login(make_operator())
    url = f"/media/take/{film.pk}/captions.vtt"
    assert client.get(url).status_code == 404
    workspace.file_of(film).with_suffix(".srt").write_text(SRT)
    response = client.get(url)
    assert (response["Content-Type"], response.content.decode()) == ("text/vtt; charset=utf-8", VTT)
    assert client.get(url, headers={"If-None-Match": response["ETag"]}).status_code == 304


@given(st.text())
def test_as_vtt_takes_anything(text):
    assert facts.as_vtt(text).startswith("WEBVTT\n\n")


def test_take_file_that_is_not_there(client):
    client.force_login(make_operator())
    task = make_task(Status.GENERATING_ASSETS)
    take, waiting = make_take(task, "image", 1), make_take(task, "image", 2, state=Take.State.WAITING)
    workspace.remove(task)
    for pk in (take.pk, waiting.pk, 0):
        assert client.get(f"/media/take/{pk}").status_code == 404


def test_signed_file_opens_to_whoever_has_the_address_and_nothing_else(client):
    take = make_take(make_task(Status.GENERATING_ASSETS), "image", 1)
    name, path = workspace.signed_name(take), workspace.file_of(take)
    for other in (name[:-1], signing.dumps(take.pk), str(take.pk)):
        assert client.get(f"/media/signed/{other}/seed.png").status_code == 404
    response = client.get(f"/media/signed/{name}/seed.png")
    assert (response.status_code, response["Content-Type"]) == (200, "image/png")
    assert body(response) == path.read_bytes()


def test_signed_file_that_is_gone(client):
    take = make_take(make_task(Status.GENERATING_ASSETS), "image", 1)
    workspace.file_of(take).unlink()
    assert client.get(f"/media/signed/{workspace.signed_name(take)}/seed.png").status_code == 404


def test_signed_file_ends_with_its_time(client, monkeypatch):
    take = make_take(make_task(Status.GENERATING_ASSETS), "image", 1)
    name = workspace.signed_name(take)
    monkeypatch.setattr(workspace, "SIGNED_LIFE", dt.timedelta(seconds=-1))
    assert client.get(f"/media/signed/{name}/seed.png").status_code == 404


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("intro.html", "application/octet-stream"),
        ("intro.js", "application/octet-stream"),
        ("intro.svg", "application/octet-stream"),
        ("intro.xhtml", "application/octet-stream"),
        ("intro.mp4", "video/mp4"),
        ("mark.png", "image/png"),
        ("voice.mp3", "audio/mpeg"),
    ],
)
def test_serve_makes_no_page_of_what_somebody_has_uploaded(tmp_path: Path, name, kind):
    (tmp_path / name).write_bytes(b"RIFF <script src=intro.js></script>")
    served = serve(RequestFactory().get("/"), tmp_path / name)
    assert (served["Content-Type"], served["X-Content-Type-Options"]) == (kind, "nosniff")
    served.close()
