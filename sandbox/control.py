"""The control API: read the books, plan trouble, set the pace, be the person in Notion. JSON on its own port."""

from dataclasses import asdict
from typing import Any

from flask import Flask, Response, jsonify, request

from sandbox import google, kie, notion_automations, notion_files, notion_hooks, notion_workspace, youtube
from sandbox.books import Document
from sandbox.desk import Sandbox, VendorError, json_object, to_response
from sandbox.faults import KINDS, read_fault
from sandbox.notion_hooks import PERSON

VENDORS = frozenset(
    {"notion", "gemini", "kie", "kie-upload", "catbox", "elevenlabs", "google", "youtube", "slack", "discord"}
)


def app(sandbox: Sandbox) -> Flask:
    control = Flask("sandbox.control", static_folder=None)
    control.json.sort_keys = False  # type: ignore[attr-defined]
    control.register_error_handler(VendorError, lambda error: to_response(error.reply))
    control.register_error_handler(ValueError, lambda error: (jsonify(error=str(error)), 400))
    control.register_error_handler(KeyError, lambda error: (jsonify(error=f"{error} is missing"), 400))
    _books(control, sandbox)
    _trouble(control, sandbox)
    _notion_hooks(control, sandbox)
    _notion_workspace(control, sandbox)
    _notion_person(control, sandbox)
    _accounts(control, sandbox)
    _consents(control, sandbox)
    return control


def _body() -> Document:
    body = json_object()
    if body is None:
        raise ValueError("a JSON object is expected")
    return body


def _books(control: Flask, sandbox: Sandbox) -> None:
    @control.get("/")
    def about() -> Response:
        return jsonify(addresses=sandbox.addresses, pace=asdict(sandbox.pace.now), faults=KINDS)

    @control.get("/books")
    def calls() -> Response:
        return jsonify(sandbox.books.calls(request.args.get("vendor", ""), request.args.get("operation", "")))

    @control.get("/books/summary")
    def summary() -> Response:
        lines = sandbox.books.summary()
        return jsonify(lines=lines, usd=round(sum(line["usd"] for line in lines), 6))


def _trouble(control: Flask, sandbox: Sandbox) -> None:
    @control.get("/faults")
    def planned() -> Response:
        return jsonify([asdict(fault) for fault in sandbox.faults.planned()])

    @control.post("/faults")
    def plan() -> Any:
        fault = read_fault(_body(), VENDORS)
        sandbox.faults.plan(fault)
        return jsonify(asdict(fault)), 201

    @control.delete("/faults")
    def clear() -> Any:
        sandbox.faults.clear()
        return "", 204

    @control.post("/limits")
    def limits() -> Any:
        sandbox.limits.switch(on=bool(_body()["on"]))
        return "", 204

    @control.post("/pace")
    def pace() -> Response:
        return jsonify(asdict(sandbox.pace.change(_body())))


def _notion_hooks(control: Flask, sandbox: Sandbox) -> None:
    @control.get("/notion/subscriptions")
    def subscriptions() -> Response:
        return jsonify(notion_hooks.subscriptions(sandbox))

    @control.post("/notion/subscriptions")
    def subscribe() -> Any:
        return jsonify(notion_hooks.subscribe(sandbox, str(_body()["url"]))), 201

    @control.post("/notion/subscriptions/verify")
    def verify() -> Any:
        kept = notion_hooks.verify(sandbox, str(_body()["token"]))
        return jsonify(kept) if kept else (jsonify(error="no subscription has this token"), 404)

    @control.delete("/notion/subscriptions")
    def unsubscribe() -> Any:
        notion_hooks.unsubscribe(sandbox)
        return "", 204

    @control.get("/notion/automations")
    def automations() -> Response:
        return jsonify(notion_automations.everything(sandbox))

    @control.post("/notion/automations")
    def automate() -> Any:
        body = _body()
        return jsonify(notion_automations.create(sandbox, str(body["url"]), dict(body["headers"]))), 201

    @control.delete("/notion/automations")
    def stop_automations() -> Any:
        notion_automations.forget(sandbox)
        return "", 204


