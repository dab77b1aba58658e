"""What a script owes its runner: JSON lines on stdout, a kind for every failure, and files that are whole.

Events, one object a line: ``started`` (always first), ``sending`` (a paid request is about to leave), ``submitted``,
``state``, ``progress``, ``cost``, ``timings``, ``loudness``, ``film``, ``measured``, ``warning``, ``error``. A script
that died after ``started`` and before ``sending`` bought nothing.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

Kind = Literal["transient", "permanent", "refused", "quota", "unknown"]

MESSAGE_LENGTH = 500
_hidden: set[str] = set()


class Failure(Exception):  # noqa: N818  (what it is called on the wire is ``error``; it is a way out, not a fault)
    """The script could not do what it was asked.

    kind: ``transient`` (the same request may work later), ``permanent`` (it never will), ``refused`` (moderation),
    ``quota`` (the account has nothing left) or ``unknown`` (a paid request left and no reply came: it may have been
    carried out).
    retry_after: seconds the service asked us to wait, if it did.
    """

    def __init__(self, kind: Kind, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = _redacted(" ".join(message.split()))[:MESSAGE_LENGTH]  # first, or a half of a secret could stay
        self.retry_after = retry_after

    def report(self) -> None:
        """Print the failure as an ``error`` event."""
        wait = {} if self.retry_after is None else {"retry_after": self.retry_after}
        emit("error", kind=self.kind, message=self.message, **wait)


def hide(value: str) -> None:
    """Never print this value, whoever quotes it back at us."""
    if value:
        _hidden.update((value, json.dumps(value, ensure_ascii=False)[1:-1]))


def _redacted(text: str) -> str:
    for value in sorted(_hidden, key=len, reverse=True):
        text = text.replace(value, "***")
    return text


def emit(event: str, **fields: object) -> None:
    """Print one event and flush it, so that the runner reads it even if we are killed in the next instant."""
    print(_redacted(json.dumps({"event": event, **fields}, ensure_ascii=False)), flush=True)


def require_file(path: Path, role: str) -> None:
    """Fail with the name of the role and the file when the file is not there."""
    if not path.is_file():
        raise Failure("permanent", f"{role} {path} does not exist")


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Give a path beside the target to write to; it takes the target's name only when the block ends well.

    Entered before money is spent, it also proves that the directory can be written to.
    """
    if target.is_dir():
        raise Failure("permanent", f"--output {target} is a folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    os.fchmod(handle, 0o644)  # mkstemp's 0600 would hide the result from the web server's user
    part = Path(name)
    try:
        yield part
        os.fsync(handle)
        part.replace(target)
    finally:
        os.close(handle)
        part.unlink(missing_ok=True)
