"""From a topic to a production plan, step by step: each a structured call to the text model, told what the steps before
it have settled, and checked before any money follows it.

Whatever the model writes is somebody else's text: bounded by the schema, checked here once more, and refused in a
sentence. What can't be used is sent back with that sentence once; a second such answer is a person's to look at.
"""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from string import Template
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from production import lint, sameness
from production.answers import check, schema
from production.errors import Kind, Trouble
from production.gemini import Answer
from production.models import Asset, Clip, Take, Task
from production.outside import storable
from production.stages import STEP, STEPS, Step

Json = dict[str, Any]
MOST_SOP = 50_000  # characters
MOST_PIECES = 60  # clips or images of one film, as channels may ask for
MOST_DRAFT = 60_000  # characters of an unusable answer that are kept and sent back
FENCE = "```"


def write(take: Take, beat: Callable[[], None]) -> tuple[Json, Decimal | None]:
    """Ask for one step of the plan. Returns (its output, USD). Errors: Trouble; an unusable answer goes back once."""
    step, facts, told = STEP[take.position], take.recipe["facts"], _told(take)
    answer: Answer = import_string(settings.TEXT_WRITER)(
        instructions(step, facts, told, take.channel.slug) + _mending(take), schema(step, facts, told), take.channel
    )
    try:
        if answer.is_cut:
            raise ValueError("it was cut off at the model's limit; be shorter")
        return read(answer.text, step, facts, told), answer.usd
    except ValueError as fault:
        raise _unusable(take, answer, str(fault)) from fault


def read(text: str, step: Step, facts: Json, told: Json) -> Json:
    """The step's output in an answer. Errors: ValueError with one sentence."""
    try:
        output = storable(json.loads(_unfenced(text)))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"it is not JSON ({error})"[:200]) from error
    check(output, step, facts, told)
    return dict(output)


def _unfenced(text: str) -> str:
    """Without the fence that models like to put around JSON. By hand: a pattern with blanks on both sides took six
    minutes over an answer of eight thousand blanks, and models do end in those."""
    bare = text.strip()
    is_fenced = len(bare) >= 2 * len(FENCE) and bare.startswith(FENCE) and bare.endswith(FENCE)
    return bare[len(FENCE) : -len(FENCE)].removeprefix("json") if is_fenced else bare


def _told(take: Take) -> Json:
    """What the steps before have settled: {step's name: its output}."""
    return {STEP[source.position].name: source.result for source in take.sources.filter(kind="plan")}


def _mending(take: Take) -> str:
    if not take.result.get("draft"):
        return ""
    return (
        f"\n\n# Your last answer could not be used\nWhy: {take.result['fault']}\nWrite all of it again without that "
        f"fault, as JSON of the schema and nothing else. It was:\n{take.result['draft']}"
    )


def _unusable(take: Take, answer: Answer, fault: str) -> Trouble:
    """Sent back at once the first time; then for a person, and their retry begins without the draft."""
    message = f"The model's answer can't be used: {fault}"[:500]
    if take.result.get("draft"):
        return Trouble(Kind.PERMANENT, f"{message}. It was sent back once already", usd=answer.usd, draft={})
    draft = {"draft": storable(answer.text[:MOST_DRAFT]) or "(nothing)", "fault": str(storable(fault))[:500]}
    return Trouble(Kind.TRANSIENT, message, retry_after=0, usd=answer.usd, draft=draft)


# ---------------------------------------------------------------- what the model is told


def instructions(step: Step, facts: Json, told: Json, slug: str = "") -> str:
    """The task's facts, the step's SOP, and what is settled. Errors: Trouble where the SOP is missing."""
    words = {name: str(value or "-") for name, value in facts.items()}
    sop = Template(_sop(step, slug)).safe_substitute(words)
    settled = json.dumps(told, ensure_ascii=False, indent=1)
    return "\n\n".join([TASK.substitute(words), sop, *([f"# What is settled (keep to it)\n{settled}"] if told else [])])


TASK = Template(
    "# The task\nTitle: $title\nTopic: $topic\nDirection from the creator: $story_direction\n"
    "Language of everything that is spoken or published: $language\nLook of the channel: $style\n"
    "Length: $clips clips of ten seconds each"
)


def _sop(step: Step, slug: str) -> str:
    """A channel's own page goes before the common one. Errors: Trouble, before anything is bought."""
    places = [settings.PROMPTS_DIR / slug / f"{step.sop}.md", settings.PROMPTS_DIR / f"{step.sop}.md"]
    for place in places:
        if place.is_file():
            return _read_sop(place)
    raise Trouble(Kind.PERMANENT, f"The SOP {places[-1].name} is missing in {settings.PROMPTS_DIR}: put it back")


def _read_sop(place: Path) -> str:
    try:
        with place.open(encoding="utf-8") as file:
            text = file.read(MOST_SOP + 1)
    except (OSError, UnicodeDecodeError) as error:
        why = f"The SOP {place} can't be read ({type(error).__name__}): write it as UTF-8 text"
        raise Trouble(Kind.PERMANENT, why) from error
    if len(text) > MOST_SOP:
        raise Trouble(Kind.PERMANENT, f"The SOP {place} has over {MOST_SOP} characters: shorten it")
    return text


# ---------------------------------------------------------------- it becomes rows


