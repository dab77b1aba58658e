"""Google's OAuth: a consent that is given at once, codes with PKCE, refresh tokens, short-lived access tokens."""

import base64
import hashlib
import secrets
import time
from urllib.parse import urlencode

from flask import Flask, request

from sandbox.books import Document
from sandbox.desk import Desk, Reply, Sandbox, VendorError, known_key

LIFETIME = 3599  # seconds of an access token
CODE_LIFE = 600  # seconds from the consent to its exchange
SCOPE = "https://www.googleapis.com/auth/youtube.upload https://www.googleapis.com/auth/youtube.force-ssl"


def app(sandbox: Sandbox) -> Flask:
    desk = Desk(sandbox, "google")

    @desk.counter("GET", "/o/oauth2/v2/auth", "consent")
    def consent() -> Reply:
        return _consent(desk)

    @desk.counter("POST", "/token", "token")
    def token() -> Reply:
        client, secret = _client()
        refresh = request.form.get("refresh_token")
        if request.form.get("grant_type") not in ("refresh_token", "authorization_code"):
            raise oauth_error(400, "unsupported_grant_type", "Invalid grant_type")
        if not known_key(client) or not known_key(secret):
            raise oauth_error(401, "invalid_client", "The OAuth client was not found.")
        if request.form["grant_type"] == "authorization_code":
            return _exchanged(sandbox)
        if not known_key(refresh) or _revoked(sandbox, str(refresh)):
            raise oauth_error(400, "invalid_grant", "Token has been expired or revoked.")
        return _granted(sandbox, str(refresh))

    @desk.counter("POST", "/revoke", "revoke")
    def revoke_token() -> Reply:
        revoke(sandbox, request.form.get("token", ""))
        return Reply(body={})

    return desk.app


def _client() -> tuple[str | None, str | None]:
    """Id and secret, out of the form or, as OAuth's own clients send them, out of the header."""
    basic, form = request.authorization, request.form
    if basic and "client_id" not in form:
        return basic.get("username"), basic.get("password")
    return form.get("client_id"), form.get("client_secret")


def _consent(desk: Desk) -> Reply:
    """Back to the caller's address with a code, as if the owner had said yes; a planned refusal is their no."""
    asked, sandbox = request.args, desk.sandbox
    if not known_key(asked.get("client_id")) or not asked.get("redirect_uri") or asked.get("response_type") != "code":
        raise VendorError(400, "Access blocked: the request is invalid (Error 400: invalid_request)")
    state = {"state": asked["state"]} if "state" in asked else {}
    if desk.refused("", "consent"):
        return _sent_back(asked["redirect_uri"], {"error": "access_denied"} | state)
    will = sandbox.books.get("google", "consent") or {}
    scope = " ".join(each for each in asked.get("scope", "").split() if each in (will.get("scopes") or [each]))
    code = f"4/{secrets.token_urlsafe(24)}"
    kept = {"code": code, "until": time.time() + CODE_LIFE, "scope": scope, "redirect_uri": asked["redirect_uri"]}
    kept |= {"challenge": asked.get("code_challenge", ""), "offline": asked.get("access_type") == "offline"}
    kept["refresh"] = will.get("refresh_token") or f"sandbox-refresh-{secrets.token_urlsafe(12)}"
    sandbox.books.put("google-code", code, kept)
    return _sent_back(asked["redirect_uri"], {"code": code, "scope": scope} | state)


def _sent_back(address: str, answer: dict[str, str]) -> Reply:
    mark = "&" if "?" in address else "?"
    return Reply(body="", status=302, headers={"Location": f"{address}{mark}{urlencode(answer)}"})


def _exchanged(sandbox: Sandbox) -> Reply:
    """Tokens for a code: once, for the address that asked, with the verifier of its challenge."""
    kept = sandbox.books.get("google-code", request.form.get("code", ""))
    if kept is None or kept["until"] < time.time():
        raise oauth_error(400, "invalid_grant", "Malformed auth code.")
    sandbox.books.forget("google-code", kept["code"])
    if request.form.get("redirect_uri") != kept["redirect_uri"]:
        raise oauth_error(400, "redirect_uri_mismatch", "Bad Request")
    digest = hashlib.sha256(request.form.get("code_verifier", "").encode()).digest()
    if kept["challenge"] not in ("", base64.urlsafe_b64encode(digest).rstrip(b"=").decode()):
        raise oauth_error(400, "invalid_grant", "Invalid code verifier.")
    restore(sandbox, kept["refresh"])
    return _granted(sandbox, kept["refresh"], scope=kept["scope"], offline=kept["offline"])


def set_consent(sandbox: Sandbox, refresh: str, scopes: list[str]) -> None:
    """What the next owners who are asked give: this refresh token ("": a new one), these scopes ([]: all asked for)."""
    sandbox.books.put("google", "consent", {"refresh_token": refresh, "scopes": scopes})


def _granted(sandbox: Sandbox, refresh: str, *, scope: str = SCOPE, offline: bool = False) -> Reply:
    access = f"sandbox-access-{secrets.token_urlsafe(24)}"
    account = channel_of(sandbox, refresh)
    sandbox.books.put("google-access", access, {"until": time.time() + LIFETIME, "refresh": refresh} | account)
    body = {"access_token": access, "expires_in": LIFETIME, "scope": scope, "token_type": "Bearer"}
    if offline:
        body["refresh_token"] = refresh
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
