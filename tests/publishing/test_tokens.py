"""Access tokens: refreshed and saved, never overwritten by blanks, and honest when the consent is gone."""

import datetime as dt

import pytest
from django.core.checks import run_checks
from django.utils import timezone
from pytest_django import Settings

from production.errors import Kind, Trouble
from publishing import jobs, tokens
from publishing.models import YouTubeAccount
from tests.vendor import answering

pytestmark = pytest.mark.django_db


def test_credentials_are_refreshed_saved_and_used_again(vendors, account):
    before = len(vendors.calls("google", "token"))
    first = tokens.credentials(account)
    stored = YouTubeAccount.objects.get()
    assert first.token == stored.access_token
    assert stored.access_token.startswith("sandbox-access-")
    assert timezone.now() < stored.expires <= timezone.now() + dt.timedelta(hours=1)
    assert stored.refresh_token == account.refresh_token
    assert tokens.credentials(stored).token == first.token
    assert len(vendors.calls("google", "token")) == before + 1


def test_credentials_that_have_expired_are_refreshed(vendors, account):
    first = tokens.credentials(account).token
    YouTubeAccount.objects.update(expires=timezone.now() - dt.timedelta(seconds=1), trouble="old")
    stored = YouTubeAccount.objects.get()
    assert tokens.credentials(stored).token != first
    assert YouTubeAccount.objects.get().trouble == ""


def test_credentials_of_a_revoked_consent_say_reconnect(vendors, account):
    vendors.revoke(account.refresh_token)
    with pytest.raises(Trouble, match=f"consent of {account.channel}: reconnect") as trouble:
        tokens.credentials(account)
    assert trouble.value.kind == Kind.PERMANENT
    stored = YouTubeAccount.objects.get()
    assert "reconnect" in stored.trouble
    assert (stored.refresh_token, stored.access_token) == (account.refresh_token, "")


def test_upload_with_a_consent_revoked_in_between_says_reconnect(vendors, account, take):
    """The stored access token still looks good; YouTube says 401, and the refresh says that the consent is gone."""
    tokens.credentials(account)
    vendors.revoke(account.refresh_token)
    with pytest.raises(Trouble, match="reconnect") as trouble:
        jobs.upload(take, lambda: None)
    assert trouble.value.kind == Kind.PERMANENT
    assert "reconnect" in YouTubeAccount.objects.get().trouble


def test_credentials_where_google_is_down(account, settings: Settings, dead_address: str):
    settings.ADDRESSES = settings.ADDRESSES | {"GOOGLE_TOKEN_URL": dead_address}
    with pytest.raises(Trouble, match="did not answer") as trouble:
        tokens.credentials(account)
    assert trouble.value.kind == Kind.TRANSIENT
    assert YouTubeAccount.objects.get().trouble == ""


def test_credentials_where_google_is_broken_ask_nobody_to_reconnect(account, settings: Settings, monkeypatch):
    monkeypatch.setattr("google.auth._exponential_backoff.time.sleep", lambda seconds: None)
    with answering(503, b'{"error": "backend_error"}', Content_Type="application/json") as (address, _):
        settings.ADDRESSES = settings.ADDRESSES | {"GOOGLE_TOKEN_URL": address}
        with pytest.raises(Trouble) as trouble:
            tokens.credentials(account)
    assert trouble.value.kind == Kind.TRANSIENT
    assert YouTubeAccount.objects.get().trouble == ""


def test_account_names_its_channel(account):
    assert str(account) == f"{account.channel} on YouTube"


def test_check_google_client(settings: Settings):
    settings.GOOGLE_CLIENT_ID = settings.GOOGLE_CLIENT_SECRET = ""
    found = [message.msg for message in run_checks() if message.id == "publishing.W001"]
    assert found == ["GOOGLE_CLIENT_ID is empty.", "GOOGLE_CLIENT_SECRET is empty."]
    settings.ADDRESSES = settings.ADDRESSES | {"YOUTUBE_BASE_URL": "http://127.0.0.1:1"}
    assert not [message for message in run_checks() if message.id == "publishing.W001"]
