"""What the queue calls. Each job asks the rows what there is to do; a lost or doubled ring changes nothing."""

import time

from django.conf import settings

from production import (
    alerts,
    attempts,
    board,
    broker,
    dispatch,
    drift,
    intake,
    outbox,
    reconcile,
    settling,
    sharing,
    takes,
)
from production.providers import cluster

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
        settling.settle_surely(take, outcome)
    dispatch.ring_lane(lane)


def ask(lane: str) -> None:
    """Ask a provider about all its outstanding renders at once; nobody waits for them."""
    due = dispatch.to_ask(lane)
    states, accounts = attempts.ask(due) if due else ({}, {})
    for account, trouble in accounts.items():
        settling.tell_of_asking(lane, account, trouble)
    for take in due:
        settling.heed(take, states.get(take.ref, {}))
    takes.asked(due)
    dispatch.ring_lane(lane)


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
