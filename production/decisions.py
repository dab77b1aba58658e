"""What people decide: guard, do, record, go on. One function each for the admin, the API, Notion and the shell.

A second yes to the same content is a no-op that names the first. Errors: IllegalMoveError (a sentence that says what
is possible), DecisionError (what was asked does not fit this task).
"""

from collections.abc import Iterable, Mapping

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from production import flow, gates, handling, ledger, lifecycle, lint, planning, reasons, recipes, rewording, takes
from production.dispatch import ring_lane
from production.errors import DecisionError
from production.look import UNSEEN, Look, witness
from production.models import Approval, Decision, Take, Task
from production.models.decision import VERDICTS
from production.outside import storable
from production.recipes import Need
from production.stages import ERRORS, REVIEWS, STAGE, STAGES, STEP, Stage, Status, Verb, followers

State = Take.State
PICK = "pick"  # a decision that moves nothing
MOST_REASON = 2000


@transaction.atomic
def submit(task: Task, *, by: str) -> None:
    """The creator's yes: plan and images may be bought up to their estimate."""
    lifecycle.move(lifecycle.lock(task.pk), Verb.SUBMIT, by=by)
    flow.slot_is_free(task)


@transaction.atomic
def begin_at(task: Task, stage_name: str, *, by: str) -> None:
    """A draft whose earlier stages were made elsewhere lines up for this one; every gate on the way has this yes."""
    task, stage = lifecycle.lock(task.pk), _stage_called(stage_name)
    before = STAGES[: stage.index]
    shelf = recipes.Shelf(task)
    missing = [need for earlier in before for need in recipes.lacks(task, earlier, shelf)[0]]
    if missing:
        first = f"{missing[0].piece.kind} {missing[0].position or ''}".strip()
        raise DecisionError(f"{first} is missing: it can begin at {missing[0].piece.stage}, not at {stage.name}")
    lifecycle.move(task, Verb.SUBMIT, by=by)
    if before:
        lifecycle.move(task, Verb.CLAIM, by=by)
    for earlier in before:
        lifecycle.move(task, Verb.START, by=by, stage=earlier)
        lifecycle.move(task, Verb.FINISH, by=by, stage=earlier)
        _pass_gate(task, earlier, by)
    flow.slot_is_free(task)


@transaction.atomic
def approve(task: Task, *, by: str, user: User | None = None, look: Look = UNSEEN) -> str:
    """Yes to what lies at the gate. Returns a sentence for the reviewer."""
    task = lifecycle.lock(task.pk)
    stage = _stage_at_gate(task)
    if stage is None:
        return _already_approved(task)
    if gates.stops_at_plan(task):
        return _approve_plan(task, stage, by=by, user=user, look=look)
    content = gates.asked_about(task, stage)
    yes = task.approvals.filter(stage=stage.name, content_hash=content).first()
    if yes and stage.approved == task.status:  # a gate without a status of its own for "approved"
        return f"{yes.by} has approved this already"
    _say_yes(task, stage, content, by=by, user=user)
    witness(task, stage, Verb.APPROVE, by=by, look=look, content=content)
    lifecycle.move(task, Verb.APPROVE, by=by, stage=stage)
    flow.slot_is_free(task)
    return f"{stage.title} approved"


def _approve_plan(task: Task, stage: Stage, *, by: str, user: User | None, look: Look) -> str:
    """Its stage begins again and draws. What lint has found is overruled by that."""
    content = recipes.plan_hash(task)
    witness(task, stage, Verb.APPROVE, by=by, look=look, content=content)
    _say_yes(task, stage, content, by=by, user=user)
    overruled = "; ".join(f"{finding['where']} {finding['message']}" for finding in lint.stops(task))
    reason = f"The plan is approved{f', overruling: {overruled}' if overruled else ''}"
    lifecycle.move(task, Verb.SEND_BACK, by=by, stage=stage, reason=reason[:MOST_REASON])
    flow.slot_is_free(task)
    return "Plan approved"


