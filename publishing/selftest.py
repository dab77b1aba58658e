"""What publishing for a channel needs. channels.list costs one unit of the day's quota and no money."""

from contextlib import closing

from django.utils import timezone
from google.auth.exceptions import RefreshError

from channels_app.models import Channel
from channels_app.selftest import Finding, Level, register
from production.errors import Kind, Trouble
from production.models import Provider
from production.providers import calls_today
from publishing import tokens
from publishing.models import YouTubeAccount
from publishing.youtube import YouTube

SECONDS = 10


@register("youtube", "YouTube account")
def account_is_the_right_one(channel: Channel) -> Finding:
    account = YouTubeAccount.objects.select_related("channel").filter(channel=channel).first()
    if account is None:
        return Finding(Level.FAIL, "None is connected", "Connect one at YouTube accounts.")
    try:
        with closing(YouTube(tokens.credentials(account), seconds=SECONDS)) as client:
            found = client.channel_id()
    except RefreshError as error:
        return _trouble(tokens.refused(account, error))
    except Trouble as trouble:
        return _trouble(trouble)
    return _compared(account, found)


def _compared(account: YouTubeAccount, found: str) -> Finding:
    """X3: the consent may lead to another channel of the same person."""
    if not account.youtube_channel_id:
        remedy = "If it is the right one, write it at YouTube accounts; else the first upload locks it."
        return Finding(Level.WARN, f"The consent leads to {found}; none is locked yet", remedy)
    if found != account.youtube_channel_id:
        wrong = f"The consent leads to {found}, not to {account.youtube_channel_id}"
        return Finding(Level.FAIL, wrong, "Reconnect the right channel: uploads are refused.")
    return Finding(Level.PASS, f"The consent leads to {found}, as locked")


def _trouble(trouble: Trouble) -> Finding:
    passes = trouble.kind in (Kind.TRANSIENT, Kind.QUOTA)
    remedy = "Try again later." if passes else "Reconnect the account with YouTube's consent."
    return Finding(Level.FAIL, trouble.message, remedy)


@register("uploads", "Uploads left today")
def uploads_are_left(channel: Channel) -> Finding:
    """By our own count: YouTube tells nobody how much of a quota is left."""
    lane = Provider.objects.get(pk="upload")
    if lane.daily_quota is None:
        return Finding(Level.WARN, "No daily quota is known", "Write it at Lanes › upload.")
    left = lane.daily_quota - calls_today(lane, timezone.now())
    found = f"{max(left, 0)} of {lane.daily_quota}"
    if left > 0:
        return Finding(Level.PASS, found)
    return Finding(Level.FAIL, found, "Wait for midnight Pacific, or have YouTube raise the quota at Lanes › upload.")
