"""What a rehearsal needs before its first row: a channel, people, a board, a YouTube account. Needs Django set up."""

from collections.abc import Collection
from dataclasses import dataclass

from django.contrib.auth.models import User

from channels_app.models import Channel
from production import reception
from production.models import NotionBoard
from production.schema import SCHEMA
from production.stages import Status
from publishing.models import YouTubeAccount
from sandbox.client import SandboxClient

YOUTUBE_CHANNEL = "UCsandbox0000000000000001"
REFRESH_TOKEN = "sandbox-refresh-token"  # noqa: S105 - opens the sandbox only


@dataclass(frozen=True)
class Rehearsal:
    """A stage set for videos: rows are put on `data_source_id`, decisions made by `operator`."""

    sandbox: SandboxClient
    channel: Channel
    operator: User
    data_source_id: str

    def queue(self, title: str, topic: str, **properties: str) -> str:
        """A creator adds a row and sets it to Queued. Returns its page id."""
        row = {"Title": title, "Topic": topic, "Channel": self.channel.name, "Status": Status.QUEUED.label} | properties
        return self.sandbox.create_page(self.data_source_id, row)["id"]


def prepare(
    sandbox: SandboxClient,
    public_url: str,
    *,
    clips: int,
    password: str,
    name: str = "Curious Planet",
    real: Collection[str] = (),
) -> Rehearsal:
    """Set the stage; on a stage that was set before, only what is missing. Nothing is set up at a `real` vendor."""
    channel = _channel(name, clips)
    if "YouTube" not in real:
        _connect_youtube(sandbox, channel)
    board = "" if "Notion" in real else _board(sandbox, channel, public_url)
    return Rehearsal(sandbox, channel, _operator(password), board)


def _operator(password: str) -> User:
    operator, created = User.objects.get_or_create(
        username="operator", defaults={"is_staff": True, "is_superuser": True, "email": "operator@example.com"}
    )
    if created:
        operator.set_password(password)
        operator.save()
    return operator


def _channel(name: str, clips: int) -> Channel:
    channel, _ = Channel.objects.get_or_create(
        name=name,
        defaults={
            "slug": name.lower().replace(" ", "-"),
            "clips_per_video": clips,
            "assets_per_video": clips + 2 if clips < 10 else 22,
            "style": "Painterly documentary style, soft light, muted colours.",
            "description_template": "{description}\n\nA film about: {title}",
        },
    )
    return channel


def _connect_youtube(sandbox: SandboxClient, channel: Channel) -> None:
    YouTubeAccount.objects.get_or_create(
        channel=channel, defaults={"refresh_token": REFRESH_TOKEN, "youtube_channel_id": YOUTUBE_CHANNEL}
    )
    sandbox.set_account(REFRESH_TOKEN, YOUTUBE_CHANNEL, channel.name)


def _board(sandbox: SandboxClient, channel: Channel, public_url: str) -> str:
    """A Notion database with a verified webhook: handshake, the operator's paste, the confirmation in the admin."""
    board = NotionBoard.objects.first_or_new()
    if not board.data_source_id:
        properties = {column.name: column.config([channel.name]) for column in SCHEMA}
        board.database_id, board.data_source_id = sandbox.create_database("Videos", properties)
        board.channels_told = [channel.name]
        board.save()
        token, _ = sandbox.subscribe(f"{public_url}/webhook/notion")
        sandbox.verify(token)
        board.refresh_from_db()
        reception.confirm(board, by="operator")
    return board.data_source_id