@transaction.atomic
def rewrite(task: Task, position: int, text: str, *, by: str) -> str:
    """A step of the plan in a person's words (YAML of the shape it has); rows and findings follow. What is drawn from
    words that changed is out of date."""
    task = lifecycle.lock(task.pk)
    step, first = STEP.get(position), STAGES[0]
    if step is None or first not in (_stage_at_gate(task), lifecycle.failed_stage(task)):
        raise DecisionError("A plan is rewritten at the assets gate or after an asset error; send the task back first")
    outputs = planning.outputs_so_far(task)
    take = outputs.get(step.name)
    if take is None:
        raise DecisionError(f"{step.title} is not written yet")
    output = rewording.parsed(text)
    rewording.require_fit(outputs, take, output)
    if task.title == take.result.get("title"):  # the model's, not the creator's
        Task.objects.filter(pk=task.pk).update(title="")
    takes.cancel(task.takes.of("plan", position).filter(state=State.FAILED))  # a person has done what it could not
    takes.amend(take, output)
    planning.land(take)
    _take_back_yes(task, first)
    lifecycle.remark(task, f"{step.title} rewritten", stage=first, by=by)
    return f"{step.title} rewritten"


@transaction.atomic
def reject(task: Task, *, by: str, reason: str = "", look: Look = UNSEEN) -> str:
    """No; the task waits for a person in the stage's error status."""
    reason = _in_words(look, reason)
    if not reason:
        raise DecisionError("Say why: the next person sees only your reason")
    task = lifecycle.lock(task.pk)
    stage = _stage_at_gate(task)
    if stage:
        witness(task, stage, Verb.REJECT, by=by, look=look, reason=reason)
    lifecycle.move(task, Verb.REJECT, by=by, stage=stage, reason=reason)
    _take_back_yes(task, stage)
    return "Rejected; redo pieces or send it back when you know what shall change"


@transaction.atomic
def undo(task: Task, *, by: str, look: Look = UNSEEN) -> str:
    """Back to the gate as it was: the one who has just said yes or no may think again. Nothing has come of it yet."""
    task = lifecycle.lock(task.pk)
    last = task.decisions.last()
    if last is None or not may_be_undone(last, by=by):
        raise DecisionError(f"Only your own yes or no of the last {settings.UNDO.seconds} s can be taken back")
    stage = STAGE[last.stage]
    witness(task, stage, Verb.UNDO, by=by, look=look)
    lifecycle.move(task, Verb.UNDO, by=by, stage=stage)
    task.approvals.filter(stage=stage.name, content_hash=last.content_hash).delete()
    return f"Taken back: {stage.title} waits for you again"


def may_be_undone(decision: Decision, *, by: str) -> bool:
    is_fresh = decision.at > timezone.now() - settings.UNDO
    return decision.by == by and decision.verb in VERDICTS and is_fresh


Words = Mapping[tuple[str, int], str]


@transaction.atomic
def redo(
    task: Task,
    pieces: Iterable[tuple[str, int]],
    *,
    by: str,
    reason: str = "",
    words: Words | None = None,
    look: Look = UNSEEN,
) -> str:
    """These pieces again, as new takes; the old ones are kept. `words` replace the prompts of some of them."""
    task = lifecycle.lock(task.pk)
    stage = _stage_at_gate(task) or lifecycle.failed_stage(task)
    if stage is None:
        raise DecisionError(f"Pieces can be made again at a gate or after an error, not in {task.get_status_display()}")
    wanted = list(dict.fromkeys(pieces))
    if not wanted:
        raise DecisionError("Choose at least one piece")
    reason = _in_words(look, reason) or ", ".join(f"{k} {n or ''}".strip() for k, n in wanted)
    witness(task, stage, Verb.REDO, by=by, look=look, reason=reason)
    for piece, text in (words or {}).items():
        if piece in wanted and text.strip():
            rewording.reword(task, piece, text.strip(), by=by)
    takes.write_again(task, followers([position for kind, position in wanted if kind == "plan"]))
    needs = _needs(task, stage, wanted)
    lifecycle.move(task, Verb.REDO, by=by, stage=stage, reason=reason)
    for need in needs:
        if not _follows(task, need, wanted):
            _plan_again(task, need)
    for lane in {need.piece.lane for need in needs}:
        ring_lane(lane)
    flow.advance(task)
    return f"Making {len(needs)} again"


