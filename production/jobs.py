"""What the queue calls. Each job asks the rows what there is to do; a lost or doubled ring changes nothing."""

import time
from copy import copy

import structlog
from django.conf import settings
from django.db import OperationalError
from django.utils import timezone

from production import (
    alerts,
    attempts,
    board,
    broker,
    dispatch,
    drift,
    flow,
    intake,
    ledger,
    outbox,
    reconcile,
    sharing,
    takes,
)
from production.attempts import Outcome
from production.errors import LASTING, Kind, StaleError, Trouble
from production.models import Take
from production.providers import cluster

log = structlog.get_logger(__name__)
SLICE = 2.0  # seconds a job watches its scripts although other jobs wait for a worker


def work(lane: str) -> None:
    """There may be work in the lane: take over what is orphaned, claim what is due, carry it out, and whenever a take
    has ended claim what has got room by that. Where other jobs wait for a worker, its scripts go on alone for a moment:
    whoever hears the lane's next ring watches them."""
    most = dispatch.batch(lane)
    taken = dispatch.adopt(lane, most)
    taken += dispatch.claim(lane, most - len(taken))
    if not taken:
        return
    if dispatch.has_more(lane):
        dispatch.ring_lane(lane)  # somebody else may take the rest meanwhile
    own, until = cluster(lane), time.monotonic() + SLICE
    outcomes = attempts.carry_out(
        taken,
        seconds=settings.JOB_SECONDS,
        more=lambda under_way: dispatch.claim(lane, most - under_way) if most > 1 else [],
        go_on=lambda: time.monotonic() < until or not broker.is_anybody_waiting(own),
    )
    for take, outcome in outcomes:
        _settle(take, outcome)
    dispatch.ring_lane(lane)


def ask(lane: str) -> None:
    """Ask a provider about all its outstanding renders at once; nobody waits for them."""
    due = dispatch.to_ask(lane)
    states, accounts = attempts.ask(due) if due else ({}, {})
    for account, trouble in accounts.items():
        _tell_of_asking(lane, account, trouble)
    for take in due:
        _heed(take, states.get(take.ref, {}))
    takes.asked(due)
    dispatch.ring_lane(lane)


def _tell_of_asking(lane: str, account: str, trouble: str) -> None:
    """What is rendered is paid for: that nobody can ask about it must not stay unsaid."""
    cause = f"asking:{lane}:{account}"
    if trouble:
        message = f"Lane {lane} can't ask about the renders of {account}: {trouble}. It goes on asking until it can."
        alerts.raise_alarm(message, cause=cause)
    else:
        alerts.resume(cause, f"Resumed: lane {lane} asks about the renders of {account} again")


def take_in() -> None:
    intake.process()


def poll(board_id: int) -> None:
    reconcile.poll(board_id)


def compare(board_id: int) -> None:
    drift.compare(board_id)


def settle_drift(drift_id: int) -> None:
    drift.settle(drift_id)


def tell(task_id: int) -> None:
    outbox.tell(task_id, first=intake.look_before_telling)


def tell_board(board_id: int) -> None:
    board.tell_channels(board_id)


def share(task_id: int) -> None:
    sharing.share(task_id)


def deliver(delivery_id: int) -> None:
    alerts.deliver(delivery_id)


def _heed(take: Take, said: dict[str, object]) -> None:
    """Act on what the provider says of one render; "generating" and silence mean: ask again later.
    After RENDER_LIMIT the one, or a refusal that lasts, is unknown; silence no longer keeps others from the lane."""
    state = said.get("state")
    if state == "success":
        takes.line_up_to_collect(take)
    elif state == "fail":
        kind = str(said.get("kind"))
        message = str(said.get("message") or "the provider could not render it")[:500]
        trouble = Trouble(Kind(kind) if kind in list(Kind) else Kind.PERMANENT, message)
        _settle(take, Outcome(trouble=trouble, usd=attempts.usd_of(said)))
    elif not take.started or timezone.now() - take.started <= settings.RENDER_LIMIT:
        return
    elif state != "generating" and said.get("kind") not in LASTING:
        takes.make_room(take)
    else:
        why = f" ({said['message']})" if said.get("message") else ""
        message = f"no result within {settings.RENDER_LIMIT}{why}; the provider may still bill it"[:500]
        _settle(take, Outcome(trouble=Trouble(Kind.UNKNOWN, message)))


def _settle(take: Take, outcome: Outcome) -> None:
    try:
        flow.settle(copy(take), outcome)  # one that fails half-way leaves `take` as it was claimed
    except StaleError as late:
        log.warning("take_settle_late", take=take.pk, task=take.task_id, reason=str(late))
    except OperationalError:
        raise  # the database is away; the claim's lease runs out and the outcome is found again
    except Exception as error:
        if outcome.trouble:
            raise
        log.exception("take_settle_broke", take=take.pk, task=take.task_id, piece=take.name)
        flow.settle(take, _broken(take, outcome, error))


def _broken(take: Take, outcome: Outcome, error: Exception) -> Outcome:
    """What was made or submitted is paid for, though it could not be booked: it is not bought again by itself."""
    trouble = attempts.broken(take, error)
    if outcome.ref and take.token:
        takes.heard_of(take.token, outcome.ref)
    if not outcome.output:
        return Outcome(trouble=trouble, usd=outcome.usd)
    paid = ledger.intended(take) if outcome.usd is None else outcome.usd
    return Outcome(trouble=Trouble(Kind.PERMANENT, trouble.message), usd=paid)
