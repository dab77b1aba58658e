"""Where alerts go: Slack, Discord, e-mail. Each knows what its vendor takes, and which no is final.

The webhooks' addresses are secrets: they stand in no log, no error and no row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.core.mail import EmailMessage

from production.outside import HERE

TIMEOUT = 10  # seconds
MOST_SLACK, MOST_DISCORD = 2900, 1900  # characters; Slack takes 3,000 in a section, Discord 2,000 in a message


class TransportError(Exception):
    """It was not taken. `permanent`: never will be; `retry_after` seconds, where the vendor said so."""

    def __init__(self, message: str, *, permanent: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.permanent = permanent
        self.retry_after = retry_after


@dataclass(frozen=True)
class Transport:
    """`address` is the value of its setting, "" while it is off; `send` raises TransportError."""

    name: str
    address: Callable[[], str]
    send: Callable[[str], None]


def transports() -> dict[str, Transport]:
    """Those that are on, by name."""
    return {transport.name: transport for transport in TRANSPORTS if transport.address()}


def _to_slack(text: str) -> None:
    """`& < >` are escaped as Slack wants it; 403, 404 and 410 mean that the webhook is gone."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    reply = _post("Slack", "hooks.slack.com", settings.SLACK_WEBHOOK_URL, {"text": escaped[:MOST_SLACK]})
    if not reply.ok:
        gone = reply.status_code in (403, 404, 410)
        raise _refused("Slack", reply, permanent=gone, retry_after=_seconds(reply.headers.get("Retry-After")))


def _to_discord(text: str) -> None:
    """Nobody is mentioned and no link bears another's name, whatever a title says. 404 with code 10015 means that the
    webhook is gone."""
    escaped = text.replace("\\", "\\\\").replace("[", "\\[")
    body = {"content": escaped[:MOST_DISCORD], "allowed_mentions": {"parse": []}}
    reply = _post("Discord", "discord.com", settings.DISCORD_WEBHOOK_URL, body)
    if not reply.ok:
        said = _json(reply)
        gone = reply.status_code == 404 and said.get("code") == 10015
        raise _refused("Discord", reply, permanent=gone, retry_after=_seconds(said.get("retry_after")))


def _to_mail(text: str) -> None:
    """The first line is the subject."""
    subject = " ".join(text.split("\n", 1)[0].split())[:150]
    try:
        EmailMessage(subject, text, to=settings.ALERT_EMAIL).send()
    except OSError as error:  # every failure of SMTP is one
        raise TransportError(f"The mail server did not take it ({type(error).__name__})") from error


TRANSPORTS = (
    Transport("slack", lambda: str(settings.SLACK_WEBHOOK_URL), _to_slack),
    Transport("discord", lambda: str(settings.DISCORD_WEBHOOK_URL), _to_discord),
    Transport("email", lambda: ",".join(settings.ALERT_EMAIL), _to_mail),
)


def _post(name: str, host: str, url: str, body: Mapping[str, object]) -> requests.Response:
    """Only to the vendor's own host, or to a stand-in on this machine."""
    parts = urlsplit(url)
    if not (parts.scheme == "https" and parts.hostname == host) and parts.hostname not in HERE:
        raise TransportError(f"The {name} webhook does not lead to https://{host}: mend the setting", permanent=True)
    try:
        return requests.post(url, json=body, timeout=TIMEOUT, allow_redirects=False)
    except requests.RequestException as error:
        raise TransportError(f"{name} did not answer ({type(error).__name__})") from None


def _refused(name: str, reply: requests.Response, *, permanent: bool, retry_after: float | None) -> TransportError:
    what = f"{name} answered {reply.status_code}: {' '.join(reply.text[:100].split())}"
    gone = f"{what}; its webhook is gone, make a new one" if permanent else what
    return TransportError(gone, permanent=permanent, retry_after=retry_after)


def _json(reply: requests.Response) -> dict[str, object]:
    try:
        said = reply.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _seconds(said: object) -> float | None:
    """Slack says whole seconds, Discord a fraction of them."""
    try:
        return max(0.0, float(str(said)))
    except ValueError:
        return None
