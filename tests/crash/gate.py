"""Where every commit and every vendor call passes: counted in one run, held in another until the caller is dead."""

import threading  # noqa: TID251 - database and vendors are served from threads while the conductor waits
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from sandbox.desk import HANG_UP

BEFORE, AFTER = "before", "after"
AMONG_VENDORS = {("sandbox.kie-upload", "GET")}  # KIE fetches its seed images
LIMIT = 60.0  # seconds for which a passage is held at most


@dataclass(frozen=True)
class Passage:
    """The nth passage of this name since the act began."""

    what: str
    nth: int


@dataclass
class Gate:
    """One act at a time: `listen`, then either the list of its passages, or one of them is held."""

    passed: dict[Passage, bool] = field(default_factory=dict)  # and whether scripts were at work meanwhile
    scripts: Callable[[], list[int]] = list
    held: threading.Event = field(default_factory=threading.Event)
    _seen: Counter[str] = field(default_factory=Counter)
    _stop: tuple[Passage, str] | None = None
    _released: threading.Event = field(default_factory=threading.Event)
    _goes_on: bool = True
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def listen(self, stop: tuple[Passage, str] | None = None) -> None:
        """An act begins. `stop`: the passage to hold, BEFORE it is let in or AFTER, with its answer still here."""
        self.passed, self._seen, self._stop = {}, Counter(), stop
        self.held.clear()
        self._released.clear()

    def release(self, *, goes_on: bool) -> None:
        """The kill is done. A caller that outlived it `goes_on`; else the line is dropped."""
        self._goes_on, self._stop = goes_on, None
        self._released.set()

    def enter(self, what: str) -> Passage | None:
        """None: the line is to be dropped, nothing has happened."""
        with self._lock:
            self._seen[what] += 1
            passage = Passage(what, self._seen[what])
        return passage if self._wait(passage, BEFORE) else None

    def leave(self, passage: Passage, *, changed: bool) -> bool:
        """It has happened; what `changed` nothing is no point to crash at. False: the answer is to be dropped."""
        if changed:
            self.passed[passage] = bool(self.scripts())
        return self._wait(passage, AFTER)

    def _wait(self, passage: Passage, when: str) -> bool:
        if self._stop != (passage, when):
            return True
        self.held.set()
        self._released.wait(LIMIT)
        return self._goes_on

    def around(self, app: WSGIApplication) -> WSGIApplication:
        """A vendor whose every call passes here."""
        name = getattr(app, "name", "vendor")

        def passing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if (name, environ["REQUEST_METHOD"]) in AMONG_VENDORS:
                return app(environ, start_response)
            passage = self.enter(f"{environ['REQUEST_METHOD']} {name}{_route(environ['PATH_INFO'])}")
            answer: Iterable[bytes] = list(app(environ, start_response)) if passage else []
            if passage is None or not self.leave(passage, changed=True):
                environ[HANG_UP]()
                if passage is None:
                    start_response("503 Service Unavailable", [])
            return answer

        return passing


def _route(path: str) -> str:
    """The path without what differs from run to run: parts with digits in them are ids, but for versions."""
    parts = path.split("/")
    return "/".join("…" if len(part) > 3 and any(c.isdigit() for c in part) else part for part in parts)
