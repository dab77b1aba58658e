"""What can go wrong, as one small tree; kind and waiting time are data, not classes.

Trouble                 something outside failed: a vendor, a script, a page
  NotHereError          ... and it is not there at all (deleted, never shared with us)
  OverBudgetError       ... it was not asked at all, there was no room (`budget`)
  WrittenError          ... it said so and has written all the same (`notion`)
IllegalMoveError        a verb that the status does not allow
StaleError              somebody else was faster: the guarded UPDATE met no row
DecisionError           what a person asked for does not fit this task
"""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from enum import StrEnum

import structlog
from django.db import OperationalError

from production.outside import storable

log = structlog.get_logger(__name__)


class Kind(StrEnum):
    """Why a try failed, which decides what happens next (FR27)."""

    TRANSIENT = "transient"  # try again later
    PERMANENT = "permanent"  # trying again changes nothing
    REFUSED = "refused"  # moderation: the words must change
    QUOTA = "quota"  # wait for the real reset; not a failure
    UNKNOWN = "unknown"  # the paid call may have happened


LASTING = (Kind.PERMANENT, Kind.REFUSED)  # what does not pass by itself


class Trouble(Exception):  # noqa: N818 - it reads as what it is: raise Trouble(Kind.QUOTA, "...")
    """Something outside failed. `retry_after` in seconds where the outside said so; `usd`: billed all the same;
    `draft`: what the next try mends, {} where nothing is kept."""

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        retry_after: float | None = None,
        usd: Decimal | None = None,
        draft: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = str(storable(message))
        self.retry_after = retry_after
        self.usd = usd
        self.draft = draft


class NotHereError(Trouble):
    """The thing does not exist for us."""

    def __init__(self, message: str) -> None:
        super().__init__(Kind.PERMANENT, message)


class IllegalMoveError(Exception):
    """The message says what would be possible."""


class DecisionError(Exception):
    """The message says what does not fit and what would."""


class StaleError(Exception):
    """The row has moved on since it was read."""


@contextmanager
def apart(event: str, **about: object) -> Iterator[None]:
    """What goes wrong with one thing is logged as `event` and tried again later; the others must not wait for it. Only
    a database that is away is everybody's trouble."""
    try:
        yield
    except OperationalError:
        raise
    except Exception:
        log.exception(event, **about)


@contextmanager
def as_trouble(event: str, **about: object) -> Iterator[None]:
    """What nobody has foreseen, as Trouble: unnoted it would be tried again with every lease, and nobody be told. A
    database that is away stays what it is."""
    try:
        yield
    except (Trouble, OperationalError):
        raise
    except Exception as error:
        log.exception(event, **about)
        raise Trouble(Kind.PERMANENT, f"{type(error).__name__}: {error}"[:500]) from error
