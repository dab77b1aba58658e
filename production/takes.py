"""The only writer of takes: their state, their claim, and which one of a piece is selected.

Every change after a claim is a guarded UPDATE that bears the claim's token and holder: who comes late moves nothing.
Callers hold the task's row lock wherever two settling takes could miss each other.
"""

import datetime as dt
import hashlib
import json
import socket
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Max, Q, When
from django.utils import timezone

from channels_app.models import Channel
from production.errors import Kind, StaleError, Trouble
from production.holders import is_dead
from production.models import IN_FLIGHT, Take, Task
from production.providers import is_simulated
from production.stages import PIECES, Piece
from production.statements import Part, columns, read_with

State = Take.State
WITH = ("task__channel", "channel", "lane")  # what whoever works on a take will read
SLOTS = json.dumps({piece.kind: piece.slots for piece in PIECES})
ASK_LIMIT = dt.timedelta(seconds=30)  # a provider that does not answer in this time is asked another time

CLAIM = """
UPDATE production_take AS take
SET state = 'claimed', token = gen_random_uuid(), holder = %(holder)s, host = %(host)s, started = %(now)s,
    lease_until = %(lease)s,
    attempt = attempt + (ref = '')::int,
    slots = CASE WHEN ref = '' THEN (%(slots)s::jsonb ->> kind)::int ELSE 0 END,
    simulated = kind = ANY(%(simulated)s) OR EXISTS (
        SELECT FROM production_take_sources AS link JOIN production_take AS source ON source.id = link.to_take_id
        WHERE link.from_take_id = take.id AND source.simulated
    )
FROM (SELECT id FROM production_take WHERE id = ANY(%(ids)s) AND state = 'waiting' AND NOT (paused AND ref = '')
    FOR NO KEY UPDATE SKIP LOCKED) AS line
WHERE take.id = line.id
RETURNING take.*
"""
CLAIMED = f"""
SELECT {columns(Take, "claimed")}, {columns(Task, "task")}, {columns(Channel, "channel")}
FROM claimed
JOIN production_task AS task ON task.id = claimed.task_id
JOIN channels_channel AS channel ON channel.id = task.channel_id
"""  # noqa: S608 - names of columns


# ---------------------------------------------------------------- planned


def plan(
    task: Task,
    piece: Piece,
    position: int,
    *,
    prompt: str,
    recipe: dict[str, Any],
    fingerprint: str,
    sources: Iterable[Take],
    due_at: dt.datetime | None = None,
) -> Take:
    """A new take of a piece; the one that is selected stays so until this one is done."""
    sources = list(sources)
    last = task.takes.of(piece.kind, position).aggregate(n=Max("number"))["n"] or 0
    take = Take.objects.create(
        task=task,
        channel_id=task.channel_id,
        lane_id=piece.lane,
        priority=task.priority,
        paused=task.paused,
        kind=piece.kind,
        position=position,
        number=last + 1,
        prompt=prompt,
        recipe=recipe,
        fingerprint=fingerprint,
        due_at=due_at or timezone.now(),
    )
    take.sources.set(sources)
    return take


def cancel(takes: Iterable[Take]) -> int:
    """Let go of takes that nobody works on; one in flight is settled by whoever holds it."""
    return Take.objects.filter(
        pk__in=[take.pk for take in takes], state__in=[State.WAITING, State.UNKNOWN, State.FAILED]
    ).update(state=State.CANCELLED, finished=timezone.now())


# ---------------------------------------------------------------- claimed


def claim(ids: Sequence[int], holder: str, now: dt.datetime, **beside: Part) -> list[Take]:
    """WAITING -> CLAIMED, in the order of `ids`. Called with the lane's row locked. What somebody else has locked or
    moved meanwhile (a cancel) is left out. One statement for any number; `beside` is what others write in it about
    those in `claimed`.

    Whether a take is simulated shows now, when it goes to an address, or already in what it is made from. One that
    already has the provider's job id is claimed to collect it: that is no new attempt, buys nothing, needs no slot.
    """
    if not ids:
        return []
    values: dict[str, Any] = {"ids": list(ids), "holder": holder, "host": socket.gethostname(), "now": now}
    values |= {"lease": now + settings.LEASE, "slots": SLOTS, "simulated": _simulated_kinds()}
    parts = {"claimed": Part(CLAIM, values)} | beside
    found = {}
    for take, task, channel in read_with(parts, CLAIMED, Take, Task, Channel):
        take.task, take.channel, task.channel = task, channel, channel
        found[take.pk] = take
    return [found[pk] for pk in ids if pk in found]


def _simulated_kinds() -> list[str]:
    return [piece.kind for piece in PIECES if is_simulated(piece)]


def adopt(take: Take, holder: str) -> None:
    """Take over the claim of a holder whose lease has run out: same token, same folder, perhaps still running."""
    _guarded(take, holder=holder, lease_until=timezone.now() + settings.LEASE)


