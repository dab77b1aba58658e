"""Moves a task along: starts stages, plans what they lack, ends them, opens and passes gates.

The writers below (lifecycle, takes, alerts) may not know each other; this is where they meet. Every function that plans
holds the task's row lock, so two takes that settle together can't both miss the end of their stage.
"""

from collections.abc import Iterator
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.module_loading import import_string

from channels_app.models import Channel
from production import alerts, gates, lifecycle, planning, recipes, takes, workspace
from production.dispatch import ring_lane
from production.errors import Kind, apart
from production.models import Approval, Take, Task
from production.recipes import Need
from production.stages import REVIEWS, RUNNING, STAGES, WAITS_IN, Stage, Status, Verb

SYSTEM = lifecycle.SYSTEM
State = Take.State
BEHIND = 20  # tasks looked at behind those that would fit: a yes may turn out to be void


# ---------------------------------------------------------------- stages begin


@transaction.atomic
def start_waiting(channel_id: int) -> int:
    """Give the channel's free slots to waiting tasks, later stages first. Returns how many were started."""
    channel = Channel.objects.select_for_update(no_key=True).get(pk=channel_id)
    free = channel.max_concurrent - channel.tasks.holding().count()
    started = 0
    if channel.active and free > 0:
        for task in _startable(channel, free):
            with apart("task_start_broke", task=task.pk, channel=task.channel.slug), transaction.atomic():
                started += _start(task)
            if started == free:
                break
    return started


def _startable(channel: Channel, most: int) -> Iterator[Task]:
    """Waiting tasks, the furthest first, some more of each stage than could be started. A fresh yes may still be taken
    back for UNDO seconds; a gate without a status of its own for "approved" is passed with a yes only."""
    fresh = timezone.now() - settings.UNDO
    waiting = channel.tasks.filter(paused=False).exclude(approvals__at__gt=fresh).order_by("priority", "created", "pk")
    for status in (*(stage.waits_in for stage in reversed(STAGES)), Status.QUEUED):
        gate = REVIEWS.get(status)
        there = waiting.filter(status=status)
        if gate:
            yes = Exists(Approval.objects.filter(task=OuterRef("pk"), stage=gate.name))
            useless = Exists(Take.objects.useless(OuterRef("pk"), gate))
            there = there.filter(yes if gate.asks(channel.gates) else yes | ~useless)
        locked = there.select_for_update(of=("self",), skip_locked=True, no_key=True)
        yield from locked.select_related("channel")[: most + BEHIND]


def _start(task: Task) -> bool:
    """False where the gate behind the task is open, or shut with a yes to something else than is there now (X6)."""
    if task.status == Status.QUEUED:
        lifecycle.move(task, Verb.CLAIM, by=SYSTEM)
    stage = WAITS_IN[Status(task.status)]
    before = STAGES[stage.index - 1] if stage.index else None
    if before and not before.keeps_yes and gates.is_gate_open(task, before):
        return False
    if before and before.keeps_yes and gates.is_yes_void(task, before):
        lifecycle.move(task, Verb.SEND_BACK, stage=before, by=SYSTEM, reason="Changed after the yes")
        slot_is_free(task)
        return False
    lifecycle.move(task, Verb.START, stage=stage, by=SYSTEM)
    _try_again(task, stage)
    advance(task)
    return True


def _try_again(task: Task, stage: Stage) -> None:
    """What failed when the task was here before gets new tries if it is still wanted as it was; else it is replaced."""
    latest = _latest(task)
    for need in recipes.needs(task, stage):
        take = latest.get(need.key)
        if take and take.state == State.FAILED and _is_same(take, need) and not _may_have_been_paid(take):
            takes.retry(take)
            ring_lane(take.lane_id)


def _may_have_been_paid(take: Take) -> bool:
    """Its outcome is unknown and can't be asked about: only a person's retry or redo buys it again."""
    return take.error_kind == Kind.UNKNOWN and not take.ref


# ---------------------------------------------------------------- stages go on and end


def advance(task: Task) -> None:
    """Plan what the running stage still lacks; end it when nothing is live any more. The task's row is locked."""
    stage = RUNNING.get(Status(task.status))
    if stage is None:
        return
    shelf, latest = recipes.Shelf(task), _latest(task)
    needs = recipes.needs(task, stage, shelf)
    held = stage.index == 0 and gates.awaits_plan_yes(task)
    free = [need for need in needs if not (held and need.piece.per == "asset")]
    planned = [need for need in free if _plan_if_missing(task, need, latest)]
    for lane in {need.piece.lane for need in planned}:
        ring_lane(lane)
    ours = [take for take in latest.values() if take.piece.stage == stage.name]
    if planned or any(take.is_live for take in ours):
        return
    if broken := [take for take in ours if take.state == State.FAILED and take.key in {need.key for need in needs}]:
        _fail_for(task, stage, broken, len(needs))
    elif stage.index == 0 and shelf.is_planned and not shelf.assets:
        _fail_for_misfit(task, stage)
    elif (needs and all(need.recipe for need in needs)) or (held and shelf.is_planned):
        end(task, stage, Verb.FINISH, by=SYSTEM)
    else:
        reason = "Nothing is left to do and yet pieces are missing; send it back to an earlier stage"
        fail(task, stage, reason, alerts.cause_of(stage.name, reason))