@transaction.atomic
def retry(task: Task, *, by: str) -> str:
    """Again from the point of failure: what is done stays. What failed gets new tries when its stage starts, if it is
    still asked for in the same words (`flow`); a render that the provider has is collected now."""
    task = lifecycle.lock(task.pk)
    stage = lifecycle.failed_stage(task)
    lifecycle.move(task, Verb.RETRY, by=by, stage=stage)
    for take in task.takes.filter(state__in=[State.FAILED, State.UNKNOWN]):
        if take.ref:
            takes.retry(take)
            ring_lane(take.lane_id)
        else:
            ledger.write_off(take, f"outcome never known; made again by {by}")
            takes.may_be_bought_again(take)
    takes.hurry(task)
    flow.slot_is_free(task)
    return f"Trying {stage.title if stage else 'it'} again"


@transaction.atomic
def send_back(task: Task, stage_name: str, *, by: str, reason: str = "", look: Look = UNSEEN) -> str:
    """To this or an earlier stage, which begins again when a slot is free; later yeses stay only where content does."""
    task, stage = lifecycle.lock(task.pk), _stage_called(stage_name)
    reason = _in_words(look, reason)
    witness(task, _stage_at_gate(task), Verb.SEND_BACK, by=by, look=look, reason=reason)
    lifecycle.move(task, Verb.SEND_BACK, by=by, stage=stage, reason=reason)
    _take_back_yes(task, stage)
    flow.slot_is_free(task)
    return f"Sent back to {stage.title}"


@transaction.atomic
def cancel(task: Task, *, by: str, reason: str = "") -> str:
    """Back to Draft. What waits is let go; what is with a provider is still booked when it comes in."""
    task = lifecycle.lock(task.pk)
    lifecycle.move(task, Verb.CANCEL, by=by, reason=_in_words(UNSEEN, reason))
    takes.cancel(task.takes.filter(state=State.WAITING, ref=""))  # a finished render is paid for: it is collected
    handling.set_pause(task, paused=False)
    flow.slot_is_free(task)
    return "Cancelled; the row is a draft again"


@transaction.atomic
def pick(task: Task, take: Take, *, by: str, look: Look = UNSEEN) -> str:
    """This take, though it is not the newest or out of date: a person's word goes over the fingerprint."""
    task = lifecycle.lock(task.pk)
    if task.status not in REVIEWS and task.status not in ERRORS:
        raise DecisionError(f"A take can be picked at a gate or after an error, not in {task.get_status_display()}")
    if take.task_id != task.pk or take.state != State.DONE:
        raise DecisionError("Only a finished take of this task can be picked")
    if take.kind == "plan":
        _require_a_step(task, take)
    witness(task, STAGE[take.piece.stage], PICK, by=by, look=look, reason=str(take))
    takes.overrule(take, by=by)
    flow.make_count(task, take)
    _take_back_yes(task, _stage_at_gate(task))
    return f"{take} it is"


def _require_a_step(task: Task, take: Take) -> None:
    """Errors: DecisionError where an older take of a step would make no plan with the other steps, or no more can."""
    if take.position not in STEP or STAGES[0] not in (_stage_at_gate(task), lifecycle.failed_stage(task)):
        raise DecisionError("A step of the plan is picked at the assets gate or after an asset error")
    rewording.require_fit(planning.outputs_so_far(task) | {STEP[take.position].name: take}, take, take.result)


