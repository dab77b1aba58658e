"""What every vendor's counter has in common: keys, planned faults, the books, and answers that get lost."""

import functools
import json
import math
import threading  # noqa: TID251 - the sandbox serves from threads
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import Flask, Response, g, request

from sandbox.books import Books, Call, digest
from sandbox.errands import Errands
from sandbox.faults import Fault, Faults
from sandbox.limits import Limits
from sandbox.pace import PaceKeeper
from sandbox.speech import Speaker

KEY_PREFIX = "sandbox-"
HANG_UP = "sandbox.hang_up"  # WSGI environ key of a function: the server closes the socket instead of answering
BODY_LIMIT = 64 * 1024 * 1024  # bytes of a JSON or form request; film uploads are streamed and not counted here
BEFORE = frozenset({"status", "drop", "quota", "delay", "lost_reply", "cut_reply", "status_after"})


@dataclass(frozen=True)
class Sandbox:
    """What the vendors share: one state folder, one set of books, one pace."""

    state: Path
    books: Books
    faults: Faults
    pace: PaceKeeper
    limits: Limits
    errands: Errands
    speaker: Speaker
    addresses: dict[str, str] = field(default_factory=dict)
    stopping: threading.Event = field(default_factory=threading.Event)

    def folder(self, name: str) -> Path:
        path = self.state / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def wait(self, seconds: float) -> None:
        """Lets the vendor's time pass; cut short when the sandbox stops."""
        if seconds > 0:
            self.stopping.wait(seconds)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer and what the books say about it; `body` is sent as JSON unless it is text or bytes."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    accepted: bool = True
    ref: str = ""
    usd: float = 0.0
    units: float = 0.0
    unit: str = ""
    text: str = ""
    note: str = ""


