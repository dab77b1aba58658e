"""Who is asked before work goes on, and what exactly their yes would be to."""

from channels_app.models import PLAN
from production import lint, recipes
from production.models import Task
from production.stages import STAGES, Stage


def is_gate_open(task: Task, stage: Stage) -> bool:
    """A person is asked where the channel wants it and has not said yes to exactly this content."""
    if not stage.asks(task.channel.gates):
        return stops_at_plan(task)
    said_yes = task.approvals.filter(stage=stage.name, content_hash=recipes.content_hash(task, stage))
    return not said_yes.exists()


def stops_at_plan(task: Task) -> bool:
    """A yes now draws what the plan asks for: it waits for that yes, or asks for images that nobody has drawn."""
    first = STAGES[0]
    if task.status != first.ready:
        return False
    missing, stale = recipes.lacks(task, first)
    undrawn = any(need.piece.per == "asset" for need in missing)
    return undrawn or (bool(missing or stale) and awaits_plan_yes(task))


def asked_about(task: Task, stage: Stage) -> str:
    """What a yes at the task's gate binds to now."""
    return recipes.plan_hash(task) if stops_at_plan(task) else recipes.content_hash(task, stage)


def awaits_plan_yes(task: Task) -> bool:
    """Nothing may be drawn from the plan as it is now: the channel or what lint found wants a person's yes first."""
    if PLAN not in task.channel.gates and not lint.stops(task):
        return False
    return not task.approvals.filter(stage=STAGES[0].name, content_hash=recipes.plan_hash(task)).exists()


def is_yes_void(task: Task, stage: Stage) -> bool:
    """Somebody has said yes, but not to this. No yes at all means that nobody had to be asked."""
    return task.approvals.filter(stage=stage.name).exists() and is_gate_open(task, stage)
