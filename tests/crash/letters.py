"""Where the vendors post to: webhooks and callbacks lie here until the act in which the web server takes them."""

import json
import threading  # noqa: TID251 - vendors post while the conductor waits
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class LetterBox:
    """Answers every post with 200 and keeps it as a file; `at_once` is called before the answer."""

    def __init__(self, folder: Path) -> None:
        self.folder = _place(folder)
        self.folder.mkdir()
        self.at_once: Callable[[], object] = lambda: None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        box = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name: value for name, value in self.headers.items() if name.startswith("X-")}
                _keep(box.folder / f"{time.time_ns()}.letter", self.path, headers, body)
                box.at_once()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        return Handler


def waiting(folder: Path) -> list[Path]:
    """What has been posted to the stage of this folder and nobody has taken in yet, oldest first."""
    return sorted(_place(folder).glob("*.letter"))


def read(letter: Path) -> tuple[str, dict[str, str], bytes]:
    """Where it was posted to, its headers of the vendor's own, its body."""
    head, body = letter.read_bytes().split(b"\n", 1)
    path, headers = json.loads(head)
    return path, headers, body


def _keep(letter: Path, path: str, headers: dict[str, str], body: bytes) -> None:
    """Whole or not at all."""
    part = letter.with_suffix(".part")
    part.write_bytes(json.dumps([path, headers]).encode() + b"\n" + body)
    part.replace(letter)


def _place(folder: Path) -> Path:
    """Among the files that are kept and brought back with everything else."""
    return folder / "world/letters"
