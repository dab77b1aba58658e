"""Google's OAuth token endpoint: refresh tokens in, short-lived access tokens out."""

import hashlib
import secrets
import time

from flask import Flask, request

from sandbox.books import Document
from sandbox.desk import Desk, Reply, Sandbox, VendorError, known_key

LIFETIME = 3599  # seconds of an access token
SCOPE = "https://www.googleapis.com/auth/youtube.upload https://www.googleapis.com/auth/youtube.force-ssl"


def app(sandbox: Sandbox) -> Flask:
    desk = Desk(sandbox, "google")

    @desk.counter("POST", "/token", "token")
    def token() -> Reply:
        client, refresh = request.form.get("client_id"), request.form.get("refresh_token")
        if request.form.get("grant_type") != "refresh_token":
            raise oauth_error(400, "unsupported_grant_type", "Invalid grant_type")
        if not known_key(client) or not known_key(request.form.get("client_secret")):
            raise oauth_error(401, "invalid_client", "The OAuth client was not found.")
        if not known_key(refresh) or _revoked(sandbox, str(refresh)):
            raise oauth_error(400, "invalid_grant", "Token has been expired or revoked.")
        return _granted(sandbox, str(refresh))

    @desk.counter("POST", "/revoke", "revoke")
    def revoke_token() -> Reply:
        revoke(sandbox, request.form.get("token", ""))
        return Reply(body={})

    return desk.app


def _granted(sandbox: Sandbox, refresh: str) -> Reply:
    access = f"sandbox-access-{secrets.token_urlsafe(24)}"
    account = channel_of(sandbox, refresh)
    sandbox.books.put("google-access", access, {"until": time.time() + LIFETIME, "refresh": refresh} | account)
    body = {"access_token": access, "expires_in": LIFETIME, "scope": SCOPE, "token_type": "Bearer"}
    return Reply(body=body, headers={"Cache-Control": "no-store"}, ref=account["channel_id"])


def channel_of(sandbox: Sandbox, refresh: str) -> Document:
    """The account behind a refresh token: one set over the control API, else one derived from the token."""
    known = sandbox.books.get("google-account", refresh)
    derived = f"UC{hashlib.sha256(refresh.encode()).hexdigest()[:22]}"
    return {"channel_id": derived, "title": "Sandbox channel"} | (known or {})


def account_of_access(sandbox: Sandbox, access: str | None) -> Document | None:
    """The account an access token opens, None where it is unknown, expired or its grant revoked."""
    kept = sandbox.books.get("google-access", access or "")
    if kept is None or kept["until"] < time.time() or _revoked(sandbox, kept["refresh"]):
        return None
    return kept


def set_account(sandbox: Sandbox, refresh: str, channel_id: str, title: str) -> None:
    sandbox.books.put("google-account", refresh, {"channel_id": channel_id, "title": title})


def revoke(sandbox: Sandbox, refresh: str) -> None:
    sandbox.books.put("google-revoked", refresh, {"at": time.time()})


def restore(sandbox: Sandbox, refresh: str) -> None:
    """The owner consents again."""
    sandbox.books.forget("google-revoked", refresh)


def _revoked(sandbox: Sandbox, refresh: str) -> bool:
    return sandbox.books.get("google-revoked", refresh) is not None


def oauth_error(status: int, code: str, message: str) -> VendorError:
    return VendorError(status, {"error": code, "error_description": message})
