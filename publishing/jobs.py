"""The upload piece: the film goes to YouTube once, whatever crashes in between (FR63)."""

from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import structlog
from django.utils import timezone
from google.auth.exceptions import RefreshError
from PIL import Image, ImageOps

from production import workspace
from production.errors import Kind, Trouble
from production.models import Take, Task
from production.providers import is_stand_in
from publishing import tokens, youtube
from publishing.models import Upload, YouTubeAccount
from publishing.youtube import CHUNK, SessionGoneError, YouTube

log = structlog.get_logger(__name__)
MARK = b"SIMULATED by the sandbox"  # what stand-ins write into every file they make
THUMBNAIL = (1280, 720)  # pixels
HEAD = 256 * 1024  # bytes: the mark stands before the pictures and samples


def upload(take: Take, beat: Callable[[], None]) -> tuple[dict[str, Any], Decimal | None]:
    """Bring the film to YouTube, or find that it is there already. Returns (the video resource, None).

    Called again after a crash, it asks the stored session before it sends a byte. Errors: Trouble.
    """
    _refuse_simulated(take.task)
    row = _row(take)
    account = _account(take)
    credentials = tokens.credentials(account)
    with closing(YouTube(credentials, on_session=lambda uri: _keep_session(row, uri))) as client:
        try:
            _check_channel(client, account)
            video = _known(row) or _ask(client, row) or _send(client, row, beat)
            _finish(row, video)
            _send_along(client, row, beat)
        except SessionGoneError as gone:
            raise _session_gone(row) from gone
        except RefreshError as error:
            raise tokens.refused(account, error) from error
    return {"id": row.video_id, "url": row.url, "status": video.get("status", {})}, None


def land(take: Take) -> None:
    """The link is the task's. Called with the task's row locked."""
    Task.objects.filter(pk=take.task_id).update(youtube_url=take.result["url"])


def _refuse_simulated(task: Task) -> None:
    """Rehearsed or mixed work never reaches the real YouTube, whoever brought it here."""
    if is_stand_in("YOUTUBE_BASE_URL"):
        return
    if found := next((take for take in task.takes.filter(selected=True) if take.simulated or _is_marked(take)), None):
        why = f"Parts of this video are simulated ({found}): it can't be published on the real YouTube"
        raise Trouble(Kind.PERMANENT, why)


def _is_marked(take: Take) -> bool:
    """Whether the file itself says so: a script may have asked a stand-in that our own settings know nothing of."""
    path = workspace.file_of(take)
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return MARK in file.read(HEAD)


def _account(take: Take) -> YouTubeAccount:
    account = YouTubeAccount.objects.select_related("channel").filter(channel_id=take.channel_id).first()
    if account is None:
        raise Trouble(Kind.PERMANENT, f"{take.channel} has no YouTube account: connect one in the admin")
    return account


def _check_channel(client: YouTube, account: YouTubeAccount) -> None:
    """X3: the consent may have been given for another channel of the same person. The first one found is kept."""
    found = client.channel_id()
    if not account.youtube_channel_id:
        YouTubeAccount.objects.filter(pk=account.pk).update(youtube_channel_id=found)
    elif found != account.youtube_channel_id:
        wrong = (
            f"The consent leads to YouTube channel {found}, not {account.youtube_channel_id}: reconnect the right one"
        )
        raise Trouble(Kind.PERMANENT, wrong)


def _row(take: Take) -> Upload:
    """The film's one upload: another take of it goes on where the last one was, and never begins a second video."""
    film = take.sources.get(kind="film")
    row, _ = Upload.objects.update_or_create(
        film=film,
        defaults={"take": take},
        create_defaults={
            "take": take,
            "task": take.task,
            "size": film.size or 0,
            "privacy": take.recipe["facts"]["privacy"],
        },
    )
    return row


def _keep_session(row: Upload, uri: str) -> None:
    row.session_uri = uri
    row.save(update_fields=["session_uri"])


def _known(row: Upload) -> dict[str, Any] | None:
    """The video that was finished before a crash: its session may be gone by now."""
    return {"id": row.video_id, "status": {"privacyStatus": row.privacy}} if row.video_id else None


