"""The sandbox's vendors as the product's, and small local servers for what the sandbox never says."""

import threading  # noqa: TID251 - a server beside the test
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pytest_django import Settings

from sandbox.client import SandboxClient, board_properties
from tests.sandbox.conftest import KEY, Process

LABELS = [
    "Draft",
    "Queued",
    "Generating Assets",
    "Assets Ready",
    "Assets Approved",
    "Final Review",
    "Published",
    "Asset Error",
]


@pytest.fixture(scope="session")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    process = Process(tmp_path_factory.mktemp("sandbox"))
    yield process
    assert process.end() == 0


@pytest.fixture
def vendors(process: Process, settings: Settings) -> Iterator[SandboxClient]:
    """Every vendor is the sandbox; the books go on from test to test, the faults do not."""
    settings.ADDRESSES = {name: process.addresses.get(name, own) for name, own in settings.OWN_ADDRESSES.items()}
    settings.SLACK_WEBHOOK_URL = process.addresses["SLACK_WEBHOOK_URL"]
    for name in ("NOTION_API_KEY", "GEMINI_API_KEY", "KIE_API_KEY", "ELEVENLABS_API_KEY", "GOOGLE_CLIENT_ID"):
        setattr(settings, name, KEY)
    settings.GOOGLE_CLIENT_SECRET = KEY
    yield process.client
    process.client.clear_faults()


def make_board(vendors: SandboxClient, *channels: str) -> str:
    """The data source of a fresh board."""
    return vendors.create_database("Videos", board_properties(list(channels), LABELS, ["High", "Normal", "Low"]))[1]


@contextmanager
def answering(status: int = 200, body: bytes = b"", **headers: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that answers everything alike; yields its address and the requests it has met."""
    met: list[dict[str, Any]] = []

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            met.append({"path": self.path, "headers": dict(self.headers), "body": self.rfile.read(length)})
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), "Connection": "close", **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PATCH = do_PUT = do_POST

        def log_message(self, *args: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", met
    finally:
        server.shutdown()
        server.server_close()


def dead_address() -> str:
    """An address at which nobody listens."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return f"http://127.0.0.1:{server.server_port}"