def _notion_workspace(control: Flask, sandbox: Sandbox) -> None:
    @control.patch("/notion/data_sources/<key>")
    def edit_database(key: str) -> Any:
        source = notion_workspace.find_source(sandbox, key)
        edited = notion_workspace.edit_source(sandbox, source, _body()["properties"], by_person=True)
        return jsonify(notion_workspace.source_view(edited))

    @control.get("/notion/data_sources/<key>")
    def database(key: str) -> Any:
        return jsonify(notion_workspace.source_view(notion_workspace.find_source(sandbox, key)))

    @control.post("/notion/plan")
    def workspace_plan() -> Any:
        notion_files.set_plan(sandbox, paid=bool(_body()["paid"]))
        return "", 204


def _notion_person(control: Flask, sandbox: Sandbox) -> None:
    @control.post("/notion/databases")
    def create_database() -> Any:
        body = _body()
        title = [{"text": {"content": str(body.get("title", "Videos"))}}]
        database = notion_workspace.create_database(sandbox, title, body["properties"], by_person=True)
        return jsonify(database_id=database["id"], data_source_id=database["source"]), 201

    @control.get("/notion/pages")
    def pages() -> Response:
        found = notion_workspace.rows(sandbox, request.args["data_source_id"])
        return jsonify([notion_workspace.cells(sandbox, page) for page in found])

    @control.post("/notion/pages")
    def create() -> Any:
        body = _body()
        source = notion_workspace.find_source(sandbox, str(body["data_source_id"]))
        page = notion_workspace.create_page(
            sandbox, source, notion_workspace.typed(source, body["properties"]), author=PERSON
        )
        return jsonify(notion_workspace.cells(sandbox, page)), 201

    @control.get("/notion/pages/<key>")
    def read(key: str) -> Response:
        return jsonify(notion_workspace.cells(sandbox, notion_workspace.find_page(sandbox, key)))

    @control.patch("/notion/pages/<key>")
    def edit(key: str) -> Response:
        body = _body()
        page = notion_workspace.find_page(sandbox, key)
        source = notion_workspace.find_source(sandbox, page["data_source"])
        given = notion_workspace.typed(source, body.get("properties") or {})
        page = notion_workspace.edit_page(sandbox, page, given, author=PERSON, in_trash=body.get("in_trash"))
        return jsonify(notion_workspace.cells(sandbox, page))


def _accounts(control: Flask, sandbox: Sandbox) -> None:
    @control.get("/kie/jobs")
    def jobs() -> Response:
        return jsonify(kie.jobs(sandbox))

    @control.post("/kie/credits")
    def credit() -> Any:
        kie.set_credits(sandbox, float(_body()["left"]))
        return "", 204

    @control.post("/kie/webhook-key")
    def webhook_key() -> Any:
        kie.set_webhook_key(sandbox, str(_body()["key"]))
        return "", 204

    @control.get("/youtube/videos")
    def videos() -> Response:
        return jsonify(youtube.all_videos(sandbox))

    @control.post("/google/accounts")
    def account() -> Any:
        body = _body()
        google.set_account(sandbox, body["refresh_token"], body["channel_id"], body["title"])
        return "", 204


def _consents(control: Flask, sandbox: Sandbox) -> None:
    @control.post("/google/consent")
    def consent() -> Any:
        body = _body()
        google.set_consent(sandbox, str(body.get("refresh_token") or ""), list(body.get("scopes") or []))
        return "", 204

    @control.post("/google/revoke")
    def revoke() -> Any:
        google.revoke(sandbox, _body()["refresh_token"])
        return "", 204

    @control.post("/google/restore")
    def restore() -> Any:
        google.restore(sandbox, _body()["refresh_token"])
        return "", 204