def _ask(client: YouTube, row: Upload) -> dict[str, Any] | None:
    """The finished video, if the session has it; else row.sent is what YouTube has stored."""
    if not row.session_uri:
        return None
    progress = client.ask(row.session_uri, row.size)
    row.sent = progress.stored
    return progress.video


def _send(client: YouTube, row: Upload, beat: Callable[[], None]) -> dict[str, Any]:
    """What is offered is written down before it is sent: only then does a vanished session tell something."""
    facts = row.take.recipe["facts"]
    film = workspace.file_of(row.film)
    _offer(row, row.sent)
    for progress in client.upload(film, youtube.body(facts), session=row.session_uri, offset=row.sent, size=row.size):
        beat()
        if progress.video:
            return progress.video
        _offer(row, progress.stored)
    raise Trouble(Kind.TRANSIENT, "YouTube took the last byte and said nothing")


def _offer(row: Upload, stored: int) -> None:
    row.offered = min(stored + CHUNK, row.size)
    row.save(update_fields=["offered", "sent"])


def _session_gone(row: Upload) -> Trouble:
    """A session that never was offered the last byte made no video: a new one is safe. Else a person has to look."""
    if not row.session_uri:
        return Trouble(Kind.TRANSIENT, "YouTube answered 404 to the beginning of an upload")
    if row.offered >= row.size:
        lost = (
            "The upload session ended after the last byte was sent: look on YouTube first. "
            "If the video is not there, send the task back to Assembly and redo the film"
        )
        return Trouble(Kind.PERMANENT, lost)
    row.session_uri, row.sent, row.offered = "", 0, 0
    row.save(update_fields=["session_uri", "sent", "offered"])
    return Trouble(Kind.TRANSIENT, "The upload session has expired; a new one is begun", retry_after=0)


def _send_along(client: YouTube, row: Upload, beat: Callable[[], None]) -> None:
    """Thumbnail and captions, where assembly has made some. The film is up: what YouTube refuses of them (a channel
    that is not verified, a consent without captions) is written down for a person and stops nothing."""
    film, facts = workspace.file_of(row.film), row.take.recipe["facts"]
    files: dict[str, tuple[bytes, Callable[[bytes], None]]] = {
        "thumbnail": (
            _chosen_picture(facts) or _beside(film, ".jpg"),
            lambda content: client.set_thumbnail(row.video_id, content),
        ),
        "captions": (
            _beside(film, ".srt"),
            lambda content: client.add_captions(row.video_id, content, facts["language"]),
        ),
    }
    lacks = []
    for name, (content, send) in files.items():
        if not content:
            continue
        beat()
        try:
            send(content)
        except Trouble as trouble:
            lacks.append(f"{name}: {trouble}")
            log.warning("youtube_upload_incomplete", task=row.task_id, channel=row.task.channel.slug, lacks=lacks[-1])
    row.lacks = "; ".join(lacks)[:300]
    row.save(update_fields=["lacks"])


def _beside(film: Path, suffix: str) -> bytes:
    """What assembly has put beside the film; nothing where it made none."""
    path = film.with_suffix(suffix)
    return path.read_bytes() if path.is_file() else b""


def _chosen_picture(facts: dict[str, Any]) -> bytes:
    """The picture that a person wants as thumbnail, as YouTube takes it: a JPEG of 1280 x 720, far below 2 MB."""
    chosen = Take.objects.filter(pk=facts.get("thumbnail") or 0, state=Take.State.DONE)
    take = chosen.select_related("task__channel").first()
    path = workspace.file_of(take) if take else None
    if path is None or not path.is_file():
        return b""
    written = BytesIO()
    with Image.open(path) as picture:
        ImageOps.fit(picture.convert("RGB"), THUMBNAIL).save(written, "JPEG", quality=90)
    return written.getvalue()


def _finish(row: Upload, video: dict[str, Any]) -> None:
    """YouTube's own word is kept: a privacy that differs from what was asked is not passed over."""
    row.video_id, row.finished = str(video["id"]), timezone.now()
    row.url = youtube.watch_url(row.video_id)
    row.privacy = str(video.get("status", {}).get("privacyStatus", row.privacy))
    row.save(update_fields=["video_id", "finished", "url", "privacy"])
    log.info("youtube_upload_finished", task=row.task_id, channel=row.task.channel.slug, video=row.video_id)