def renew(takes: Iterable[Take]) -> None:
    """Push the leases on, where they are still ours."""
    for take in takes:
        _mine(take).update(lease_until=timezone.now() + settings.LEASE, progress=take.progress)


def reap() -> set[str]:
    """End the leases of this machine's holders that are not alive any more. Returns the lanes they worked in.

    Whose holders they are stands in their names: what another machine has taken over still has ours as its `host`.
    """
    held = Take.objects.filter(state=State.CLAIMED, lease_until__gt=timezone.now())
    dead = {holder for holder in set(held.values_list("holder", flat=True)) if is_dead(holder)}
    orphans = held.filter(holder__in=dead)
    lanes = set(orphans.values_list("lane_id", flat=True)) if dead else set()
    orphans.update(lease_until=timezone.now())
    return lanes


def let_go(take: Take) -> None:
    """The job has no time left but the script goes on: whoever hears the next ring adopts it."""
    _mine(take).update(lease_until=timezone.now())


def is_held(take: Take) -> bool:
    """True while the claim that `take` was read under is still in force."""
    return bool(_mine(take).exists())


# ---------------------------------------------------------------- settled


def submitted(take: Take, ref: str) -> None:
    """The provider has it; nobody needs to hold it any more."""
    _guarded(take, state=State.SUBMITTED, ref=ref, due_at=timezone.now() + settings.ASK_EVERY, **_RELEASED)


def done(take: Take, **what: Any) -> None:
    """Finished, and from now on the selected take of its piece. `what`: its columns from `output` to `measured`."""
    _guarded(
        take,
        state=State.DONE,
        **what,
        error="",
        error_kind="",
        finished=timezone.now(),
        **_LET_GO,
    )
    select(take)


def bring_in(take: Take, *, token: uuid.UUID, overruled_by: str = "", **what: Any) -> None:
    """WAITING -> DONE without an attempt: its file was made elsewhere and costs nothing here. `what` is as for `done`;
    one whose sources are not there is wanted as it is by a person."""
    _guarded(take, state=State.DONE, token=token, overruled_by=overruled_by, finished=timezone.now(), **what)
    select(take)


def keep_look(take: Take, *, findings: list[dict[str, Any]], measured: dict[str, Any]) -> None:
    """What a belated look has found, unless another one was faster."""
    Take.objects.unseen().filter(pk=take.pk, output=take.output).update(findings=findings, measured=measured)


def again_at(take: Take, trouble: Trouble, due_at: dt.datetime, *, counts: bool, keep_ref: bool) -> None:
    """Failed for now; another attempt (or, with its ref kept, another look) when it is due."""
    _guarded(
        take,
        state=State.WAITING,
        due_at=due_at,
        tries=F("tries") + int(counts),
        error=trouble.message,
        error_kind=trouble.kind,
        **_draft(trouble),
        **_ref(keep=keep_ref),
        **_LET_GO,
    )


def failed(take: Take, trouble: Trouble, *, keep_ref: bool = False) -> None:
    """Failed for good, until a person says otherwise. The id of a job that may still be collected is kept."""
    _guarded(
        take,
        state=State.FAILED,
        error=trouble.message,
        error_kind=trouble.kind,
        finished=timezone.now(),
        **_draft(trouble),
        **_ref(keep=keep_ref),
        **_LET_GO,
    )


def unknown(take: Take, trouble: Trouble, until: dt.datetime) -> None:
    """The paid call may have happened; wait so long for the provider to say so itself."""
    _guarded(take, state=State.UNKNOWN, due_at=until, error=trouble.message, error_kind=trouble.kind, **_LET_GO)


def select(take: Take) -> None:
    """Make this done take the one that counts."""
    Take.objects.of(take.kind, take.position).filter(task_id=take.task_id, selected=True).update(selected=False)
    Take.objects.filter(pk=take.pk, state=State.DONE).update(selected=True)
    take.refresh_from_db()


def amend(take: Take, result: dict[str, Any]) -> None:
    """A person's words in a step of the plan; its file keeps what the model wrote. No yes to the former words holds."""
    digest = hashlib.sha256(json.dumps(result, sort_keys=True).encode()).hexdigest()
    Take.objects.filter(pk=take.pk, state=State.DONE).update(result=result, sha256=digest)
    take.refresh_from_db()


def write_again(task: Task, steps: Iterable[int]) -> None:
    """A person has a step of the plan made again: those that follow from it are no longer wanted as they are."""
    task.takes.filter(kind="plan", position__in=steps, selected=True).update(overruled_by="")


def overrule(take: Take, *, by: str) -> None:
    """A person wants this take, current or not; a newer one that failed stands back."""
    Take.objects.filter(pk=take.pk, state=State.DONE).update(overruled_by=by)
    newer = Take.objects.of(take.kind, take.position).filter(task_id=take.task_id, number__gt=take.number)
    newer.filter(state__in=[State.FAILED, State.WAITING]).update(state=State.CANCELLED)
    select(take)