@transaction.atomic
def adopt(task: Task, *, by: str) -> str:
    """What is there is enough: every piece has a selected take, so the failed stage counts as done."""
    task = lifecycle.lock(task.pk)
    stage = lifecycle.failed_stage(task)
    missing = recipes.lacks(task, stage)[0] if stage else []
    if stage is None or missing:
        raise DecisionError(
            f"{len(missing)} pieces have no take yet; redo them" if stage else "Nothing has failed here"
        )
    takes.cancel(task.takes.filter(state=State.FAILED))
    flow.end(task, stage, Verb.ADOPT, by=by)
    return f"{stage.title} stands as it is"


def _in_words(look: Look, reason: str) -> str:
    return reasons.in_words(look.codes, storable(reason))[:MOST_REASON]


def _stage_called(name: str) -> Stage:
    if name not in STAGE:
        raise DecisionError(f"There is no stage “{name}”; there are {', '.join(STAGE)}")
    return STAGE[name]


def _pass_gate(task: Task, stage: Stage, by: str) -> None:
    """A yes to what is there, where the channel asks for one."""
    if stage.presents:
        lifecycle.move(task, Verb.PRESENT, by=by, stage=stage)
    if stage.asks(task.channel.gates) or Take.objects.useless(task, stage).exists():
        Approval.objects.create(task=task, stage=stage.name, content_hash=recipes.content_hash(task, stage), by=by)
    if stage.keeps_yes:
        lifecycle.move(task, Verb.APPROVE, by=by, stage=stage)


def _stage_at_gate(task: Task) -> Stage | None:
    return REVIEWS.get(Status(task.status))


def _say_yes(task: Task, stage: Stage, content: str, *, by: str, user: User | None) -> None:
    """The yes in force is this one, from now: one of long ago to the same content would let the next stage begin while
    this may still be taken back."""
    said = {"by": by, "user": user, "at": timezone.now()}
    Approval.objects.update_or_create(task=task, stage=stage.name, content_hash=content, defaults=said)


def _take_back_yes(task: Task, stage: Stage | None) -> None:
    """Or the gate would let the same content pass unseen. That there was a yes stays in the history."""
    if stage:
        task.approvals.filter(stage=stage.name).delete()


def _already_approved(task: Task) -> str:
    """Two people at one task: the second yes is a no-op that names the first."""
    last = task.approvals.order_by("-at").first()
    if last is None:
        raise DecisionError(f"Nothing waits for a yes: the task is in {task.get_status_display()}")
    return f"{last.by} has approved {last.get_stage_display()} already"


def _needs(task: Task, stage: Stage, wanted: list[tuple[str, int]]) -> list[Need]:
    needs = {need.key: need for need in recipes.needs(task, stage)}
    if unknown := [f"{kind} {position}" for kind, position in wanted if (kind, position) not in needs]:
        raise DecisionError(f"{', '.join(unknown)}: not pieces of {stage.title}")
    return [needs[piece] for piece in wanted]


def _follows(task: Task, need: Need, wanted: list[tuple[str, int]]) -> bool:
    """Whether something that it is made from is made again too: then its turn comes by itself when that is done, and
    made now it would be bought twice. What a person picked never goes out of date by itself."""
    sources = {source.key for source in need.recipe.sources} if need.recipe else set()
    picked = task.takes.of(*need.key).filter(selected=True).exclude(overruled_by="")
    return bool(sources & set(wanted)) and not picked.exists()


def _plan_again(task: Task, need: Need) -> None:
    """A new take of the piece; one that failed makes room for it. Without its inputs the stage plans it by itself."""
    former = task.takes.of(*need.key)
    takes.cancel(former.filter(state__in=[State.FAILED, State.WAITING]))
    if former.live().exists():
        raise DecisionError(f"{need.piece.kind} {need.position or ''} is being made at this moment")
    flow.plan(task, need)
