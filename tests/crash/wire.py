"""PostgreSQL's own words between a process and the server: whatever commits passes the gate."""

import re
import socket
import struct
import threading  # noqa: TID251 - two threads a connection
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.gate import Gate, Passage

WRITES = re.compile(
    r"\b(INSERT INTO|UPDATE|DELETE FROM)\s+\"?(production_\w+|publishing_\w+|channels_\w+|django_q_\w+)", re.I
)
IDLE = b"I"


@dataclass
class Line:
    """One connection: what it has written since its transaction began, and what it waits for."""

    client: socket.socket
    server: socket.socket
    gate: Gate
    status: bytes = IDLE
    statements: dict[bytes, str] = field(default_factory=dict)  # prepared ones
    written: list[str] = field(default_factory=list)
    changed: bool = False
    waited_for: deque[tuple[Passage | None, bool]] = field(default_factory=deque)  # and whether its request writes

    def talk(self) -> None:
        threading.Thread(target=self._answer, daemon=True).start()
        self._ask()

    def close(self) -> None:
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _ask(self) -> None:
        """From the client: whole requests, up to Sync or a simple query."""
        with suppress(OSError):
            (length,) = struct.unpack("!I", _exactly(self.client, 4))
            self.waited_for.append((None, False))  # the server's first ReadyForQuery
            self.server.sendall(struct.pack("!I", length) + _exactly(self.client, length - 4))
            request, sql = b"", list[str]()
            for kind, frame in _frames(self.client):
                request += frame
                sql += self._sql(kind, frame[5:])
                if kind in b"QS" and not self._let_in(" ".join(sql)):
                    break
                if kind in b"QSX":
                    self.server.sendall(request)
                    request, sql = b"", []
        self.close()

    def _sql(self, kind: bytes, body: bytes) -> list[str]:
        """The statement that a frame runs, if it runs any."""
        if kind == b"Q":
            return [body.rstrip(b"\0").decode()]
        if kind == b"P":
            name, text, *_ = body.split(b"\0")
            self.statements[name] = text.decode()
        if kind == b"B":
            return [self.statements.get(body.split(b"\0")[1], "")]
        return []

    def _let_in(self, sql: str) -> bool:
        """False: the request is not to reach the server any more."""
        writes = [f"{verb.split()[0].upper()} {table}" for verb, table in WRITES.findall(sql)]
        ends = sql.lstrip().upper().startswith("COMMIT")
        if ends:
            writes, self.written = self.written, []
        elif self.status != IDLE:
            self.written += writes
        passage = None
        if writes and (ends or self.status == IDLE):
            passage = self.gate.enter(f"{'commit of ' if ends else ''}{', '.join(dict.fromkeys(writes))}")
            if passage is None:
                return False
        self.waited_for.append((passage, bool(writes)))
        return True

    def _answer(self) -> None:
        """From the server: an answer is passed on when it is whole, up to ReadyForQuery."""
        answer, rows = b"", 0
        with suppress(OSError):
            for kind, frame in _frames(self.server):
                answer += frame
                if kind == b"C":
                    rows += _rows(frame)
                if kind == b"Z":
                    (passage, writes), self.status = self.waited_for.popleft(), frame[5:6]
                    self.changed |= writes and rows > 0
                    if passage and not self.gate.leave(passage, changed=self.changed):
                        break
                    self.changed &= self.status != IDLE
                    rows = 0
                if kind == b"Z" or not self.waited_for:
                    self.client.sendall(answer)
                    answer = b""
        self.close()


def _rows(complete: bytes) -> int:
    """How many rows a CommandComplete says its statement has met."""
    last = complete[5:-1].rpartition(b" ")[2]
    return int(last) if last.isdigit() else 0


def listen(gate: Gate, server: Path) -> int:
    """Serve on a port of this machine what `server`, PostgreSQL's socket, serves. Returns the port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def serve() -> None:
        while True:
            client, _ = listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            upstream = socket.socket(socket.AF_UNIX)
            try:
                upstream.connect(str(server))
            except OSError:
                client.close()
                continue
            threading.Thread(target=Line(client, upstream, gate).talk, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return int(listener.getsockname()[1])


def _frames(end: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """Kind and whole bytes of each message until the line is cut."""
    with suppress(EOFError, OSError):
        while True:
            head = _exactly(end, 5)
            (length,) = struct.unpack("!I", head[1:])
            yield head[:1], head + _exactly(end, length - 4)


def _exactly(end: socket.socket, number: int) -> bytes:
    found = b""
    while len(found) < number:
        part = end.recv(number - len(found))
        if not part:
            raise EOFError
        found += part
    return found
