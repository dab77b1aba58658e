"""What an attempt came to: booked, and its task moved along. What can't be known is asked about, then decided.

The writers below (lifecycle, takes, ledger) may not know each other; this is where they meet. Whoever settles holds the
task's row lock, so two takes that settle together can't both miss the end of their stage.
"""

import datetime as dt
from copy import copy

import structlog
from django.conf import settings
from django.db import OperationalError, transaction
from django.utils import timezone

from production import alerts, attempts, budget, flow, ledger, lifecycle, providers, takes, workspace
from production.attempts import Outcome
from production.dispatch import ring_lane
from production.errors import LASTING, Kind, StaleError, Trouble
from production.models import Take, Task
from production.providers import most_tries, next_try
from production.stages import RUNNING, STAGE, Stage, Status

log = structlog.get_logger(__name__)
State = Take.State


def settle_surely(take: Take, outcome: Outcome) -> None:
    """Settle; what breaks at that is an outcome of its own. Where that breaks too, its lease runs out and it is found
    again."""
    try:
        settle(copy(take), outcome)  # one that fails half-way leaves `take` as it was claimed
    except StaleError as late:
        log.warning("take_settle_late", take=take.pk, task=take.task_id, reason=str(late))
    except OperationalError:
        raise  # the database is away; the claim's lease runs out and the outcome is found again
    except Exception as error:
        if outcome.trouble:
            raise
        log.exception("take_settle_broke", take=take.pk, task=take.task_id, piece=take.name)
        settle(take, _broken(take, outcome, error))


def _broken(take: Take, outcome: Outcome, error: Exception) -> Outcome:
    """What was made or submitted is paid for, though it could not be booked: it is not bought again by itself."""
    trouble = attempts.broken(take, error)
    if outcome.ref and take.token:
        takes.heard_of(take.token, outcome.ref)
    if not outcome.output:
        return Outcome(trouble=trouble, usd=outcome.usd)
    paid = ledger.intended(take) if outcome.usd is None else outcome.usd
    return Outcome(trouble=Trouble(Kind.PERMANENT, trouble.message), usd=paid)


@transaction.atomic
def settle(take: Take, outcome: Outcome) -> None:
    """Book what an attempt came to and move its task along. One whose claim was adopted meanwhile moves nothing."""
    task = lifecycle.lock(take.task_id)
    if not takes.is_held(take):
        log.warning("take_settle_late", task=task.pk, channel=task.channel.slug, take=take.pk)
        if outcome.ref and take.token:
            takes.heard_of(take.token, outcome.ref)  # as good as a callback
        if outcome.usd is not None:
            ledger.settle(take, outcome.usd)  # what was given up as unknown has a price after all
        return
    takes.read_ref(take)
    take.task = task
    if outcome.trouble:
        _settle_trouble(task, take, outcome.trouble, outcome)
    elif outcome.output:
        _settle_done(task, take, outcome)
    else:
        takes.submitted(take, outcome.ref)
        ledger.submitted(take)
    log.info(
        "take_attempt_settled", task=task.pk, channel=task.channel.slug, take=take.pk, piece=take.name, state=take.state
    )
    flow.advance(task)


def _settle_done(task: Task, take: Take, outcome: Outcome) -> None:
    assert outcome.output
    takes.done(take, output=workspace.relative(take, outcome.output), **outcome.made)
    ledger.settle(take, outcome.usd)
    flow.make_count(task, take)
    lifecycle.show(task)


def _settle_trouble(task: Task, take: Take, trouble: Trouble, outcome: Outcome) -> None:
    if trouble.kind == Kind.UNKNOWN:
        _settle_unknown(task, take, trouble)
        return
    collecting = take.state == State.CLAIMED and bool(take.ref) and not outcome.dead_ref
    wanted = collecting or _is_in_its_stage(task, take)  # a cancelled task buys nothing more
    again = due = next_try(trouble, take.tries + 1, take.lane) if wanted else None
    if again and trouble.kind == Kind.QUOTA and not collecting:  # what is paid is asked for when the quota is back
        again, due = _close_lane(take, trouble, again)
    if not collecting:
        _book_failure(take, trouble, outcome)
    elif not again:
        ledger.settle(take, outcome.usd)  # rendered and billed, only not to be had any more
    if again and due:
        takes.again_at(take, trouble, due, counts=trouble.kind != Kind.QUOTA, keep_ref=collecting)
        _note_next_try(task, take, trouble, again)
    else:
        takes.failed(take, trouble, keep_ref=collecting)
        lifecycle.note(task, f"{take.name}: {trouble.message} ({trouble.kind})", stage=_stage(take))


