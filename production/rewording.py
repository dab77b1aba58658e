"""A plan in a person's words: read, held against the rest of the plan, and written to its step and to the rows."""

import json

import yaml

from production import lint, planning, recipes, takes
from production.errors import DecisionError
from production.models import Approval, Take, Task
from production.outside import storable
from production.stages import PIECE, STAGES, STEP

MOST_DEPTH = 20  # of lists in lists; a plan has three
MOST_TEXT = 100_000  # characters of a step that is rewritten


def parsed(text: str) -> dict[str, object]:
    """A step's output, from YAML of the shape that it has. Errors: DecisionError."""
    if len(text) > MOST_TEXT:
        raise DecisionError(f"At most {MOST_TEXT} characters")
    try:
        _require_plain(text)
        output = storable(json.loads(json.dumps(yaml.safe_load(text))))
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as fault:
        raise DecisionError(f"It can't be read: {' '.join(str(fault).split())[:200]}") from fault
    if not isinstance(output, dict):
        raise DecisionError("It must keep the names that it has, each with its content")
    return output


def _require_plain(text: str) -> None:
    """No bomb: aliases multiply, and of nested lists a hundred thousand characters take the parser minutes. Errors:
    ValueError, yaml.YAMLError."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > MOST_DEPTH:
            raise ValueError("YAML aliases are not for plans" if depth <= MOST_DEPTH else "it is nested too deeply")


def require_fit(outputs: dict[str, Take], take: Take, output: dict[str, object]) -> None:
    """Errors: DecisionError where the plan would not be one with this output of the step."""
    if fault := planning.misfit(outputs, {STEP[take.position].name: output}):
        raise DecisionError(f"{fault}. Nothing was changed")


def reword(task: Task, which: tuple[str, int], words: str, *, by: str) -> None:
    """New words into the plan row that the piece is made from, and into the step that they came from. Errors:
    DecisionError."""
    kind, position = which
    piece = PIECE.get(kind)
    if piece is None or not piece.words:
        raise DecisionError(f"A {kind} has no words of its own; change what it is made from")
    rows = task.assets if piece.per == "asset" else task.clips
    words = storable(words)[:2000]
    rows.filter(number=position).update(**{piece.words: words})
    outputs = planning.outputs_so_far(task)
    if found := planning.reworded(outputs, kind, position, words):
        require_fit(outputs, *found)
        before = _plan_hashes(task)
        takes.amend(*found)  # or the plan's next landing would bring the former words back
        planning.look_over(task)
        _say_yes_to_own_words(task, before, by)


def _plan_hashes(task: Task) -> tuple[str, str]:
    return recipes.plan_hash(task), recipes.content_hash(task, STAGES[0])


def _say_yes_to_own_words(task: Task, before: tuple[str, str], by: str) -> None:
    """Who rewords a piece of an approved plan says yes to it by that; not where lint wants a yes of its own."""
    for old, new in zip(before, _plan_hashes(task), strict=True):
        yes = task.approvals.filter(stage=STAGES[0].name, content_hash=old)
        if old != new and yes.exists() and not lint.stops(task):
            Approval.objects.get_or_create(task=task, stage=STAGES[0].name, content_hash=new, defaults={"by": by})
