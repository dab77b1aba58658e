"""The only writer of money. The intent is written before every paid call, its outcome after (X12)."""

from decimal import Decimal

from django.utils import timezone

from production.models import LedgerEntry, Provider, Take
from production.providers import is_simulated, price

State = LedgerEntry.State
OPEN = (State.RESERVED, State.SUBMITTED, State.UNKNOWN)


def reserve(take: Take, lane: Provider) -> None:
    """Before the call: what this attempt may cost. A second line for the same attempt is refused by the database."""
    if take.piece.paid:
        LedgerEntry.objects.create(
            take=take,
            attempt=take.attempt,
            channel_id=take.channel_id,
            lane=lane,
            intended_usd=price(lane, take.kind),
            simulated=is_simulated(take.piece),
        )


def submitted(take: Take) -> None:
    """The provider has the job; its price is settled when it is collected."""
    _close(take, State.SUBMITTED, settled=False)


def settle(take: Take, actual_usd: Decimal | None) -> None:
    """The call happened. `actual_usd` as the provider says it; None: the intended sum counts."""
    _close(take, State.SETTLED, actual_usd=actual_usd)


def release(take: Take, note: str) -> None:
    """The call cost nothing: it was never made, or the provider refused it unbilled."""
    _close(take, State.RELEASED, note=note)


def unknown(take: Take, note: str) -> None:
    """The call may have happened; it counts as its upper bound until that is found out."""
    _close(take, State.UNKNOWN, settled=False, note=note)


def write_off(take: Take, note: str) -> None:
    """What can't be asked is counted as spent. Lines whose outcome is known stay as they are."""
    _close(take, State.WRITTEN_OFF, note=note)


def _close(take: Take, state: str, *, actual_usd: Decimal | None = None, settled: bool = True, note: str = "") -> None:
    LedgerEntry.objects.filter(take=take, attempt=take.attempt, state__in=OPEN).update(
        state=state, actual_usd=actual_usd, settled_at=timezone.now() if settled else None, note=note[:300]
    )


def intended(take: Take) -> Decimal:
    """What the take's present attempt was meant to cost, USD; 0 for what is free."""
    line = LedgerEntry.objects.filter(take=take, attempt=take.attempt).first()
    return line.intended_usd if line else Decimal(0)
