"""A vendor whose every word a test dictates: real HTTP on loopback, one answer after the other, all requests kept."""

import json
import threading  # noqa: TID251 - the server answers while the test waits
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Answer:
    """What to say. lost: take the request, close without a word; cut: promise more bytes than are sent."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    lost: bool = False
    cut: bool = False
    delay: float = 0.0


@dataclass
class Call:
    """A request; the names of its headers are in small letters."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Vendor:
    """Answers by the start of the path; the last answer of a path is repeated."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.calls: list[Call] = []
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def say(
        self, path: str, body: object = b"", status: int = 200, headers: dict[str, str] | None = None, **manner: Any
    ) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers.setdefault(path, []).append(Answer(status, content, headers or {}, **manner))

    def answer_with(self, *statuses: int) -> None:
        """From now on an empty body with these statuses, whatever the path."""
        self.answers = {"/": [Answer(status) for status in statuses]}

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _next(self, path: str) -> Answer:
        queue = next(queue for start, queue in self.answers.items() if path.startswith(start))
        return queue.pop(0) if len(queue) > 1 else queue[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                vendor.calls.append(Call(self.command, self.path, headers, self.rfile.read(length)))
                self.answer(vendor._next(self.path))

            do_GET = do_PATCH = do_PUT = do_DELETE = do_POST

            def answer(self, answer: Answer) -> None:
                vendor._closing.wait(answer.delay)
                if not answer.lost:
                    with suppress(BrokenPipeError, ConnectionResetError):  # the caller did not wait so long
                        self.write(answer)

            def write(self, answer: Answer) -> None:
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body) + (1000 if answer.cut else 0)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        return Handler


@contextmanager
def listening(*statuses: int) -> Iterator[Vendor]:
    """A vendor that answers with these statuses, the last again and again; without any with 200."""
    with closing(Vendor()) as vendor:
        vendor.answer_with(*statuses or (200,))
        yield vendor


@contextmanager
def answering(status: int = 200, body: bytes = b"", **headers: str) -> Iterator[tuple[str, list[Call]]]:
    """A vendor that answers everything alike; yields its address and the calls it has met."""
    with closing(Vendor()) as vendor:
        vendor.say("/", body, status, {name.replace("_", "-"): value for name, value in headers.items()})
        yield vendor.url, vendor.calls