def land(take: Take) -> None:
    """The plan becomes rows as soon as its steps fit together; made or rewritten again, it replaces them. Called with
    the task's row locked."""
    task = take.task
    outputs = outputs_so_far(task)
    if len(outputs) < len(STEPS) or misfit(outputs):
        return
    plan = {name: each.result for name, each in outputs.items()}
    task.clips.all().delete()
    task.assets.all().delete()
    assets = _land_assets(task, plan["assets"]["assets"])
    shots = zip(plan["shots"]["clips"], plan["narration"]["narration"], plan["sounds"]["sounds"], strict=True)
    Clip.objects.bulk_create(
        Clip(
            task=task,
            number=number,
            narration=narration,
            motion_prompt=shot["motion_prompt"],
            sound_prompt=sound,
            layout=shot["layout"],
            character=assets[shot["character"]],
            environment=assets[shot.get("environment") or shot["character"]],
        )
        for number, (shot, narration, sound) in enumerate(shots, 1)
    )
    _land_story(task, plan["story"], anew=STEP[take.position].name == "story")
    look_over(task)


def _land_story(task: Task, story: Json, *, anew: bool) -> None:
    """What people have made of description and tags since stays, unless it is the story that comes anew."""
    words: Json = {"title": task.title or " ".join(story["title"].split()), "story": story["story"]}
    if anew or task.story != story["story"]:
        words |= {"description": story["description"], "tags": story["tags"]}
    Task.objects.filter(pk=task.pk).update(**words)
    task.refresh_from_db(fields=list(words))


def outputs_so_far(task: Task) -> dict[str, Take]:
    """The takes that count, by the names of their steps. A plan of before there were steps is none of them."""
    return {STEP[take.position].name: take for take in task.takes.filter(kind="plan", selected=True, position__in=STEP)}


def misfit(outputs: dict[str, Take], changed: Json | None = None) -> str:
    """Why these steps do not make a plan, in a sentence; empty where they do. `changed`: outputs to look at in place
    of the stored ones."""
    changed = changed or {}
    told = {name: take.result for name, take in outputs.items()} | changed
    for step in STEPS:
        take = outputs.get(step.name)
        is_bare = any(STEP[number].name not in told for number in step.after)
        if not take or is_bare or (step.name == "research" and "research" not in changed):
            continue  # not written yet; and nothing of the research lands in rows: an import has none
        try:
            check(told[step.name], step, take.recipe["facts"] | _counts(told), told)
        except ValueError as fault:
            return f"{step.title}: {fault}"
    return ""


def outputs_of(plan: Json) -> dict[str, Json]:
    """A whole plan, as documents have it, cut into what each step would have written. Nobody has researched it."""
    clips = plan["clips"]
    shot = ("layout", "character", "environment", "motion_prompt")
    return {
        "research": {"question": plan["title"], "facts": [], "surprises": [], "doubtful": []},
        "story": {name: plan[name] for name in ("title", "story", "description", "tags")}
        | {"beats": [str(clip["narration"])[:400] for clip in clips]},
        "assets": {"assets": plan["assets"]},
        "shots": {"clips": [{name: clip[name] for name in shot} for clip in clips]},
        "narration": {"narration": [clip["narration"] for clip in clips]},
        "sounds": {"sounds": [clip["sound_prompt"] for clip in clips]},
    }


def check_whole(plan: Json) -> None:
    """Errors: ValueError with one sentence, its `__cause__` the schema's where it is about one place."""
    told = outputs_of(plan)
    for step in STEPS[1:]:
        check(told[step.name], step, _counts(told), told)


def _counts(told: Json) -> Json:
    """How many clips and images there are; a person who rewrites may change what the channel asks for, within what
    channels may ask."""
    lists = {"clips": ("story", "beats"), "assets": ("assets", "assets")}
    found = {name: told.get(step, {}).get(entry) for name, (step, entry) in lists.items()}
    return {name: min(len(each), MOST_PIECES) for name, each in found.items() if isinstance(each, list) and each}


def look_over(task: Task) -> None:
    """What is to be said of the plan's rows before money is spent on them."""
    findings = [*lint.look(task), *sameness.look(task)]
    task.findings = [finding.as_json() for finding in findings]
    Task.objects.filter(pk=task.pk).update(findings=task.findings)


def _land_assets(task: Task, planned: list[Json]) -> dict[str, Asset]:
    assets: dict[str, Asset] = {}
    for number, asset in enumerate(planned, 1):
        assets[asset["key"]] = Asset.objects.create(
            task=task,
            number=number,
            key=asset["key"],
            kind=asset["kind"],
            prompt=asset["prompt"],
            reference=assets.get(asset["reference"]),
        )
    return assets


# ---------------------------------------------------------------- words changed by hand

PLACES = {  # piece -> (step, the path to its words in that step's output, its position in place of "n")
    "image": ("assets", ("assets", "n", "prompt")),
    "clip": ("shots", ("clips", "n", "motion_prompt")),
    "narration": ("narration", ("narration", "n")),
    "sound": ("sounds", ("sounds", "n")),
}


def reworded(outputs: dict[str, Take], kind: str, position: int, words: str) -> tuple[Take, Json] | None:
    """The step that holds this piece's words, with others in their place; None where it is not there."""
    name, path = PLACES[kind]
    take = outputs.get(name)
    if take is None:
        return None
    output: Json = json.loads(json.dumps(take.result))
    *way, last = [position - 1 if part == "n" else part for part in path]
    try:
        place: Any = output
        for part in way:
            place = place[part]
        place[last] = words
    except (KeyError, IndexError, TypeError):
        return None
    return take, output