class VendorError(Exception):
    """A refusal in the vendor's own words: raised anywhere below a counter, booked as not accepted."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None, *, text: str = "") -> None:
        super().__init__(str(body))
        self.reply = Reply(body=body, status=status, headers=headers or {}, accepted=False, text=text)


View = Callable[..., Reply | Response]


class Desk:
    """A Flask app for one vendor, whose counters are booked and can be troubled.

    quota: the vendor's own over-quota answer; unknown: its own answer to an address that it does not have;
    cuts: whether a planned `cut` is met at any counter (else the vendor's module looks for it itself).
    """

    def __init__(
        self,
        sandbox: Sandbox,
        vendor: str,
        quota: "Callable[[Fault], VendorError] | None" = None,
        *,
        unknown: "Callable[[], VendorError] | None" = None,
        cuts: bool = True,
    ) -> None:
        self.sandbox = sandbox
        self.quota = quota or _plain_quota
        self.vendor = vendor
        self.app = Flask(f"sandbox.{vendor}", static_folder=None)
        self.app.json.sort_keys = False  # type: ignore[attr-defined]
        self.app.config["MAX_CONTENT_LENGTH"] = BODY_LIMIT
        self._before = BEFORE | {"cut"} if cuts else BEFORE
        if unknown:
            for status in (404, 405):
                self.app.register_error_handler(status, lambda _: to_response(unknown().reply))

    def counter(self, method: str, path: str, operation: str) -> Callable[[View], View]:
        """Registers a view as an operation of the vendor: `operation` is its name in the books and in faults."""

        def register(view: View) -> View:
            handler = functools.wraps(view)(functools.partial(self._serve, operation, view))
            self.app.add_url_rule(path, endpoint=f"{method} {path}", view_func=handler, methods=[method])
            return view

        return register

    def refused(self, text: str, operation: str) -> bool:
        """Whether a planned refusal is waiting for this text."""
        return self.fault(operation, text, "refuse") is not None

    def fault(self, operation: str, text: str, *kinds: str) -> Fault | None:
        return self.sandbox.faults.take(self.vendor, operation, text, frozenset(kinds))

    def _serve(self, operation: str, view: View, **path: Any) -> Response:
        fault = self.sandbox.faults.take(self.vendor, operation, request_text(), self._before) or self._over(operation)
        kind = fault.kind if fault else ""
        answer = (self._troubled(fault) if fault else None) or _answer(view, path)
        if kind in ("drop", "lost_reply", "cut"):
            request.environ[HANG_UP]()
        if isinstance(answer, Reply):
            answer = _answered_after(fault, answer) if fault and kind == "status_after" else answer
            self._book(operation, answer, kind or answer.note)
            answer = to_response(answer)
        return _broken_off(answer, fault.after_bytes) if fault and kind == "cut_reply" else answer

    def _over(self, operation: str) -> Fault | None:
        """The quota fault of a call that comes too soon."""
        wait = self.sandbox.limits.wait_for(self.vendor, operation)
        return Fault(vendor=self.vendor, kind="quota", seconds=math.ceil(wait)) if wait else None

    def _troubled(self, fault: Fault) -> Reply | None:
        """The answer in place of the counter's own; None where that one is given all the same."""
        if fault.kind == "delay":
            self.sandbox.wait(fault.seconds)
        if fault.kind == "quota":
            return self.quota(fault).reply
        if fault.kind == "cut":
            request.stream.read(fault.after_bytes)
        if fault.kind in ("status", "drop", "cut"):
            return Reply(body=fault.body, status=fault.status, headers=fault.headers, accepted=False)
        return None

    def _book(self, operation: str, reply: Reply, fault: str) -> None:
        self.sandbox.books.record(
            Call(
                vendor=self.vendor,
                operation=operation,
                status=reply.status,
                accepted=reply.accepted,
                ref=reply.ref,
                usd=reply.usd,
                units=reply.units,
                unit=reply.unit,
                text=reply.text,
                digest=g.get("digest", ""),
                fault=fault,
            )
        )


def _answer(view: View, path: dict[str, Any]) -> Reply | Response:
    try:
        return view(**path)
    except VendorError as error:
        return error.reply


def _plain_quota(fault: Fault) -> VendorError:
    return VendorError(429, "Too Many Requests", {"Retry-After": str(round(fault.seconds))})


def _answered_after(fault: Fault, done: Reply) -> Reply:
    """The planned answer to what has been done all the same; `$ref` in its body is the id of that."""
    body = json.loads(json.dumps(fault.body).replace("$ref", done.ref))
    return replace(done, status=fault.status, body=body, headers=fault.headers)


def _broken_off(whole: Response, after_bytes: int) -> Response:
    """As many bytes as that of an answer which promises all of them, then the end of the connection."""
    whole.direct_passthrough = False  # a file, too, is read
    data = whole.get_data()
    headers = dict(whole.headers) | {"Content-Length": str(len(data)), "Connection": "close"}
    return Response(iter([data[:after_bytes]]), whole.status_code, headers)  # of a list werkzeug would count anew


def to_response(reply: Reply) -> Response:
    if isinstance(reply.body, bytes | str):
        return Response(reply.body, reply.status, reply.headers)
    return Response(json.dumps(reply.body), reply.status, {"Content-Type": "application/json"} | reply.headers)


def request_text() -> str:
    """The body as text for matching faults and for the digest; other than JSON and forms (films) it is left unread."""
    if not (request.content_type or "").startswith(("application/json", "application/x-www-form")):
        return ""
    data = request.get_data()
    g.digest = digest(request.full_path.encode() + data)
    return "\n".join(strings_in(json_or_none(data))) or data[:10_000].decode(errors="replace")


def strings_in(value: Any) -> Iterator[str]:
    """Every string in a JSON value up to 50,000 characters: longer ones are media."""
    if isinstance(value, str) and len(value) < 50_000:
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from strings_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings_in(each)


def json_or_none(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None


def json_object() -> dict[str, Any] | None:
    """The request's JSON object, or None where it is none."""
    body = json_or_none(request.get_data())
    return body if isinstance(body, dict) else None


def known_key(key: str | None) -> bool:
    return bool(key) and str(key).startswith(KEY_PREFIX)


def bearer() -> str | None:
    """The token of an Authorization header, or None."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def iso(seconds: float | None = None, *, timespec: str = "milliseconds") -> str:
    """UTC time as vendors write it: 2026-11-22T22:04:00.000Z."""
    moment = datetime.fromtimestamp(time.time() if seconds is None else seconds, UTC)
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")
