"""What comes from outside, made fit for us: its text for the database, its failures for another try."""

import datetime as dt
import hashlib
import hmac
import math
import re
from typing import Any

HERE = ("127.0.0.1", "::1", "localhost")  # hosts that are this machine; any other may be the vendor by another name
NOTION_ID = re.compile(r"^notion: *[0-9a-f-]{32,36}$", re.IGNORECASE)


def person(by: str) -> str:
    """Who did it, as people read it. Notion gives only an id of its people, which tells nobody anything."""
    return "somebody in Notion" if NOTION_ID.match(by) else by


def number(text: str) -> int:
    """A row's number as a request says it; 0, which is nothing's, where it is none, or more than a row can have."""
    return int(text) if text.isdecimal() and len(text) < 19 else 0


def is_signed(body: bytes, signature: str, token: str) -> bool:
    """`X-Notion-Signature: sha256=<hex>` is an HMAC over the raw body with the verification token."""
    expected = "sha256=" + hmac.new(token.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode())


def unquoted(said: bytes, secret: str) -> bytes:
    """What a vendor has said, should it quote our key back at us: failures are read in Notion and in alerts."""
    return said.replace(secret.encode(), b"***") if secret else said


def storable(value: Any) -> Any:
    """`value` (anything JSON can say) as PostgreSQL takes it: NUL goes, half a surrogate pair becomes "?", NaN and
    Infinity null."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode(errors="replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return value


def pause_after(tries: int, *, first: float = 60, said: float | None = None) -> dt.timedelta:
    """How long to wait after so many failures: `first` seconds, then twice as long each time, never less than the
    outside has `said`; an hour at most."""
    return dt.timedelta(seconds=min(max(first * 2 ** min(tries - 1, 10), said or 0), 3600))
