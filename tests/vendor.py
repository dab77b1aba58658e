"""A vendor whose every word a test dictates: real HTTP on loopback, one answer after the other, all requests kept."""

import json
import threading  # noqa: TID251 - the server answers while the test waits for a script
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


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
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self):
        return json.loads(self.body)


class Vendor:
    """Answers by the start of the path; the last answer of a path is repeated."""

    def __init__(self):
        self.answers: dict[str, list[Answer]] = {}
        self.calls: list[Call] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def say(self, path, body=b"", status=200, headers=None, **manner):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers.setdefault(path, []).append(Answer(status, content, headers or {}, **manner))

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _next(self, path):
        queue = next(queue for start, queue in self.answers.items() if path.startswith(start))
        return queue.pop(0) if len(queue) > 1 else queue[0]

    def _handler(self):
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers.get("Content-Length", 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                vendor.calls.append(Call(self.command, self.path, headers, self.rfile.read(length)))
                self.answer(vendor._next(self.path))

            do_GET = do_POST

            def answer(self, answer):
                time.sleep(answer.delay)
                if answer.lost:
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body) + (1000 if answer.cut else 0)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_):
                pass

        return Handler