def _close_lane(take: Take, trouble: Trouble, until: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
    """Nobody else needs to hear the same no: the lane waits, and this take in it. A channel with an account of its own
    waits alone. Returns until when it is, and when the take is due. Before any tally is locked: a claim locks them in
    this order too."""
    if providers.has_own_key(take):
        return until, until
    until = budget.close(take.lane_id, until, trouble.message)
    alerts.raise_alarm(f"Lane {take.lane_id} has used up its quota: {trouble.message}", cause=f"quota:{take.lane_id}")
    return until, timezone.now()


def _settle_unknown(task: Task, take: Take, trouble: Trouble) -> None:
    """With the job's id it is not unknown: it is asked about, and where that was in vain for too long, a person is."""
    if not take.ref:
        ledger.unknown(take, trouble.message)
        takes.unknown(take, trouble, until=timezone.now() + _patience(take))
    elif take.state == State.CLAIMED:
        takes.submitted(take, take.ref)
        ledger.submitted(take)
    else:
        ledger.unknown(take, trouble.message)
        takes.failed(take, trouble, keep_ref=True)
        lifecycle.note(task, f"{take.name}: {trouble.message}; a retry asks once more", stage=_stage(take))


def _book_failure(take: Take, trouble: Trouble, outcome: Outcome) -> None:
    if outcome.usd:
        ledger.settle(take, outcome.usd)
    else:
        ledger.release(take, trouble.message)


def _note_next_try(task: Task, take: Take, trouble: Trouble, again: dt.datetime) -> None:
    what_next = (
        f"waits until {again:%H:%M} UTC"
        if trouble.kind == Kind.QUOTA
        else (f"attempt {take.tries + 1} of {most_tries()} at {again:%H:%M} UTC")
    )
    lifecycle.note(task, f"{take.name}: {trouble.message}; {what_next}", stage=_stage(take))


def _patience(take: Take) -> dt.timedelta:
    """A render calls back with our token even if the reply to its submission was lost; nothing else does."""
    return settings.UNKNOWN_LIMIT if take.piece.two_phase else dt.timedelta()


@transaction.atomic
def give_up_asking(take_id: int) -> None:
    """A take whose outcome can't be found out: written off and bought again if it is cheap and has tries left, else a
    person decides."""
    task = lifecycle.lock(Take.objects.values_list("task_id", flat=True).get(pk=take_id))
    take = Take.objects.select_for_update(of=("self",), no_key=True).select_related("lane").get(pk=take_id)
    if take.state != State.UNKNOWN or take.due_at > timezone.now():
        return
    price = ledger.intended(take)
    again = next_try(Trouble(Kind.TRANSIENT, take.error, retry_after=0), take.tries + 1, take.lane)
    if again and price <= take.lane.write_off_usd and _is_in_its_stage(task, take):
        ledger.write_off(take, f"{take.error}; {price} USD counted as spent")
        takes.again_at(take, Trouble(Kind.UNKNOWN, take.error), again, counts=True, keep_ref=False)
        lifecycle.note(task, f"{take.name}: {take.error}; {price} USD written off, made again now", stage=_stage(take))
        ring_lane(take.lane_id)
    else:
        undecided = Trouble(Kind.UNKNOWN, f"{take.error}; it may have cost {price} USD, so you decide")
        takes.failed(take, undecided, keep_ref=True)
        lifecycle.note(
            task, f"{take.name}: {take.error}; {price} USD may be spent: a person decides", stage=_stage(take)
        )
        flow.advance(task)


def _is_in_its_stage(task: Task, take: Take) -> bool:
    """Whether the task is making what the take is a piece of."""
    return RUNNING.get(Status(task.status)) == _stage(take)


def _stage(take: Take) -> Stage:
    return STAGE[take.piece.stage]


# ---------------------------------------------------------------- a provider was asked


def heed(take: Take, said: dict[str, object]) -> None:
    """Act on what the provider says of one render; "generating" and silence mean: ask again later.
    After RENDER_LIMIT the one, or a refusal that lasts, is unknown; silence no longer keeps others from the lane."""
    state = said.get("state")
    if state == "success":
        takes.line_up_to_collect(take)
    elif state == "fail":
        kind = str(said.get("kind"))
        message = str(said.get("message") or "the provider could not render it")[:500]
        trouble = Trouble(Kind(kind) if kind in list(Kind) else Kind.PERMANENT, message)
        settle_surely(take, Outcome(trouble=trouble, usd=attempts.usd_of(said)))
    elif not take.started or timezone.now() - take.started <= settings.RENDER_LIMIT:
        return
    elif state != "generating" and said.get("kind") not in LASTING:
        takes.make_room(take)
    else:
        why = f" ({said['message']})" if said.get("message") else ""
        message = f"no result within {settings.RENDER_LIMIT}{why}; the provider may still bill it"[:500]
        settle_surely(take, Outcome(trouble=Trouble(Kind.UNKNOWN, message)))


def tell_of_asking(lane: str, account: str, trouble: str) -> None:
    """What is rendered is paid for: that nobody can ask about it must not stay unsaid."""
    cause = f"asking:{lane}:{account}"
    if trouble:
        message = f"Lane {lane} can't ask about the renders of {account}: {trouble}. It goes on asking until it can."
        alerts.raise_alarm(message, cause=cause)
    else:
        alerts.resume(cause, f"Resumed: lane {lane} asks about the renders of {account} again")
