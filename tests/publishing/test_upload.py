"""The film goes to YouTube once, wherever it crashes."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path

import pytest
from django.utils import timezone
from google.oauth2.credentials import Credentials
from PIL import Image
from pytest_django import Settings

from production import attempts, jobs, settling, workspace
from production.errors import Kind, Trouble
from production.models import Take, Task
from production.stages import Status
from publishing import jobs as publishing_jobs
from publishing import youtube
from publishing.models import Upload, YouTubeAccount
from sandbox import media, paint
from sandbox.client import SandboxClient
from tests.media import picture
from tests.vendor import Answer, Vendor, answering, listening

GRAIN = 256 * 1024
pytestmark = pytest.mark.django_db


class Crash(BaseException):
    """The worker is killed here."""


def upload(take: Take, beat: Callable[[], None] = lambda: None) -> dict:
    return publishing_jobs.upload(take, beat)[0]


def mine(vendors: SandboxClient, account: YouTubeAccount) -> list[dict]:
    """The videos of the account's channel in the sandbox's books."""
    return [v for v in vendors.videos() if v["snippet"]["channelId"] == account.youtube_channel_id]


@pytest.fixture
def chunks(take: Take, monkeypatch) -> Take:
    """A film of three chunks and a bit."""
    film = take.sources.get(kind="film")
    path = workspace.file_of(film)
    path.write_bytes(path.read_bytes() + bytes(3 * GRAIN))
    Take.objects.filter(pk=film.pk).update(size=path.stat().st_size)
    monkeypatch.setattr(publishing_jobs, "CHUNK", GRAIN)
    monkeypatch.setattr(youtube, "CHUNK", GRAIN)
    return take


# ---------------------------------------------------------------- the straight way


def test_upload_keeps_the_first_channel_it_finds(vendors, account, take):
    found, account.youtube_channel_id = account.youtube_channel_id, ""
    account.save()
    upload(take)
    account.refresh_from_db()
    assert account.youtube_channel_id == found


def test_upload_and_land(vendors, account, take):
    settling.settle(take, next(attempts.carry_out([take], seconds=9))[1])
    (video,) = mine(vendors, account)
    task = Task.objects.get(pk=take.task_id)
    row = Upload.objects.get()
    assert (task.status, task.youtube_url) == (Status.PUBLISHED, youtube.watch_url(video["id"]))
    assert (row.video_id, row.url, row.size) == (video["id"], task.youtube_url, video["bytes"])
    assert row.finished
    assert video["sha256"] == row.film.sha256
    assert video["snippet"]["title"] == task.title
    assert video["status"]["privacyStatus"] == row.privacy == "private"
    assert video["status"]["containsSyntheticMedia"] is True
    assert str(row) == f"{task} → {row.url}"


def test_upload_beats_between_chunks(vendors, account, chunks):
    beats: list[int] = []
    upload(chunks, lambda: beats.append(1))
    assert len(beats) >= 3
    assert len(mine(vendors, account)) == 1


def test_upload_again_after_it_is_done_makes_no_second_video(vendors, account, take):
    first = upload(take)
    vendors.plan_fault("youtube", "status", "upload", status=410, body={}, times=2)
    assert upload(take)["id"] == first["id"], "its session has ended by now; what is known needs no question"
    vendors.clear_faults()
    assert len(mine(vendors, account)) == 1


# ---------------------------------------------------------------- crashes


def crash_before_the_session_is_stored(monkeypatch) -> None:
    def crash(row: Upload, uri: str) -> None:
        raise Crash

    monkeypatch.setattr(publishing_jobs, "_keep_session", crash)


def crash_after_the_session_is_stored(monkeypatch) -> None:
    keep = publishing_jobs._keep_session

    def crash(row: Upload, uri: str) -> None:
        keep(row, uri)
        raise Crash

    monkeypatch.setattr(publishing_jobs, "_keep_session", crash)


def crash_after_the_answer(monkeypatch) -> None:
    def crash(row: Upload, video: dict) -> None:
        raise Crash

    monkeypatch.setattr(publishing_jobs, "_finish", crash)


@pytest.mark.parametrize(
    "crash", [crash_before_the_session_is_stored, crash_after_the_session_is_stored, crash_after_the_answer]
)
def test_upload_resumed_after_a_crash_makes_one_video(vendors, account, chunks, crash):
    with pytest.MonkeyPatch.context() as patch:
        crash(patch)
        with pytest.raises(Crash):
            upload(chunks)
    upload(Take.objects.get(pk=chunks.pk))
    (video,) = mine(vendors, account)
    assert video["bytes"] == Upload.objects.get().size


@pytest.mark.parametrize("at", [1, 2, 3])
def test_upload_resumed_after_a_chunk_sends_only_the_rest(vendors, account, chunks, at):
    beats: list[int] = []

    def beat() -> None:
        beats.append(1)
        if len(beats) == at:
            raise Crash

    with pytest.raises(Crash):
        upload(chunks, beat)
    sent = len(vendors.calls("youtube", "upload"))
    upload(Take.objects.get(pk=chunks.pk))
    assert len(mine(vendors, account)) == 1
    assert len(vendors.calls("youtube", "upload")) - sent <= 1 + 4 - at, "one question, then the chunks that lack"


def test_upload_resumed_when_the_answer_to_the_last_byte_is_lost(vendors, account, take):
    vendors.plan_fault("youtube", "lost_reply", "upload", times=2)  # httplib2 asks twice by itself
    with pytest.raises(Trouble) as trouble:
        upload(take)
    assert trouble.value.kind == Kind.TRANSIENT
    upload(Take.objects.get(pk=take.pk))
    assert len(mine(vendors, account)) == 1


def test_upload_resumed_when_the_connection_breaks_within_a_chunk(vendors, account, chunks):
    vendors.plan_fault("youtube", "cut", "upload", after_bytes=GRAIN // 2)
    with pytest.raises(Trouble) as trouble:
        upload(chunks)
    assert trouble.value.kind == Kind.TRANSIENT
    upload(Take.objects.get(pk=chunks.pk))
    assert len(mine(vendors, account)) == 1


@pytest.mark.parametrize(
    ("operation", "status", "kind"),
    [
        ("channels.list", 503, Kind.TRANSIENT),
        ("channels.list", 403, Kind.PERMANENT),
        ("channels.list", 404, Kind.PERMANENT),
        ("videos.insert", 503, Kind.TRANSIENT),
        ("videos.insert", 403, Kind.PERMANENT),
        ("videos.insert", 404, Kind.TRANSIENT),
        ("upload", 503, Kind.TRANSIENT),
        ("upload", 403, Kind.PERMANENT),
        ("upload", 404, Kind.PERMANENT),
    ],
)
def test_upload_trouble_at_every_call_makes_no_video_and_goes_on(vendors, account, take, operation, status, kind):
    vendors.plan_fault("youtube", "status", operation, status=status, body={})
    with pytest.raises(Trouble) as trouble:
        upload(take)
    assert trouble.value.kind == kind
    assert len(mine(vendors, account)) == 0
    if kind == Kind.TRANSIENT:
        upload(Take.objects.get(pk=take.pk))
        assert len(mine(vendors, account)) == 1


# ---------------------------------------------------------------- sessions


def test_session_gone_before_the_last_byte_begins_a_new_one(vendors, account, chunks):
    vendors.plan_fault("youtube", "status", "upload", status=503, body={})
    with pytest.raises(Trouble):
        upload(chunks)
    vendors.plan_fault("youtube", "status", "upload", status=404, body={})
    with pytest.raises(Trouble, match="a new one is begun") as trouble:
        upload(chunks)
    assert (trouble.value.kind, trouble.value.retry_after) == (Kind.TRANSIENT, 0)
    row = Upload.objects.get()
    assert (row.session_uri, row.sent, row.offered) == ("", 0, 0)
    upload(chunks)
    assert len(mine(vendors, account)) == 1


def test_session_gone_after_the_last_byte_is_for_a_person(vendors, account, take):
    """The video may be there: a second session could make a second one."""
    vendors.plan_fault("youtube", "lost_reply", "upload", times=2)  # httplib2 asks twice by itself
    with pytest.raises(Trouble):
        upload(take)
    vendors.plan_fault("youtube", "status", "upload", status=410, body={}, times=2)
    for _ in range(2):
        with pytest.raises(Trouble, match="look on YouTube first") as trouble:
            upload(take)
        assert trouble.value.kind == Kind.PERMANENT
    assert len(mine(vendors, account)) == 1


def test_session_is_a_secret_in_the_database(vendors, account, take):
    from django.db import connection

    upload(take)
    with connection.cursor() as cursor:
        cursor.execute("SELECT session_uri FROM publishing_upload")
        assert "http" not in cursor.fetchone()[0]
    assert Upload.objects.get().session_uri.startswith("http")


# ---------------------------------------------------------------- refused


def test_upload_to_a_wrong_channel_is_refused_before_a_byte_is_sent(vendors, account, take):
    YouTubeAccount.objects.update(youtube_channel_id="UC-another")
    with pytest.raises(Trouble, match="not UC-another: reconnect the right one") as trouble:
        upload(take)
    assert trouble.value.kind == Kind.PERMANENT
    assert not Upload.objects.get().session_uri


def test_upload_without_an_account_says_where_to_connect(take):
    YouTubeAccount.objects.all().delete()
    with pytest.raises(Trouble, match="connect one in the admin") as trouble:
        upload(take)
    assert trouble.value.kind == Kind.PERMANENT


def test_upload_of_simulated_work_to_the_real_youtube_makes_no_call(account, take, settings: Settings):
    with answering(200, b"{}") as (address, met):
        settings.ADDRESSES = settings.ADDRESSES | {"GOOGLE_TOKEN_URL": address}
        settings.ADDRESSES |= {"YOUTUBE_BASE_URL": settings.OWN_ADDRESSES["YOUTUBE_BASE_URL"]}
        with pytest.raises(Trouble, match="simulated") as trouble:
            upload(take)
    assert trouble.value.kind == Kind.PERMANENT
    assert met == []


def test_upload_of_one_simulated_piece_is_refused_too(account, take, settings: Settings):
    take.task.takes.update(simulated=False)
    first = take.task.takes.filter(kind="image", selected=True).first()
    Take.objects.filter(pk=first.pk).update(simulated=True)
    settings.ADDRESSES = settings.ADDRESSES | {"YOUTUBE_BASE_URL": settings.OWN_ADDRESSES["YOUTUBE_BASE_URL"]}
    with pytest.raises(Trouble, match="simulated"):
        upload(take)


@pytest.mark.parametrize("vendor", ["image", "clip", "narration", "sound"])
def test_upload_of_a_file_that_says_it_is_simulated_is_refused(account, take, settings: Settings, tmp_path, vendor):
    """Nothing in the database knows of it: the piece came from a script that had asked the sandbox by itself."""
    take.task.takes.update(simulated=False)
    piece = take.task.takes.filter(kind=vendor, selected=True).first()
    workspace.file_of(piece).write_bytes(made_by_the_sandbox(vendor, tmp_path))
    settings.ADDRESSES = settings.ADDRESSES | {"YOUTUBE_BASE_URL": settings.OWN_ADDRESSES["YOUTUBE_BASE_URL"]}
    with pytest.raises(Trouble, match=r"are simulated .*can't be published on the real YouTube"):
        upload(take)


def made_by_the_sandbox(kind: str, folder: Path) -> bytes:
    if kind == "image":
        return paint.paint("A hill", "16:9", "1K").data
    if kind == "clip":
        (folder / "seed.png").write_bytes(picture())
        media.make_clip(folder / "seed.png", folder / "clip.mp4", prompt="A hill", seconds=10)
        return (folder / "clip.mp4").read_bytes()
    return media.sound_audio("mp3_44100_128", "wind", 2)


def test_upload_refused_ends_in_upload_error_with_words(account, take, do):
    YouTubeAccount.objects.update(youtube_channel_id="UC-another")
    Take.objects.filter(pk=take.pk).update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    do(jobs.work, "upload")
    task = Task.objects.get(pk=take.task_id)
    assert task.status == Status.UPLOAD_ERROR
    assert "reconnect the right one" in task.changes.last().reason


# ---------------------------------------------------------------- what comes with the film


def beside(take: Take, **files: bytes) -> None:
    """What assembly has written beside the film, by suffix."""
    film = workspace.file_of(take.sources.get(kind="film"))
    for suffix, content in files.items():
        film.with_suffix(f".{suffix}").write_bytes(content)


def test_upload_sets_the_thumbnail(vendors, account, take):
    beside(take, jpg=picture(kind="JPEG"))
    upload(take)
    (video,) = mine(vendors, account)
    assert video["thumbnail"]
    assert "thumbnail" not in Upload.objects.get().lacks


def test_upload_sets_the_picture_that_a_person_chose(vendors, account, met_thumbnails, take):
    beside(take, jpg=b"the film's own frame")
    still = take.task.takes.filter(kind="composite").first()
    take.recipe["facts"]["thumbnail"] = still.pk
    upload(take)
    (sent,) = met_thumbnails
    with Image.open(BytesIO(sent)) as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("JPEG", (1280, 720))


@pytest.fixture
def met_thumbnails(monkeypatch) -> list[bytes]:
    """What is sent as thumbnail, noted on its way to the sandbox."""
    sent: list[bytes] = []
    send = youtube.YouTube.set_thumbnail
    monkeypatch.setattr(
        youtube.YouTube, "set_thumbnail", lambda self, video, jpeg: (sent.append(jpeg), send(self, video, jpeg))
    )
    return sent


def test_upload_without_its_thumbnail_is_done_and_says_so(vendors, account, take):
    beside(take, jpg=picture(kind="JPEG"))
    vendors.plan_fault("youtube", "status", "thumbnails.set", status=403, body={})
    settling.settle(take, next(attempts.carry_out([take], seconds=9))[1])
    row = Upload.objects.get()
    assert row.lacks.startswith("thumbnail: YouTube said 403")
    assert Task.objects.get(pk=take.task_id).status == Status.PUBLISHED
    upload(take)
    assert Upload.objects.get().lacks == "", "asked again, it is sent again"
    assert len(mine(vendors, account)) == 1


def test_upload_of_a_film_without_words_sends_no_captions(vendors, account, take):
    beside(take, srt=b"")
    upload(take)
    assert Upload.objects.get().lacks == ""


@pytest.fixture
def met(settings: Settings) -> Iterator[Vendor]:
    with listening() as vendor:
        settings.ADDRESSES = settings.ADDRESSES | {"YOUTUBE_BASE_URL": f"{vendor.url}/"}
        yield vendor


def test_add_captions_sends_words_and_language(met):
    met.answers = {"/": [Answer(200, b"{}")]}
    with closing(youtube.YouTube(Credentials("token"))) as client:
        client.add_captions("abc", b"1\n00:00:00,000 --> 00:00:01,000\nHello", "de")
    (call,) = met.calls
    assert call.path.startswith("/upload/youtube/v3/captions?part=snippet")
    assert (b'"videoId": "abc"' in call.body, b'"language": "de"' in call.body) == (True, True)
    assert b"1\n00:00:00,000 --> 00:00:01,000\nHello" in call.body


@pytest.mark.parametrize(("status", "kind"), [(409, None), (403, Kind.PERMANENT)])
def test_add_captions_that_are_there_already_is_done(met, status, kind):
    met.answer_with(status)
    with closing(youtube.YouTube(Credentials("token"))) as client, suppress_trouble() as troubles:
        client.add_captions("abc", b"words", "en")
    assert [trouble.kind for trouble in troubles] == ([kind] if kind else [])


@contextmanager
def suppress_trouble() -> Iterator[list[Trouble]]:
    troubles: list[Trouble] = []
    try:
        yield troubles
    except Trouble as trouble:
        troubles.append(trouble)
