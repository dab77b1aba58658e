"""The only writer of money. The intent is written before every paid call, its outcome after (X12).

What the lines count for is also kept in tallies, in the same transaction: a tally's row is what two claims of
different lanes meet at, so that a cap holds to the cent. Tallies are locked in the order of their keys.
"""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal

from django.db import connection
from django.utils import timezone

from production import caps
from production.caps import Key
from production.fairness import Candidate
from production.models import LedgerEntry, Provider, Take
from production.providers import is_simulated, lane_is_simulated, price, quota_key

State = LedgerEntry.State
OPEN = (State.RESERVED, State.SUBMITTED, State.UNKNOWN)

ADD = """
INSERT INTO production_tally AS tally (meter, key, since, simulated, usd, calls)
SELECT * FROM unnest(%s::text[], %s::text[], %s::date[], %s::bool[], %s::numeric[], %s::int[])
ORDER BY 1, 2, 3, 4
ON CONFLICT (meter, key, since, simulated)
DO UPDATE SET usd = tally.usd + excluded.usd, calls = tally.calls + excluded.calls
RETURNING meter, key, since, usd
"""


# ---------------------------------------------------------------- before the call


def set_aside(
    candidates: Sequence[Candidate], lane: Provider, now: dt.datetime, limits: caps.Limits
) -> tuple[list[Candidate], set[Key]]:
    """Count these calls in, as far as the caps allow it, in their order. Returns those that fit, and the tallies that
    are full for the others. Called with the lane's row locked; the tallies stay locked until the transaction ends."""
    simulated = lane_is_simulated(lane.pk)
    keys = {c: keys_of(c, lane, now) for c in candidates if price(lane, c.kind)}
    totals = _add([(key, price(lane, c.kind), 1) for c in keys for key in keys[c]], simulated=simulated)
    over, full = [], set[Key]()
    for candidate in reversed(candidates):  # who came last gives way first
        reached = [key for key in keys.get(candidate, ()) if _is_over(totals[key], limits, key, candidate)]
        if reached:
            over.append(candidate)
            full.update(reached)
            for key in keys[candidate]:
                totals[key] -= price(lane, candidate.kind)
    put_back(over, lane, now)
    return [candidate for candidate in candidates if candidate not in over], full


def put_back(candidates: Sequence[Candidate], lane: Provider, now: dt.datetime) -> None:
    """These calls are not made after all."""
    counted = [
        (key, -price(lane, c.kind), -1) for c in candidates for key in keys_of(c, lane, now) if price(lane, c.kind)
    ]
    _add(counted, simulated=lane_is_simulated(lane.pk))


def reserve(takes: Iterable[Take], lane: Provider, now: dt.datetime) -> None:
    """What each attempt may cost, already set aside. A second line for the same attempt is refused by the database."""
    LedgerEntry.objects.bulk_create(
        LedgerEntry(
            take=take,
            attempt=take.attempt,
            channel_id=take.channel_id,
            lane=lane,
            intended_usd=price(lane, take.kind),
            simulated=is_simulated(take.piece),
            at=now,
        )
        for take in takes
        if take.piece.paid
    )


def count_call(lane: Provider, calls: int, now: dt.datetime) -> None:
    """For the provider's daily quota. Nobody else counts in a lane whose row is locked."""
    if lane.daily_quota is not None and calls:
        _add([(Key(*quota_key(lane, now)), Decimal(0), calls)], simulated=lane_is_simulated(lane.pk))


def keys_of(candidate: Candidate, lane: Provider, now: dt.datetime) -> list[Key]:
    """What the candidate's call would be counted in."""
    return caps.keys_of(task=candidate.task, channel=candidate.channel, lane=lane.pk, at=now)


def _is_over(total: Decimal, limits: caps.Limits, key: Key, candidate: Candidate) -> bool:
    cap = limits.of(key, channel=candidate.channel)
    return cap is not None and total > cap


def _add(counted: Sequence[tuple[Key, Decimal, int]], *, simulated: bool) -> dict[Key, Decimal]:
    """Add to tallies; what they show afterwards, USD. One statement, so that they are locked in order."""
    usd: dict[Key, Decimal] = defaultdict(Decimal)
    calls: Counter[Key] = Counter()
    for key, amount, number in counted:
        usd[key] += amount
        calls[key] += number
    if not usd:
        return {}
    meters, names, days = zip(*usd, strict=True)
    columns = [list(meters), list(names), list(days), [simulated] * len(usd), list(usd.values())]
    with connection.cursor() as cursor:
        cursor.execute(ADD, [*columns, [calls[key] for key in usd]])
        return {Key(*row[:3]): row[3] for row in cursor.fetchall()}


# ---------------------------------------------------------------- after it


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
    line = LedgerEntry.objects.filter(take=take, attempt=take.attempt, state__in=OPEN)
    before = line.select_for_update(no_key=True).first()
    if before is None:
        return
    line.update(state=state, actual_usd=actual_usd, settled_at=timezone.now() if settled else None, note=note[:300])
    counts = Decimal(0) if state == State.RELEASED else before.intended_usd if actual_usd is None else actual_usd
    if counts != before.counts:
        keys = caps.keys_of(task=take.task_id, channel=before.channel_id, lane=before.lane_id, at=before.at)
        _add([(key, counts - before.counts, 0) for key in keys], simulated=before.simulated)


def intended(take: Take) -> Decimal:
    """What the take's present attempt was meant to cost, USD; 0 for what is free."""
    line = LedgerEntry.objects.filter(take=take, attempt=take.attempt).first()
    return line.intended_usd if line else Decimal(0)
