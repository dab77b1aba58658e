"""The sandbox's YouTube, and a film on its way there."""

import pytest

from production import dispatch, flow, lifecycle
from production.models import Take
from production.stages import STAGE, Status, Verb
from publishing.models import YouTubeAccount
from sandbox.client import SandboxClient
from tests.factories import NUMBERS, make_production


@pytest.fixture
def account(vendors: SandboxClient, db: None) -> YouTubeAccount:
    """A channel whose final video is approved, connected to its own YouTube channel."""
    task = make_production(Status.APPROVED, clips=1, assets=2)
    token = f"sandbox-refresh-{next(NUMBERS)}"
    channel_id = f"UC-{token}"
    vendors.set_account(token, channel_id, str(task.channel))
    return YouTubeAccount.objects.create(channel=task.channel, refresh_token=token, youtube_channel_id=channel_id)


@pytest.fixture
def take(account: YouTubeAccount) -> Take:
    """The upload take, claimed."""
    task = account.channel.tasks.get()
    lifecycle.move(task, Verb.START, by="system", stage=STAGE["upload"])
    flow.advance(task)
    (take,) = dispatch.claim("upload", 1)
    return take
