"""How much the vendors take in a span of time. Off but at the pace `real`: a quick rehearsal puts a day in seconds."""

import threading  # noqa: TID251 - the sandbox serves from threads
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.books import Books

ANY = ""
# (vendor, operation or ANY) -> (calls, seconds): more within the span are refused.
WINDOWS = {
    ("kie", "createTask"): (20, 10.0),
    ("kie", "recordInfo"): (10, 1.0),
    ("notion", ANY): (180, 60.0),  # plans below Business
    ("slack", "message"): (1, 1.0),
    ("discord", "message"): (5, 2.0),
}


class Limits:
    """Sliding windows and calls in flight, in memory; whether they hold is in the books, so a restart keeps it."""

    def __init__(self, books: Books, *, start: bool) -> None:
        self._books = books
        self._lock = threading.Lock()
        self._seen: defaultdict[tuple[str, str], deque[float]] = defaultdict(deque)
        self._busy: defaultdict[str, int] = defaultdict(int)
        kept = books.get("limits", "now")
        self.on: bool = kept["on"] if kept else start

    def switch(self, *, on: bool) -> None:
        with self._lock:
            self.on = on
            self._seen.clear()
        self._books.put("limits", "now", {"on": on})

    def wait_for(self, vendor: str, operation: str) -> float:
        """Seconds until such a call would be taken again; 0: it is taken now, and counted."""
        if not self.on:
            return 0.0
        windows = [key for key in ((vendor, operation), (vendor, ANY)) if key in WINDOWS]
        with self._lock:
            wait = max((self._left(key) for key in windows), default=0.0)
            for key in windows if not wait else ():
                self._seen[key].append(time.monotonic())
        return wait

    def _left(self, key: tuple[str, str]) -> float:
        calls, span = WINDOWS[key]
        seen, now = self._seen[key], time.monotonic()
        while seen and seen[0] <= now - span:
            seen.popleft()
        return 0.0 if len(seen) < calls else seen[0] + span - now

    @contextmanager
    def in_flight(self, vendor: str) -> Iterator[int]:
        """How many calls the vendor works on now, this one among them."""
        with self._lock:
            self._busy[vendor] += 1
            busy = self._busy[vendor]
        try:
            yield busy
        finally:
            with self._lock:
                self._busy[vendor] -= 1
