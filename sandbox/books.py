"""What the vendors remember, on disk: the calls they took and the state a killed sandbox goes on from."""

import hashlib
import json
import sqlite3
import threading  # noqa: TID251 - the sandbox serves from threads
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Document = dict[str, Any]
TEXT_KEPT = 500  # characters of a prompt: enough to tell two paid calls apart, small enough for any number of them

SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, vendor TEXT NOT NULL, operation TEXT NOT NULL, ref TEXT NOT NULL,
    accepted INTEGER NOT NULL, status INTEGER NOT NULL, usd REAL NOT NULL, units REAL NOT NULL, unit TEXT NOT NULL,
    text TEXT NOT NULL, digest TEXT NOT NULL, fault TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS calls_by_vendor ON calls (vendor, operation, id);
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL, key TEXT NOT NULL, at REAL NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
"""

SUMMARY = """
SELECT vendor, operation, count(*) AS calls, sum(accepted) AS accepted, sum(usd > 0) AS billed,
    round(sum(usd), 6) AS usd
FROM calls GROUP BY vendor, operation ORDER BY vendor, operation
"""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request as its vendor saw it; `usd` is what was billed for it, `ref` the vendor's own id of the work."""

    vendor: str
    operation: str
    status: int
    accepted: bool
    ref: str = ""
    usd: float = 0.0
    units: float = 0.0
    unit: str = ""
    text: str = ""
    digest: str = ""
    fault: str = ""


def digest(data: bytes) -> str:
    """SHA-256 in hex: equal for requests that repeat."""
    return hashlib.sha256(data).hexdigest()


class Books:
    """One SQLite file (WAL) behind one lock; every write is committed before the vendor answers."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")  # survives SIGKILL; only a power cut loses the last writes
        self._db.executescript(SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is one commit, and no other thread reads or writes meanwhile; may be nested."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                yield

    def record(self, call: Call) -> None:
        row = asdict(call) | {"at": time.time(), "text": call.text[:TEXT_KEPT]}
        columns = ", ".join(row)
        marks = ", ".join(f":{name}" for name in row)
        with self._lock:
            self._db.execute(f"INSERT INTO calls ({columns}) VALUES ({marks})", row)  # noqa: S608 - names of our own fields

    def calls(self, vendor: str = "", operation: str = "") -> list[Document]:
        """All calls in order, as dictionaries of the columns; an empty argument means any."""
        where = "(:vendor = '' OR vendor = :vendor) AND (:operation = '' OR operation = :operation)"
        query = f"SELECT * FROM calls WHERE {where} ORDER BY id"  # noqa: S608 - a constant
        with self._lock:
            rows = self._db.execute(query, {"vendor": vendor, "operation": operation}).fetchall()
        return [dict(row) | {"accepted": bool(row["accepted"])} for row in rows]

    def summary(self) -> list[Document]:
        """Per vendor and operation: calls, accepted, billed (a count), usd."""
        with self._lock:
            return [dict(row) for row in self._db.execute(SUMMARY)]

    def put(self, kind: str, key: str, body: Document) -> None:
        with self._lock:
            self._db.execute(
                "INSERT INTO documents (kind, key, at, body) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body",
                (kind, key, time.time(), json.dumps(body)),
            )

    def get(self, kind: str, key: str) -> Document | None:
        with self._lock:
            row = self._db.execute("SELECT body FROM documents WHERE kind = ? AND key = ?", (kind, key)).fetchone()
        return json.loads(row["body"]) if row else None

    def all(self, kind: str) -> list[Document]:
        """Documents of a kind, oldest first."""
        with self._lock:
            rows = self._db.execute("SELECT body FROM documents WHERE kind = ? ORDER BY at, key", (kind,)).fetchall()
        return [json.loads(row["body"]) for row in rows]

    def forget(self, kind: str, key: str) -> None:
        with self._lock:
            self._db.execute("DELETE FROM documents WHERE kind = ? AND key = ?", (kind, key))

    def amend(self, kind: str, key: str, change: Callable[[Document], Document]) -> Document:
        """Read, change, write as one step; a document that does not exist starts empty."""
        with self.transaction():
            body = change(self.get(kind, key) or {})
            self.put(kind, key, body)
        return body
