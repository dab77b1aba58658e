"""The load generator: a process of its own that sends signed Notion events and notes how long each answer took.

Sockets without a client library between: a request costs it about a tenth of what it costs the server, so it is not
what is measured. At a fixed rate a request's time counts from when it was due, not from when it was sent: a server
that stalls makes everybody wait, and that must show.

`python -m benchmarks.load` reads an order (`Order` as JSON) from stdin and writes a `Result` to stdout.
"""

import asyncio
import hashlib
import hmac
import json
import re
import socket
import sys
import time
import uuid
from dataclasses import asdict, dataclass, field

LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
PATIENCE = 30.0  # seconds for one answer


@dataclass(frozen=True)
class Order:
    """`rate`: requests a second, each on time whatever came of the others; 0: `lines` at once, each sending its next
    when it was answered."""

    port: int
    secret: str
    requests: int
    rate: float = 0
    lines: int = 0
    keep_alive: bool = False
    page: str = "11111111-2222-4333-8444-555555555555"


@dataclass
class Result:
    """`milliseconds`: one a request, in the order of their answers. `lost`: requests without an answer."""

    milliseconds: list[float] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    seconds: float = 0
    lost: int = 0
    own_cpu_seconds: float = 0


def main() -> None:
    order = Order(**json.load(sys.stdin))
    json.dump(asdict(asyncio.run(carry_out(order))), sys.stdout)


async def carry_out(order: Order) -> Result:
    requests = [_request(order) for _ in range(order.requests)]
    result, idle = Result(), list[socket.socket]()
    began, used = time.perf_counter(), time.process_time()
    if order.rate:
        await asyncio.gather(
            *(_on_time(order, request, began + n / order.rate, idle, result) for n, request in enumerate(requests))
        )
    else:
        await asyncio.gather(*(_one_by_one(order, requests, idle, result) for _ in range(order.lines)))
    result.seconds = time.perf_counter() - began
    result.own_cpu_seconds = time.process_time() - used
    return result


async def _on_time(order: Order, request: bytes, due: float, idle: list[socket.socket], result: Result) -> None:
    await asyncio.sleep(due - time.perf_counter())
    await _timed(order, request, due, idle, result)


async def _one_by_one(order: Order, requests: list[bytes], idle: list[socket.socket], result: Result) -> None:
    while requests:
        await _timed(order, requests.pop(), time.perf_counter(), idle, result)


async def _timed(order: Order, request: bytes, due: float, idle: list[socket.socket], result: Result) -> None:
    try:
        status = await asyncio.wait_for(_ask(order, request, idle), PATIENCE)
    except (OSError, TimeoutError):
        result.lost += 1
        return
    result.milliseconds.append((time.perf_counter() - due) * 1000)
    result.answers[status] = result.answers.get(status, 0) + 1


async def _ask(order: Order, request: bytes, idle: list[socket.socket]) -> str:
    """The status of the answer. A line that the server has closed meanwhile is replaced: the event is sent again."""
    loop = asyncio.get_running_loop()
    if idle:
        line = idle.pop(0)  # the one that has rested longest, so that none rests for ever
        if answer := await _exchange(loop, line, request):
            return _kept(order, line, idle, answer)
        line.close()
    line = socket.socket()
    line.settimeout(0)
    await loop.sock_connect(line, ("127.0.0.1", order.port))
    if answer := await _exchange(loop, line, request):
        return _kept(order, line, idle, answer)
    line.close()
    raise ConnectionError("closed without an answer")


async def _exchange(loop: asyncio.AbstractEventLoop, line: socket.socket, request: bytes) -> bytes:
    try:
        await loop.sock_sendall(line, request)
        answer = b""
        while not _is_whole(answer):
            part = await loop.sock_recv(line, 65536)
            if not part:
                return b""
            answer += part
    except ConnectionError:
        return b""
    return answer


def _is_whole(answer: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    length = LENGTH.search(head)
    return bool(found) and length is not None and len(body) >= int(length[1])


def _kept(order: Order, line: socket.socket, idle: list[socket.socket], answer: bytes) -> str:
    idle.append(line) if order.keep_alive else line.close()
    return answer[9:12].decode()


def _request(order: Order) -> bytes:
    """As Notion sends it, with an event id that nobody had before."""
    body = json.dumps(
        {
            "id": str(uuid.uuid4()),
            "timestamp": "2026-11-25T12:00:00.000Z",
            "workspace_id": str(uuid.uuid4()),
            "type": "page.properties_updated",
            "authors": [{"id": str(uuid.uuid4()), "type": "person"}],
            "entity": {"id": order.page, "type": "page"},
            "data": {"parent": {"id": str(uuid.uuid4()), "type": "data_source"}, "updated_properties": ["%3AUPp"]},
            "attempt_number": 1,
        }
    ).encode()
    signature = hmac.new(order.secret.encode(), body, hashlib.sha256).hexdigest()
    lines = (
        "POST /webhook/notion HTTP/1.1",
        f"Host: 127.0.0.1:{order.port}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"X-Notion-Signature: sha256={signature}",
        f"Connection: {'keep-alive' if order.keep_alive else 'close'}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


if __name__ == "__main__":
    main()
