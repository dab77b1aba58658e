"""HTTP within bounds of size and time, and what a failed exchange means for the money.

A paid request is sent once: no transport retry, no redirect. If it may have arrived and no whole reply came back, its
outcome is ``unknown``. Free requests are tried three times.
"""

import ipaddress
import json
import math
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import requests
import urllib3.exceptions
from contract import Failure, Kind, emit
from environment import is_web_address
from requests.adapters import HTTPAdapter

CONNECT_SECONDS = 10
CHUNK = 1 << 16
MEGABYTE = 1 << 20
PAUSES = (0.5, 2.0)
USER_AGENT = "content-operations/1.0"

# A gateway that gave up on its upstream (502, 504; Cloudflare 520, 524) or on us (408) can't say if the work was done.
REPLY_LOST = frozenset({408, 502, 504, 520, 524})
TRY_LATER = frozenset({425, 429, 500, 503, 521, 522, 523, 529})


Files = dict[str, tuple[str, bytes]]


@dataclass(frozen=True)
class Reply:
    """A whole reply. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> float | None:
        """Seconds from the Retry-After header; its date form is ignored."""
        return amount(self.headers.get("retry-after"))

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; an empty one if it is anything else."""
        return mapping(parsed(self.body))


def mapping(value: object) -> dict[str, Any]:
    """The value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """The value if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def parsed(text: bytes | str) -> object:
    """What the JSON says; None if it is none, or nested deeper than anybody means."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def amount(value: object) -> float | None:
    """A number of zero or more, also out of a string; None for anything else, so also for NaN and the infinite."""
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else -1.0
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number < math.inf else None


def paid_post(url: str, *, service: str, headers: dict[str, str], payload: object, seconds: float, limit: int) -> Reply:
    """Send a request that costs money, once, saying so first.

    seconds: patience for the reply; limit: bytes of its body. Raises ``transient`` when no connection was made,
    ``unknown`` when the request may have arrived and the reply did not come, or came from a gateway that lost it.
    """
    emit("sending")
    try:
        reply = _exchange("POST", url, seconds=seconds, limit=limit, headers=headers, json=payload)
    except requests.RequestException as error:
        kind: Kind = "transient" if _never_arrived(error) else "unknown"
        raise Failure(kind, f"{service}: {_in_words(error)}") from None
    if reply.status in REPLY_LOST:
        raise Failure("unknown", f"{service}: a gateway lost the reply (HTTP {reply.status})")
    return reply


def free_get(url: str, *, service: str, headers: dict[str, str], params: dict[str, str], seconds: float) -> Reply:
    """Ask for something that costs nothing, up to three times."""
    return _free(
        service, lambda: _exchange("GET", url, seconds=seconds, limit=4 * MEGABYTE, headers=headers, params=params)
    )


def free_upload(
    url: str, *, service: str, headers: dict[str, str], form: dict[str, str], files: Files, seconds: float
) -> Reply:
    """Upload files as a multipart form where that costs nothing. files: field to (name, content)."""
    return _free(
        service,
        lambda: _exchange("POST", url, seconds=seconds, limit=MEGABYTE, headers=headers, data=form, files=files),
    )


def free_put(url: str, *, service: str, headers: dict[str, str], content: bytes, seconds: float) -> Reply:
    """Put the content at an address where that costs nothing and may be repeated."""
    return _free(service, lambda: _exchange("PUT", url, seconds=seconds, limit=MEGABYTE, headers=headers, data=content))


def download(url: object, target: Path, *, service: str, home: str, seconds: float, limit: int) -> None:
    """Fetch a result into the file, from its start at each of three tries. Only http(s) addresses are followed, and
    none, nor a redirect, that leads to a private network: whoever answers for the service could look around in ours.

    home: the service's own address, which may be private: a stand-in's is.
    """
    if not isinstance(url, str) or not is_web_address(url):
        raise Failure("permanent", f"{service}: the result has no http(s) address")
    for final in _attempts():
        try:
            with target.open("wb") as file:
                status = _fetch(url, file, home, seconds=seconds, limit=limit)
        except _InwardError:
            raise Failure("permanent", f"{service}: the result's address leads into a private network") from None
        except requests.RequestException as error:
            if final:
                raise Failure("transient", f"{service}: download: {_in_words(error)}") from None
            continue
        if status == requests.codes.ok:
            return
        if final or status not in TRY_LATER | REPLY_LOST:
            raise Failure(kind_of_status(status), f"{service}: download answered HTTP {status}")


def kind_of_status(status: int) -> Kind:
    """What a bare HTTP status means where the service says nothing more precise."""
    if status in TRY_LATER | REPLY_LOST or status > 529:
        return "transient"
    return "quota" if status == requests.codes.payment_required else "permanent"


class _TooMuch(requests.RequestException):
    """The body is larger than anything we asked for."""


class _InwardError(requests.RequestException):
    """The address is none of the open network."""


class _Outward(HTTPAdapter):
    """Looks at where a request goes, and each redirect of it."""

    def __init__(self, home: str) -> None:
        super().__init__()
        self.home = urlsplit(home).netloc

    def send(self, request: requests.PreparedRequest, *args: Any, **words: Any) -> requests.Response:
        parts = urlsplit(request.url or "")
        if parts.netloc != self.home and not all(map(_is_open, _addresses(parts.hostname or ""))):
            raise _InwardError
        return super().send(request, *args, **words)


def _addresses(host: str) -> list[str]:
    """Where the name leads; nowhere, if nobody knows it."""
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except OSError:
        return []
    except UnicodeError:
        raise requests.exceptions.InvalidURL(f"{host} is no name of a host") from None


def _is_open(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    return (getattr(found, "ipv4_mapped", None) or found).is_global


def _free(service: str, send: Callable[[], Reply]) -> Reply:
    """Send until there is an answer worth reading, or three tries are over."""
    for final in _attempts():
        try:
            reply = send()
        except requests.RequestException as error:
            if final:
                raise Failure("transient", f"{service}: {_in_words(error)}") from None
            continue
        if final or reply.status not in TRY_LATER | REPLY_LOST:
            break
    return reply


def _attempts() -> Iterator[bool]:
    """Three tries with growing pauses between; true for the last one."""
    for pause in PAUSES:
        yield False
        time.sleep(pause)
    yield True


def _session() -> requests.Session:
    session = requests.Session()
    session.auth = lambda request: request  # else requests would replace our Authorization header by one from a .netrc
    session.headers["User-Agent"] = USER_AGENT
    session.max_redirects = 5
    return session


def _exchange(method: str, url: str, *, seconds: float, limit: int, **rest: Any) -> Reply:
    deadline = time.monotonic() + seconds
    timeout = (CONNECT_SECONDS, seconds)
    with (
        _session() as session,
        session.request(method, url, timeout=timeout, stream=True, allow_redirects=False, **rest) as answer,
    ):
        body = b"".join(_bounded(answer, deadline, limit))
        return Reply(answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, body)


def _fetch(url: str, file: BinaryIO, home: str, *, seconds: float, limit: int) -> int:
    deadline = time.monotonic() + seconds
    with _session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Outward(home))
        with session.get(url, timeout=(CONNECT_SECONDS, 30), stream=True) as answer:
            if answer.ok:
                for chunk in _bounded(answer, deadline, limit):
                    file.write(chunk)
            return answer.status_code


def _bounded(answer: requests.Response, deadline: float, limit: int) -> Iterator[bytes]:
    size = 0
    for chunk in answer.iter_content(CHUNK):
        size += len(chunk)
        if size > limit:
            raise _TooMuch
        if time.monotonic() > deadline:
            raise requests.ReadTimeout
        yield chunk


def _never_arrived(error: requests.RequestException) -> bool:
    """Whether no connection came about, so that the service can't have seen the request."""
    if isinstance(error, requests.ConnectTimeout | ValueError):  # ValueError: requests refused to send it at all
        return True
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(reason, urllib3.exceptions.SSLError):
        return bool(reason.args) and isinstance(reason.args[0], ssl.SSLCertVerificationError)
    return isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ProxyError)


def _in_words(error: requests.RequestException) -> str:
    """Plain words for the failure; never the library's text, which can quote addresses and headers."""
    if isinstance(error, _TooMuch):
        return "the answer is larger than expected"
    if _never_arrived(error):
        return "no connection"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return "the connection was lost before the answer was complete"
