"""Trouble on demand: what the next calls of a vendor run into, set over the control API."""

import uuid
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from sandbox.books import Books

KINDS = {
    "status": "answer with `status`, `body`, `headers`; nothing is done or billed",
    "drop": "close the socket before anything is done or billed; a webhook event or callback is never delivered",
    "lost_reply": "do it, book it, bill it, then close the socket without an answer",
    "status_after": "do it, book it, bill it, then answer as `status` does; `$ref` in `body` is the work's id",
    "quota": "the vendor's own over-quota answer, for `seconds` or, with `daily`, until the day ends",
    "delay": "wait `seconds`, then go on as usual",
    "refuse": "a refusal on content grounds, in the vendor's own way",
    "bad_text": "the text model writes `body` instead of an answer; it is billed",
    "cut_text": "the text model's answer ends in its middle, with MAX_TOKENS; it is billed",
    "render_fail": "take the render job and let it end in state fail",
    "cut": "take `after_bytes` of the request's body, then close the socket; only YouTube keeps what came",
    "cut_reply": "do it, book it, bill it, then break the answer (or the download) off after `after_bytes`",
    "duplicate": "deliver the webhook event or callback twice",
    "late": "deliver the webhook event or callback `seconds` later, so that younger ones overtake it",
}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One planned trouble; `operation` "" means any, `match` is a part of the prompt or text."""

    vendor: str
    kind: str
    operation: str = ""
    times: int = 1
    match: str = ""
    status: int = 500
    body: Any = ""
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    daily: bool = False
    after_bytes: int = 0
    id: str = ""

    def meets(self, vendor: str, operation: str, text: str) -> bool:
        return self.vendor == vendor and self.operation in ("", operation) and self.match.lower() in text.lower()


def read_fault(body: Any, vendors: frozenset[str]) -> Fault:
    """A fault from outside JSON; raises ValueError in words a person can use."""
    if not isinstance(body, dict):
        raise ValueError("a fault is a JSON object")
    if unknown := sorted(set(body) - {each.name for each in fields(Fault)}):
        raise ValueError(f"a fault has no {', '.join(unknown)}")
    if body.get("vendor") not in vendors:
        raise ValueError(f"vendor must be one of {', '.join(sorted(vendors))}")
    if body.get("kind") not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}")
    if not isinstance(body.get("times", 1), int):
        raise ValueError("times must be a whole number")
    return Fault(**body | {"id": uuid.uuid4().hex[:12]})


class Faults:
    """The planned troubles, oldest first, kept in the books: a restart does not forget them."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def plan(self, fault: Fault) -> None:
        self._books.put("fault", fault.id, asdict(fault))

    def planned(self) -> list[Fault]:
        return [Fault(**body) for body in self._books.all("fault")]

    def clear(self) -> None:
        for fault in self.planned():
            self._books.forget("fault", fault.id)

    def take(self, vendor: str, operation: str, text: str, kinds: frozenset[str] | None = None) -> Fault | None:
        """The oldest fault this call meets, counted down; of the given kinds only, if any are given."""
        with self._books.transaction():
            for fault in self.planned():
                if (kinds is None or fault.kind in kinds) and fault.meets(vendor, operation, text):
                    self._count_down(fault)
                    return fault
        return None

    def _count_down(self, fault: Fault) -> None:
        if fault.times <= 1:
            self._books.forget("fault", fault.id)
        else:
            self._books.put("fault", fault.id, asdict(fault) | {"times": fault.times - 1})
