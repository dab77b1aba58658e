"""Who holds something for a time only, and whether they still do.

A holder is a process, by its machine and number; what it holds has a lease, in case it says nothing any more.
"""

import datetime as dt
import os
import socket
from contextlib import suppress

from django.db.models import Q


def me() -> str:
    """Names this process as a holder."""
    return f"{socket.gethostname()}:{os.getpid()}"


def is_dead(holder: str) -> bool:
    """Whether it was a process of this machine and has ended; of another machine's nobody here knows. A number that is
    used again only costs the rest of its lease."""
    host, _, number = holder.rpartition(":")
    return host == socket.gethostname() and not _is_alive(int(number))


def has_ended(until: str, lease: dt.timedelta, now: dt.datetime) -> Q:
    """Rows whose lease, which ends at the column `until`, has ended. One that ends later than any could, has too: the
    clock was put back after it was given."""
    return Q(**{f"{until}__lte": now}) | Q(**{f"{until}__gt": now + 2 * lease})


def _is_alive(process: int) -> bool:
    with suppress(PermissionError):  # somebody else's, but alive
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
    return True
