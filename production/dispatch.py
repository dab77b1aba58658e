"""Who is next in a lane."""

import os
import socket

from django.conf import settings
from django.db import transaction
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.utils import timezone

from production import ledger, runner, takes, workspace
from production.broker import ring
from production.models import Provider, Take
from production.providers import cluster
from production.stages import PIECES

State = Take.State
WORK, ASK = "production.jobs.work", "production.jobs.ask"


def holder() -> str:
    """Names this process as the holder of a claim."""
    return f"{socket.gethostname()}:{os.getpid()}"


@transaction.atomic
def claim(lane: str, most: int) -> list[Take]:
    """Claim up to `most` takes of the lane; each paid one has its intent in the ledger when this returns.

    The lane's row is locked first and the count taken after: one statement that does both lets too many in.
    """
    row = Provider.objects.select_for_update(no_key=True).get(pk=lane)
    room = row.concurrency - Take.objects.in_flight().filter(lane=row).count()
    claimed = list(_next(row).select_for_update(of=("self",), skip_locked=True)[: max(0, min(room, most))])
    tainted = _with_simulated_sources(claimed)
    for take in claimed:
        takes.claim(take, holder(), from_simulated=take.pk in tainted)
        if not take.ref:
            ledger.reserve(take, row)
    return claimed


@transaction.atomic
def adopt(lane: str, most: int) -> list[Take]:
    """Take over claims whose lease has run out: those of this machine, and of one that has been gone for long.

    A script may still run: it is watched from here. A function of ours that holds its lock is only slow, not orphaned.
    """
    now = timezone.now()
    expired = Q(host=socket.gethostname(), lease_until__lte=now) | Q(lease_until__lte=now - 10 * settings.LEASE)
    orphans = Take.objects.filter(expired, lane=lane, state=State.CLAIMED).order_by("lease_until")
    found = list(orphans.select_for_update(skip_locked=True, of=("self",)).select_related(*_WITH)[:most])
    orphaned = [take for take in found if take.piece.is_script or not runner.is_at_work(workspace.run_folder(take))]
    for take in orphaned:
        takes.adopt(take, holder())
    return orphaned


def to_ask(lane: str) -> list[Take]:
    """Submitted takes about which it is time to ask; two ticks never get the same one."""
    due = Take.objects.filter(lane=lane, state=State.SUBMITTED, due_at__lte=timezone.now())
    return [take for take in due.select_related(*_WITH).order_by("due_at", "pk")[:100] if takes.ask_later(take)]


def batch(lane: str) -> int:
    """How many takes one job works on: scripts run side by side, a function of ours one at a time."""
    return settings.BATCH if any(p.is_script for p in PIECES if p.lane == lane) else 1


def ring_lane(lane: str) -> None:
    ring(WORK, lane, cluster=cluster(lane))


def has_more(lane: str) -> bool:
    return _next(Provider.objects.get(pk=lane)).exists()


_WITH = ("task", "task__channel", "channel", "lane")


def _with_simulated_sources(claimed: list[Take]) -> set[int]:
    found = Take.objects.filter(pk__in=[take.pk for take in claimed], sources__simulated=True)
    return set(found.values_list("pk", flat=True))


def _next(lane: Provider) -> QuerySet[Take]:
    """What could be claimed, best first: finished renders to collect, then priority, then the oldest task.

    A finished render is paid for: it is collected also where the lane or its channel is paused, before it expires.
    """
    waiting = Take.objects.filter(lane=lane, state=State.WAITING, due_at__lte=timezone.now())
    buys = ExpressionWrapper(Q(ref=""), output_field=BooleanField())
    allowed = ~Q(ref="") if lane.paused else ~Q(ref="") | Q(channel__active=True)
    return (
        waiting.filter(allowed)
        .select_related(*_WITH)
        .order_by(buys, "task__priority", "task__created", "position", "pk")
    )
