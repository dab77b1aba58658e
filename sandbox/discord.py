"""Discord: a webhook; 204 without a body, errors as JSON."""

from flask import Flask

from sandbox.desk import Desk, Reply, Sandbox, VendorError, json_object

MOST = 2000  # characters of a message


def app(sandbox: Sandbox) -> Flask:
    desk = Desk(sandbox, "discord")

    @desk.counter("POST", "/api/webhooks/<hook>/<token>", "message")
    def message(hook: str, token: str) -> Reply:
        if not token.startswith("sandbox-"):
            raise VendorError(404, {"message": "Unknown Webhook", "code": 10015})
        body = json_object()
        content = (body or {}).get("content") or ""
        if not content or len(content) > MOST:
            raise VendorError(400, {"message": "Invalid Form Body", "code": 50035})
        return Reply(status=204, body="", ref=hook, text=str(content))

    return desk.app