def _latest(task: Task) -> dict[tuple[str, int], Take]:
    """The take that decides about each piece: the selected one, unless a newer one is under way or has failed."""
    found = task.takes.deciding().order_by("kind", "position", "-number")
    return {take.key: take for take in found.distinct("kind", "position")}


def _plan_if_missing(task: Task, need: Need, latest: dict[tuple[str, int], Take]) -> bool:
    """Plan a take of the piece if there is none, or only ones that are out of date."""
    take = latest.get(need.key)
    if need.recipe is None or (take and (take.is_live or _is_wanted(take, need))):
        return False
    if take and take.state == State.FAILED:
        takes.cancel([take])
    plan(task, need)
    return True


def plan(task: Task, need: Need) -> None:
    """A new take of the piece, if what it is made from is there; else `advance` plans it when it is."""
    if need.recipe:
        takes.plan(
            task,
            need.piece,
            need.position,
            prompt=need.recipe.prompt,
            recipe=need.recipe.as_json(),
            fingerprint=need.recipe.fingerprint,
            sources=need.recipe.sources,
        )


def _is_wanted(take: Take, need: Need) -> bool:
    """A finished take that is still current; a failed one only if it would be asked for in the very same words."""
    return _is_same(take, need) if take.state == State.FAILED else recipes.is_current(take, need)


def _is_same(take: Take, need: Need) -> bool:
    recipe = need.recipe
    return recipe is not None and take.recipe == recipe.as_json() and take.fingerprint == recipe.fingerprint


def _fail_for(task: Task, stage: Stage, broken: list[Take], of: int) -> None:
    first = broken[0]
    own = task if first.error_kind == Kind.REFUSED else None
    cause = alerts.cause_of(stage.name, first.error, kind=first.error_kind, lane=first.lane_id, task=own)
    fail(task, stage, f"{len(broken)} of {of} pieces failed: {first.name}: {first.error}", cause)


def _fail_for_misfit(task: Task, stage: Stage) -> None:
    """All steps of the plan are there, and nothing can be drawn from them."""
    fault = planning.misfit(planning.outputs_so_far(task)) or "it asks for no image"
    fail(task, stage, f"The steps of the plan don't fit together: {fault}", alerts.cause_of(stage.name, "misfit"))


def fail(task: Task, stage: Stage, reason: str, cause: str) -> None:
    """To the stage's error status, with an alarm of this cause; a retry begins here again."""
    reason = f"{reason}. It waits for you: retry or redo."
    lifecycle.move(task, Verb.FAIL, by=SYSTEM, stage=stage, reason=reason)
    alerts.raise_alarm(f"“{task}” stopped in {stage.title}: {reason}", cause=cause, task=task, stage=stage.name)
    slot_is_free(task)


def end(task: Task, stage: Stage, verb: Verb, *, by: str) -> None:
    """It is finished, or a person says that what is there is good enough (adopt). Then to its gate; of the first stage
    there may be the plan alone, for which a person is asked first."""
    lifecycle.move(task, verb, by=by, stage=stage)
    _open_gate(task, stage)


def _open_gate(task: Task, stage: Stage) -> None:
    """What looks useless is said where the channel would not have asked."""
    useless = Take.objects.useless(task, stage).first()
    if useless and not stage.asks(task.channel.gates):
        lifecycle.remark(task, f"You are asked: {useless} {useless.findings[0]['words']}", stage=stage, by=SYSTEM)
    if stage.presents:
        lifecycle.move(task, Verb.PRESENT, by=SYSTEM, stage=stage)
    if stage.keeps_yes and not gates.is_gate_open(task, stage):
        lifecycle.move(task, Verb.APPROVE, by=SYSTEM, stage=stage, reason="Nobody has to be asked (again)")
    slot_is_free(task)


def slot_is_free(task: Task) -> None:
    """Look for the next task as soon as this transaction is done. What goes wrong there is not this task's trouble:
    it is logged, and the sweep looks too."""
    transaction.on_commit(partial(start_waiting, task.channel_id), robust=True)


def make_count(task: Task, take: Take) -> None:
    """The selected take's result goes into rows where it belongs there, its file to the piece's own place."""
    if take.piece.lands:
        import_string(take.piece.lands)(take)
        task.refresh_from_db()
    if take.piece.folder:
        workspace.point_to(take, workspace.canonical(take, _file_name(take)))


def _file_name(take: Take) -> str:
    if take.piece.per == "asset":
        asset = take.task.assets.get(number=take.position)
        return f"{asset.kind}s/{asset.key}"
    return f"clip_{take.position:02}" if take.piece.per == "clip" else take.kind


@transaction.atomic
def advance_by_id(task_id: int) -> None:
    advance(lifecycle.lock(task_id))