# ---------------------------------------------------------------- asked about, asked for again


def ask_later(take: Take) -> bool:
    """Reserve the right to ask about a submitted take; False where another tick was faster."""
    met = Take.objects.filter(pk=take.pk, state=State.SUBMITTED, due_at=take.due_at)
    return bool(met.update(due_at=timezone.now() + settings.ASK_EVERY + ASK_LIMIT))


def asked(takes: Iterable[Take]) -> None:
    """The provider has been asked and some are not ready: again after the usual pause."""
    still = Take.objects.filter(pk__in=[take.pk for take in takes], state=State.SUBMITTED)
    still.update(due_at=timezone.now() + settings.ASK_EVERY)


def make_room(take: Take) -> None:
    """Nobody has heard of it for too long: it is asked about as before, and others may use its slots."""
    Take.objects.filter(pk=take.pk, state=State.SUBMITTED).update(slots=0)


def line_up_to_collect(take: Take) -> None:
    """The provider has finished: line up to collect."""
    Take.objects.filter(pk=take.pk, state=State.SUBMITTED).update(state=State.WAITING, due_at=timezone.now(), slots=0)


def read_ref(take: Take) -> None:
    """A callback may have named the job since the take was read; the next one waits until this transaction ends."""
    take.refresh_from_db(fields=["ref"], from_queryset=Take.objects.select_for_update(no_key=True))


@transaction.atomic
def heard_of(token: uuid.UUID, ref: str) -> Take | None:
    """A provider called back with our token: now the job id is known, also of a take whose reply was lost."""
    take = Take.objects.select_for_update(no_key=True).filter(token=token, ref__in=["", ref]).first()
    if take is None:
        return None
    same = Take.objects.filter(pk=take.pk, token=token, ref=take.ref)
    if same.filter(state__in=[State.UNKNOWN, State.SUBMITTED]).update(
        state=State.SUBMITTED,
        ref=ref,
        due_at=timezone.now(),
        error="",
        error_kind="",
        slots=Case(*(When(kind=piece.kind, then=piece.slots) for piece in PIECES), default=1),
    ):
        return take
    # Whoever holds the claim, or tries again what ended as unknown, finds the id there and buys nothing.
    to_be_tried = Q(state__in=[State.FAILED, State.WAITING], error_kind=Kind.UNKNOWN)
    same.filter(Q(state=State.CLAIMED) | to_be_tried).update(ref=ref)
    return None


def retry(take: Take) -> None:
    """Another attempt: the count of tries begins anew; a job that the provider has is collected, not bought again."""
    Take.objects.filter(pk=take.pk, state__in=[State.FAILED, State.UNKNOWN]).update(
        state=State.WAITING, tries=0, due_at=timezone.now(), finished=None
    )


def may_be_bought_again(take: Take) -> None:
    """A person has decided about an outcome that nobody could find out: now it has failed like any other."""
    Take.objects.filter(pk=take.pk, ref="", error_kind=Kind.UNKNOWN, state__in=[State.FAILED, State.UNKNOWN]).update(
        state=State.FAILED, error_kind=Kind.TRANSIENT
    )


def discard(task: Task) -> None:
    """Nothing that was made counts any more; all of it is kept. Nothing may be under way (`is_under_way`)."""
    task.takes.update(state=State.CANCELLED, selected=False)


def is_under_way(task: Task) -> bool:
    """Whether something is being made, or lies with a provider, that will still come in."""
    return bool(task.takes.filter(Q(state__in=IN_FLIGHT) | Q(state=State.WAITING) & ~Q(ref="")).exists())


def hurry(task: Task) -> None:
    """Do not wait out a back-off: a person has said "now"."""
    task.takes.filter(state=State.WAITING, due_at__gt=timezone.now()).update(due_at=timezone.now(), tries=0)


def _draft(trouble: Trouble) -> dict[str, Any]:
    return {} if trouble.draft is None else {"result": trouble.draft}


def _ref(*, keep: bool) -> dict[str, str]:
    """A kept id is not written: a callback may have named it since the take was read."""
    return {} if keep else {"ref": ""}


_RELEASED: dict[str, Any] = {"holder": "", "lease_until": None, "progress": ""}  # nobody is at it any more
_LET_GO: dict[str, Any] = _RELEASED | {"slots": 0}  # ... and it uses nothing of its lane


def _mine(take: Take) -> Any:
    return Take.objects.filter(pk=take.pk, state=take.state, token=take.token, holder=take.holder)


def _guarded(take: Take, **changes: Any) -> None:
    if not _mine(take).update(**changes):
        raise StaleError(f"{take} is held by somebody else by now")
    take.refresh_from_db()
