"""Who is next in a lane."""

import datetime as dt
import socket
from itertools import islice
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from production import caps, holders, ledger, providers, runner, takes, workspace
from production.broker import ring
from production.fairness import Candidate, Lane
from production.models import Priority, Provider, Take
from production.stages import PIECE, pieces_in
from production.statements import Part, columns, read

State = Take.State
BEHIND = 20  # expired claims looked at behind those that are wanted: a function of ours may be at work all the same
WORK, ASK = "production.jobs.work", "production.jobs.ask"

LOCK = f"""
SELECT {columns(Provider, "lane")} FROM production_provider AS lane WHERE name = %s FOR NO KEY UPDATE
"""  # noqa: S608 - names of columns
BUSY = """
SELECT channel_id, sum(slots), coalesce(sum(slots) FILTER (WHERE priority = %(high)s), 0)
FROM production_take
WHERE lane_id = %(lane)s AND state IN ('claimed', 'submitted') AND (%(host)s::text IS NULL OR host = %(host)s)
GROUP BY channel_id
"""

# The first of each channel's line, so that the work does not grow with the line; what a cap holds is left out before
# it is looked for, and what is paused is not in the index. 0.5 ms for 50 channels and 100,000 in line.
LINE = """
SELECT take.id, take.task_id, channel.id, take.kind, take.priority, channel.share, turn.served_at
FROM channels_channel AS channel
LEFT JOIN production_turn AS turn ON turn.lane_id = %(lane)s AND turn.channel_id = channel.id
CROSS JOIN LATERAL (
    SELECT waiting.id, waiting.task_id, waiting.kind, waiting.priority, waiting.position
    FROM production_take AS waiting
    WHERE waiting.lane_id = %(lane)s AND waiting.channel_id = channel.id
        AND waiting.state = 'waiting' AND waiting.ref = '' AND NOT waiting.paused AND waiting.due_at <= %(now)s
        AND waiting.kind = ANY(%(kinds)s)
        AND channel.id || ':' || waiting.kind <> ALL(%(channels)s::text[])
        AND waiting.task_id || ':' || waiting.kind <> ALL(%(videos)s::text[])
    ORDER BY waiting.priority, waiting.task_id, waiting.position, waiting.id
    LIMIT %(most)s
) AS take
WHERE channel.active AND channel.id <> ALL(%(closed)s)
ORDER BY take.priority, take.task_id, take.position, take.id -- once more: a join above keeps no order
"""
SERVE = """
INSERT INTO production_turn (lane_id, channel_id, served_at) SELECT DISTINCT lane_id, channel_id, %(now)s FROM claimed
ON CONFLICT (lane_id, channel_id) DO UPDATE SET served_at = excluded.served_at
"""


# ---------------------------------------------------------------- claimed


def claim(lane: str, most: int) -> list[Take]:
    """Claim up to `most` takes of the lane; each paid one has its intent in the ledger when this returns.

    Where a cap holds some of those whose turn it is, the others' turn comes in a transaction of its own: so each locks
    its tallies once, in their order, and no two lanes can wait for each other.
    """
    claimed: list[Take] = []
    while len(claimed) < most:
        found, is_capped = _claim(lane, most - len(claimed))
        claimed += found
        if not (found and is_capped):
            break
    return claimed


@transaction.atomic
def _claim(lane: str, most: int) -> tuple[list[Take], bool]:
    """The takes claimed, and whether a cap has kept others from it.

    The lane's row is locked first and the count taken after: one statement that does both lets too many in. A finished
    render is paid for: it is collected before anything is bought, also where nothing may be bought.
    """
    ((row,),) = read(LOCK, [lane], Provider)
    now = timezone.now()
    collected = _collect(row, most, now)
    bought, is_capped = _buy(row, most - len(collected), now)
    claimed = collected + bought
    for take in claimed:
        take.lane = row
    return claimed, is_capped


def _collect(lane: Provider, most: int, now: dt.datetime) -> list[Take]:
    if not any(piece.two_phase for piece in pieces_in(lane.pk)):
        return []
    finished = Take.objects.filter(_due(lane.pk, now), ~Q(ref=""))
    ids = list(finished.order_by("due_at", "pk").values_list("pk", flat=True)[:most])
    return takes.claim(ids, holders.me(), now)


