"""A house in which there is one of everything."""

from django.contrib.auth.models import Group
from django.utils import timezone
from django_q.models import Failure

from channels_app.models import Channel, Token
from production import caps
from production.models import (
    Alert,
    Cap,
    Heartbeat,
    NotionBoard,
    NotionDrift,
    NotionEvent,
    NotionWrite,
    SharedFile,
    Tally,
)
from production.stages import STAGE, Status
from publishing.models import Upload, YouTubeAccount
from tests.factories import make_channel, make_production, make_stage, make_take, make_task

SECRETS = (
    *("token-of-the-channel", "refresh-of-youtube", "access-of-youtube", "active-of-notion", "session-of-upload"),
    "secret-of-automations",
)


def make_busy_house() -> Channel:
    """One row of everything, with all of SECRETS in it."""
    channel = make_channel()
    task = make_production(Status.UPLOADING, channel=channel)
    make_stage(task, STAGE["upload"])
    film, upload = task.takes.get(kind="film"), task.takes.get(kind="upload")
    now, image = timezone.now(), make_take(task, "image", 1, usd="0.03")
    today = caps.current("channel_day", str(channel.pk), now)
    Tally.objects.create(meter=today.meter, key=today.key, since=today.since, simulated=True, usd="0.03")
    Token.objects.create(channel=channel, name="KIE_API_KEY", value=SECRETS[0])
    YouTubeAccount.objects.create(channel=channel, refresh_token=SECRETS[1], access_token=SECRETS[2])
    board = NotionBoard.objects.create(
        active_token=SECRETS[3], pending_token="pending-of-notion", hook_secret=SECRETS[5]
    )
    Upload.objects.create(take=upload, task=task, film=film, size=film.size, privacy="private", session_uri=SECRETS[4])
    NotionEvent.objects.create(event_id="1", type="page.created")
    NotionWrite.objects.create(said="Status: Queued", status=200)
    SharedFile.objects.create(take=image, place="notion", attached=now)
    NotionDrift.objects.create(board=board, page_id="p", task=task, kind="differs", differs=[["Status", "a", "b"]])
    Alert.objects.create(channel=channel, cause="c", message="It stopped").tasks.add(task)
    Heartbeat.objects.create(name="host:1", cluster="calls")
    Cap.objects.create(meter="channel_day", channel=channel, usd=50)
    Group.objects.create(name="Reviewers")
    Failure.objects.create(id="f", func="production.jobs.work", started=now, stopped=now, success=False)
    make_task(Status.ASSET_ERROR, channel=channel, reason="The plan was refused")
    return channel
