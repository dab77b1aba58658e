"""The only writer of money. The intent is written before every paid call, its outcome after (X12).

What the lines count for is also kept in tallies, in the same transaction: a tally's row is what two claims of
different lanes meet at, so that a cap holds to the cent. Tallies are locked in the order of their keys.
"""

import datetime as dt
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection, transaction
from django.db.models import Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from production import caps
from production.caps import Key
from production.fairness import Candidate
from production.models import LedgerEntry, Provider, Take, Tally
from production.providers import lane_is_simulated, price, quota_key
from production.stages import pieces_in
from production.statements import Part

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
RESERVE = """
INSERT INTO production_ledgerentry (take_id, attempt, channel_id, lane_id, state, intended_usd, simulated, note, at)
SELECT id, attempt, channel_id, lane_id, 'reserved', (%(usd)s::jsonb ->> kind)::numeric, %(is_simulated)s, '', %(now)s
FROM claimed WHERE %(usd)s::jsonb ? kind
"""


# ---------------------------------------------------------------- before the call


def set_aside(
    candidates: Sequence[Candidate], lane: Provider, now: dt.datetime, limits: caps.Limits
) -> list[Candidate]:
    """Count these calls in, as far as the caps allow it, in their order. Returns those that fit.

    Called with the lane's row locked; the tallies stay locked until the transaction ends. Once in a transaction: a
    second time their order would not hold any more."""
    totals = _count(candidates, lane, now, 1)
    over = []
    for candidate in reversed(candidates):  # who came last gives way first
        keys = _money_keys(candidate, lane, now)
        if any(_is_over(totals[key], limits, key, candidate) for key in keys):
            over.append(candidate)
            for key in keys:
                totals[key] -= price(lane, candidate.kind)
    put_back(over, lane, now)
    return [candidate for candidate in candidates if candidate not in over]


def put_back(candidates: Sequence[Candidate], lane: Provider, now: dt.datetime) -> None:
    """These calls are not made after all."""
    _count(candidates, lane, now, -1)


def _count(candidates: Sequence[Candidate], lane: Provider, now: dt.datetime, sign: int) -> dict[Key, Decimal]:
    """In each one's money, and as a call of the lane's day; what the tallies show afterwards, USD."""
    money = [(key, sign * price(lane, c.kind), 0) for c in candidates for key in _money_keys(c, lane, now)]
    calls = [(Key(*quota_key(lane, now)), Decimal(0), sign) for _ in candidates]
    return _add(money + calls, simulated=lane_is_simulated(lane.pk))


def _money_keys(candidate: Candidate, lane: Provider, now: dt.datetime) -> list[Key]:
    """What the candidate's call would be counted in; what is free is held by no cap."""
    if not price(lane, candidate.kind):
        return []
    return caps.keys_of(task=candidate.task, channel=candidate.channel, lane=lane.pk, at=now)


def reserving(lane: Provider, now: dt.datetime) -> Part:
    """Beside a claim: what each attempt may cost, already set aside. A second line for the same attempt is refused by
    the database."""
    paid = {piece.kind: str(price(lane, piece.kind)) for piece in pieces_in(lane.pk) if piece.paid}
    return Part(RESERVE, {"usd": json.dumps(paid), "is_simulated": lane_is_simulated(lane.pk), "now": now})


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
    open_lines = LedgerEntry.objects.filter(take=take, attempt=take.attempt, state__in=OPEN)
    line = open_lines.select_for_update(no_key=True).first()
    if line is None:
        return
    counted = line.counts
    line.state, line.actual_usd, line.note = state, actual_usd, note[:300]
    line.settled_at = timezone.now() if settled else None
    line.save(update_fields=["state", "actual_usd", "note", "settled_at"])
    if line.counts != counted:
        keys = caps.keys_of(task=take.task_id, channel=line.channel_id, lane=line.lane_id, at=line.at)
        _add([(key, line.counts - counted, 0) for key in keys], simulated=line.simulated)


def intended(take: Take) -> Decimal:
    """What the take's present attempt was meant to cost, USD; 0 for what is free."""
    line = LedgerEntry.objects.filter(take=take, attempt=take.attempt).first()
    return line.intended_usd if line else Decimal(0)


# ---------------------------------------------------------------- counted again


@dataclass(frozen=True)
class Difference:
    """A tally that does not show what its lines say."""

    key: Key
    simulated: bool
    shows: Decimal
    should: Decimal


@transaction.atomic
def recount(*, mend: bool) -> list[Difference]:
    """Compare each tally of money with its lines, and `mend` it. Nobody spends meanwhile: whoever has a tally in hand
    is waited for, and their lines are seen."""
    with connection.cursor() as cursor:
        cursor.execute("LOCK TABLE production_tally IN SHARE ROW EXCLUSIVE MODE")
    should = _say_the_lines()
    tallies = Tally.objects.filter(meter__in=caps.MONEY).values_list("meter", "key", "since", "simulated", "usd")
    shows = {(Key(*row[:3]), row[3]): row[4] for row in tallies}
    found = [
        Difference(key, simulated, shows.get((key, simulated), Decimal(0)), should[key, simulated])
        for key, simulated in sorted(should.keys() | shows.keys())
        if shows.get((key, simulated), Decimal(0)) != should[key, simulated]
    ]
    for simulated in (False, True) if mend else ():
        off = [(each.key, each.should - each.shows, 0) for each in found if each.simulated == simulated]
        _add(off, simulated=simulated)
    return found


def _say_the_lines() -> defaultdict[tuple[Key, bool], Decimal]:
    """What each tally should show; summed up by day in the database, there may be millions of lines."""
    lines = LedgerEntry.objects.counted().order_by().annotate(day=TruncDate("at"))
    sums = lines.values_list("take__task", "channel", "lane", "simulated", "day").annotate(Sum("usd"))
    should: defaultdict[tuple[Key, bool], Decimal] = defaultdict(Decimal)
    for task, channel, lane, simulated, day, usd in sums:
        noon = dt.datetime.combine(day, dt.time(12), timezone.get_current_timezone())
        for key in caps.keys_of(task=task, channel=channel, lane=lane, at=noon):
            should[key, simulated] += usd
    return should
