"""Slack: an incoming webhook; its answers are plain text."""

from flask import Flask

from sandbox.desk import Desk, Reply, Sandbox, VendorError, json_object

MAX_BLOCKS = 50


def app(sandbox: Sandbox) -> Flask:
    desk = Desk(sandbox, "slack")

    @desk.counter("POST", "/services/<team>/<bot>/<hook>", "message")
    def message(team: str, bot: str, hook: str) -> Reply:
        if not hook.startswith("sandbox-"):
            raise VendorError(404, "no_service")
        body = json_object()
        if body is None:
            raise VendorError(400, "invalid_payload")
        text = body.get("text") or ""
        if not text and not body.get("blocks"):
            raise VendorError(400, "no_text")
        if len(body.get("blocks") or []) > MAX_BLOCKS:
            raise VendorError(400, "invalid_blocks")
        return Reply(body="ok", ref=f"{team}/{bot}", text=str(text or body["blocks"]))

    return desk.app
