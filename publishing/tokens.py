"""Access tokens from a channel's stored consent. A refresh is saved at once; blanks never overwrite (FR61)."""

import datetime as dt
from functools import partial

import requests
import structlog
from django.conf import settings
from django.utils import timezone
from google.auth.exceptions import RefreshError, TransportError
from google.auth.transport.requests import Request
from google.oauth2.credentials import Credentials

from production.errors import Kind, Trouble
from publishing.models import YouTubeAccount

log = structlog.get_logger(__name__)
SECONDS = 20  # for reaching the token service, and for its answer


def credentials(account: YouTubeAccount) -> Credentials:
    """Fresh credentials for the account. Errors: Trouble; a revoked consent is permanent and says "reconnect"."""
    found = Credentials(  # type: ignore[no-untyped-call]
        token=account.access_token or None,
        refresh_token=account.refresh_token,
        token_uri=settings.ADDRESSES["GOOGLE_TOKEN_URL"],
        client_id=settings.GOOGLE_CLIENT_ID,
        client_secret=settings.GOOGLE_CLIENT_SECRET,
        expiry=_naive(account.expires),
    )
    if not found.valid:
        _refresh(account, found)
    return found


def _refresh(account: YouTubeAccount, found: Credentials) -> None:
    try:
        with requests.Session() as session:
            found.refresh(partial(Request(session), timeout=SECONDS))  # type: ignore[no-untyped-call]
    except RefreshError as error:
        raise refused(account, error) from error
    except TransportError as error:
        raise Trouble(Kind.TRANSIENT, "Google's token service did not answer") from error
    account.access_token, account.expires, account.trouble = found.token, _aware(found.expiry), ""
    account.refresh_token = found.refresh_token or account.refresh_token
    account.save(update_fields=["access_token", "refresh_token", "expires", "trouble"])
    log.info("youtube_token_refreshed", channel=account.channel.slug)


def refused(account: YouTubeAccount, error: RefreshError) -> Trouble:
    """Google's no to a refresh; only one that is final asks for a person."""
    if error.retryable:
        return Trouble(Kind.TRANSIENT, f"Google's token service has trouble ({error.args[0]})"[:300])
    trouble = f"Google refused the stored consent of {account.channel}: reconnect its YouTube account ({error.args[0]})"
    YouTubeAccount.objects.filter(pk=account.pk).update(trouble=trouble[:300])
    return Trouble(Kind.PERMANENT, trouble[:300])


def _naive(moment: dt.datetime | None) -> dt.datetime | None:
    """google-auth keeps its expiry in UTC without saying so."""
    return moment.astimezone(dt.UTC).replace(tzinfo=None) if moment else None


def _aware(moment: dt.datetime | None) -> dt.datetime:
    return moment.replace(tzinfo=dt.UTC) if moment else timezone.now()
