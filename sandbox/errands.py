"""Work that happens after the answer: renders, callbacks, webhook deliveries; in the books until it is done."""

import heapq
import logging
import threading  # noqa: TID251 - the sandbox serves from threads
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from sandbox.books import Books, Document

log = logging.getLogger(__name__)

Handler = Callable[[Document], float | None]
"""Takes the errand's payload, may change it; returns None when done, or seconds until it should run again."""


class Errands:
    """Due work, oldest first, run by small pools; a killed sandbox finds it again and runs it once more."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._handlers: dict[str, tuple[Handler, ThreadPoolExecutor]] = {}
        self._due: list[tuple[float, str]] = []
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._dispatch, name="errands", daemon=True)

    def register(self, kind: str, handler: Handler, workers: int) -> None:
        self._handlers[kind] = (handler, ThreadPoolExecutor(workers, thread_name_prefix=kind))

    def start(self) -> None:
        """Takes up what an earlier run left undone, then waits for more."""
        for errand in self._books.all("errand"):
            self._push(errand["due"], errand["id"])
        self._thread.start()

    def stop(self) -> None:
        with self._wake:
            self._stopping = True
            self._wake.notify()
        for _, pool in self._handlers.values():
            pool.shutdown(wait=False, cancel_futures=True)

    def add(self, kind: str, payload: Document, after: float = 0.0) -> None:
        """Runs `kind`'s handler on the payload in `after` seconds; on disk before this returns."""
        self._save(uuid.uuid4().hex, kind, payload, after)

    def _save(self, key: str, kind: str, payload: Document, after: float) -> None:
        due = time.time() + after
        self._books.put("errand", key, {"id": key, "kind": kind, "due": due, "payload": payload})
        self._push(due, key)

    def _push(self, due: float, key: str) -> None:
        with self._wake:
            heapq.heappush(self._due, (due, key))
            self._wake.notify()

    def _dispatch(self) -> None:
        while True:
            with self._wake:
                while not self._stopping and (not self._due or self._due[0][0] > time.time()):
                    self._wake.wait(self._due[0][0] - time.time() if self._due else None)
                if self._stopping:
                    return
                _, key = heapq.heappop(self._due)
            self._hand_out(key)

    def _hand_out(self, key: str) -> None:
        errand = self._books.get("errand", key)
        if errand is None:
            return
        handler, pool = self._handlers[errand["kind"]]
        if not self._stopping:
            pool.submit(self._run, errand, handler).add_done_callback(_report)

    def _run(self, errand: Document, handler: Handler) -> None:
        again = handler(errand["payload"])
        if self._stopping:
            return
        if again is None:
            self._books.forget("errand", errand["id"])
        else:
            self._save(errand["id"], errand["kind"], errand["payload"], again)


def _report(future: "Future[None]") -> None:
    if not future.cancelled() and (error := future.exception()):
        log.error("an errand failed and waits for the next start", exc_info=error)
