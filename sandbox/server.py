"""One process, one port a vendor: HTTP/1.1 on loopback with connections kept open."""

import json
import os
import socket
import threading  # noqa: TID251 - the sandbox serves from threads
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from wsgiref.types import WSGIApplication

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.test import run_wsgi_app
from werkzeug.wsgi import LimitedStream

from sandbox import catbox, control, discord, elevenlabs, gemini, google, kie, notion, slack, youtube
from sandbox.books import Books
from sandbox.desk import HANG_UP, Sandbox
from sandbox.errands import Errands
from sandbox.faults import Faults
from sandbox.limits import Limits
from sandbox.pace import PaceKeeper
from sandbox.speech import Speaker

HOST = "127.0.0.1"
Wrap = Callable[[WSGIApplication], WSGIApplication]
LINGER = 1.0  # seconds a client may go on sending after its answer
# Environment name -> (maker of the app, what follows the port in its address)
VENDORS = {
    "NOTION_BASE_URL": (notion.app, ""),
    "GEMINI_BASE_URL": (gemini.app, ""),
    "KIE_BASE_URL": (kie.app, ""),
    "KIE_UPLOAD_URL": (kie.upload_app, ""),
    "CATBOX_URL": (catbox.app, "/user/api.php"),
    "ELEVENLABS_BASE_URL": (elevenlabs.app, ""),
    "GOOGLE_TOKEN_URL": (google.app, "/token"),
    "YOUTUBE_BASE_URL": (youtube.app, "/"),
    "SLACK_WEBHOOK_URL": (slack.app, "/services/T0SANDBOX/B0SANDBOX/sandbox-hook"),
    "DISCORD_WEBHOOK_URL": (discord.app, "/api/webhooks/1/sandbox-hook"),
    "SANDBOX_CONTROL_URL": (control.app, ""),
}


class PortBusyError(Exception):
    """Another program took the port this sandbox had before."""


class Handler(WSGIRequestHandler):
    """werkzeug's handler, but with keep-alive, and able to hang up without an answer.

    werkzeug closes every connection because it does not know where a body ends. Here a connection is kept when its
    body was read to the end; else the answer goes out first, and what is still coming is read away for a moment,
    because closing on unread bytes would reset the connection under the answer.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: without this a kept connection waits 40 ms
    timeout = 60  # seconds an idle connection may hold its thread

    def run_wsgi(self) -> None:
        if self.headers.get("Expect", "").lower().strip() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        environ = self.make_environ()
        body = LimitedStream(environ["wsgi.input"], int(environ.get("CONTENT_LENGTH") or 0))
        chunked = environ.get("wsgi.input_terminated")
        if not chunked:
            environ |= {"wsgi.input": body, "wsgi.input_terminated": True}
        hung_up = threading.Event()
        environ[HANG_UP] = hung_up.set
        chunks, status, headers = run_wsgi_app(self.server.app, environ)
        try:
            self.close_connection |= hung_up.is_set() or bool(chunked) or not body.is_exhausted
            if not hung_up.is_set():
                self._send(status, list(headers), chunks)
            if not body.is_exhausted:
                self._drain(hung_up)
        except OSError:
            self.close_connection = True
        finally:
            if hasattr(chunks, "close"):
                chunks.close()

    def _send(self, status: str, headers: list[tuple[str, str]], chunks: Iterable[bytes]) -> None:
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            self.send_header(name, value)
        bodiless = code in ("204", "304")
        self.close_connection |= "content-length" not in {name.lower() for name, _ in headers} and not bodiless
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        for chunk in chunks if self.command != "HEAD" else ():
            self.wfile.write(chunk)

    def _drain(self, hung_up: threading.Event) -> None:
        if not hung_up.is_set():
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(LINGER)
            while self.connection.recv(65536):
                pass

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Says nothing: the books hold every call."""

    def log_error(self, *_: Any) -> None:
        """Says nothing: what arrives here is an idle connection that ran into `timeout`."""


class Server:
    """All vendors of one state folder: start, addresses, stop."""

    def __init__(self, state: Path, pace: str = "fast", around: Wrap = lambda app: app) -> None:
        state.mkdir(parents=True, exist_ok=True)
        books = Books(state / "books.sqlite3")
        self.sandbox = Sandbox(
            state=state.resolve(),
            books=books,
            faults=Faults(books),
            pace=PaceKeeper(books, pace),
            limits=Limits(books, start=pace == "real"),
            errands=Errands(books),
            speaker=Speaker(),
        )
        self._around = around  # what each vendor's calls pass through
        self._servers: list[BaseWSGIServer] = []

    def start(self) -> dict[str, str]:
        """Listens on every port, then writes addresses.json; raises PortBusyError."""
        file = self.sandbox.state / "addresses.json"
        before: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        for name, (make_app, suffix) in VENDORS.items():
            app = make_app(self.sandbox)
            served = app if make_app is control.app else self._around(app)
            server = _listen(served, urlsplit(before.get(name, "")).port or 0, name=app.name)
            self._servers.append(server)
            self.sandbox.addresses[name] = f"http://{HOST}:{server.socket.getsockname()[1]}{suffix}"
        for server in self._servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        self.sandbox.errands.start()
        part = file.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(self.sandbox.addresses, indent=2) + "\n")
        part.replace(file)
        return self.sandbox.addresses

    def stop(self) -> None:
        """Answers no more; unfinished errands stay in the books for the next start."""
        self.sandbox.stopping.set()
        self.sandbox.errands.stop()
        with ThreadPoolExecutor(len(VENDORS)) as pool:  # each takes up to half a second
            list(pool.map(BaseWSGIServer.shutdown, self._servers))
        for server in self._servers:
            server.server_close()
        self.sandbox.speaker.close()


def _listen(app: WSGIApplication, port: int, *, name: str) -> BaseWSGIServer:
    try:
        listener = socket.create_server((HOST, port), backlog=128)
    except OSError as error:
        raise PortBusyError(f"port {port} of {name} is taken: end that program or use another --state") from error
    with listener:  # the server holds a duplicate
        return make_server(HOST, port, app, threaded=True, request_handler=Handler, fd=listener.fileno())