def _buy(lane: Provider, most: int, now: dt.datetime) -> tuple[list[Take], bool]:
    most = min([most, *(limit.left for limit in providers.limits(lane, now))])
    standing = _standing(lane)
    if most < 1 or standing.free < 1 or workspace.is_full():
        return [], False
    limits = caps.limits()
    wanted = list(standing.pick(_line(lane, standing, most, now, limits), most, now))
    chosen = ledger.set_aside(wanted, lane, now, limits)
    ids = [candidate.take for candidate in chosen]
    beside = {"reserved": ledger.reserving(lane, now), "served": Part(SERVE, {"now": now})}
    claimed = takes.claim(ids, holders.me(), now, **beside)
    missed = set(ids) - {take.pk for take in claimed}
    ledger.put_back([candidate for candidate in chosen if candidate.take in missed], lane, now)
    return claimed, len(chosen) < len(wanted)


def _line(lane: Provider, standing: Lane, most: int, now: dt.datetime, limits: caps.Limits) -> list[Candidate]:
    """The first `most` of each channel, and how each channel stands."""
    full = caps.full(lane, limits, now)
    kinds = {piece.kind for piece in pieces_in(lane.pk)} - full.kinds
    if not kinds:
        return []
    values: dict[str, Any] = {"lane": lane.pk, "now": now, "most": most, "kinds": sorted(kinds)}
    values["closed"] = [key for key, held in full.channels.items() if held >= kinds]
    values["channels"] = [f"{key}:{kind}" for key, held in full.channels.items() for kind in held]
    values["videos"] = [f"{key}:{kind}" for key, held in full.videos.items() for kind in held]
    with connection.cursor() as cursor:
        cursor.execute(LINE, values)
        rows = cursor.fetchall()
    line = []
    for take, task, channel, kind, priority, share, served_at in rows:
        standing.standings[channel].share, standing.standings[channel].served_at = share, served_at
        line.append(Candidate(take, task, channel, kind, priority, PIECE[kind].slots))
    return line


def _standing(lane: Provider) -> Lane:
    """The slots in use, by channel."""
    found = Lane(providers.slots_of(lane))
    host = socket.gethostname() if providers.LANE[lane.pk].per_host else None
    with connection.cursor() as cursor:
        cursor.execute(BUSY, {"lane": lane.pk, "host": host, "high": Priority.HIGH})
        for channel, used, used_high in cursor.fetchall():
            found.standings[channel].used, found.standings[channel].used_high = used, used_high
    return found


def _due(lane: str, now: dt.datetime) -> Q:
    return Q(lane=lane, state=State.WAITING, due_at__lte=now)


# ---------------------------------------------------------------- taken over


@transaction.atomic
def adopt(lane: str, most: int) -> list[Take]:
    """Take over claims whose lease has run out: those of this machine, and of one that has been gone for long.

    A script may still run: it is watched from here. A function of ours that holds its lock is only slow, not orphaned.
    """
    now = timezone.now()
    ended = holders.has_ended("lease_until", settings.LEASE, now)
    expired = Q(host=socket.gethostname()) & ended | Q(lease_until__lte=now - 10 * settings.LEASE)
    orphans = Take.objects.filter(expired, lane=lane, state=State.CLAIMED).order_by("lease_until")
    found = orphans.select_for_update(skip_locked=True, of=("self",)).select_related(*takes.WITH)[: most + BEHIND]
    is_orphaned = (take for take in found if take.piece.is_script or not runner.is_at_work(workspace.run_folder(take)))
    orphaned = list(islice(is_orphaned, most))
    for take in orphaned:
        takes.adopt(take, holders.me())
    return orphaned


def reap() -> None:
    """What processes of this machine held that are dead now need not wait for its lease."""
    for lane in takes.reap():
        ring_lane(lane)


def to_ask(lane: str) -> list[Take]:
    """Submitted takes about which it is time to ask; two ticks never get the same one."""
    due = Take.objects.filter(lane=lane, state=State.SUBMITTED, due_at__lte=timezone.now())
    return [take for take in due.select_related(*takes.WITH).order_by("due_at", "pk")[:100] if takes.ask_later(take)]


# ---------------------------------------------------------------- rung


def batch(lane: str) -> int:
    """How many takes one job works on: scripts run side by side, a function of ours one at a time."""
    return settings.BATCH if any(piece.is_script for piece in pieces_in(lane)) else 1


def ring_lane(lane: str) -> None:
    ring(WORK, lane, cluster=providers.cluster(lane))


def has_more(lane: str) -> bool:
    """Whether something of the lane is due and nobody has it."""
    return Take.objects.filter(_due(lane, timezone.now())).exists()
