"""Rows as tests need them, made the legal way: a task walks to its status by `lifecycle.move`, a take has a real file.

Files go below `settings.WORKSPACE_ROOT`, which `tests/conftest.py` points at the test's own folder.
"""

import itertools
import tempfile
import uuid
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission, User
from django.db import transaction
from django.db.models import Model
from django.utils import timezone

from channels_app.models import Channel
from production import ledger, lifecycle, recipes, takes, workspace
from production.models import Asset, Clip, LedgerEntry, Take, Task
from production.providers import is_simulated
from production.recipes import Need, Recipe
from production.stages import ERRORS, PIECE, STAGE, STAGES, STEPS, Stage, Status, Verb
from production.statements import Part, read_with
from tests.media import ffmpeg, picture

PASSWORD = "a-password-of-the-tests"
NUMBERS = itertools.count(1)
COLOURS = ("#4c6a92", "#b5654a", "#5d8a66", "#a1824a", "#7b5d8f", "#3f8a8c")
SECONDS = {"clip": 10.0, "narration": 8.0, "sound": 10.0, "film": 8.0}
State = Take.State
Step = tuple[Verb, Stage | None, Status]
Row = TypeVar("Row", bound=Model)


def fresh(row: Row) -> Row:
    """The same row, read again."""
    row.refresh_from_db()
    return row


# ---------------------------------------------------------------- people


def make_operator(**words: Any) -> User:
    """A superuser who may decide everything; the password is PASSWORD."""
    words = {"username": f"operator-{next(NUMBERS)}", "password": PASSWORD} | words
    return get_user_model().objects.create_superuser(**words)


def make_staff(*permissions: str, **words: Any) -> User:
    """A member of staff with these permissions of `production` and `channels`, such as "view_task"."""
    words = {"username": f"staff-{next(NUMBERS)}", "password": PASSWORD, "is_staff": True} | words
    user = get_user_model().objects.create_user(**words)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


# ---------------------------------------------------------------- channels and tasks


def make_channel(**words: Any) -> Channel:
    number = next(NUMBERS)
    return Channel.objects.create(**{"slug": f"channel-{number}", "name": f"Channel {number}"} | words)


def make_task(status: Status = Status.DRAFT, *, failed: str = "", reason: str = "", **words: Any) -> Task:
    """A task that has walked to `status`; `failed` names the stage of an error status that serves several."""
    words = {"page_id": str(uuid.uuid4()), "title": f"Video {next(NUMBERS)}", "topic": "The deepest lake"} | words
    if "channel" not in words:
        words["channel"] = make_channel()
    task = Task.objects.create(**words)
    return walk(task, status, failed=failed, reason=reason)


@transaction.atomic
def walk(task: Task, status: Status, *, failed: str = "", reason: str = "") -> Task:
    """Move the task step by step from Draft to `status`."""
    if status != Status.DRAFT:
        for verb, stage, after in _way(status, failed):
            lifecycle.move(task, verb, by="tests", stage=stage, reason=reason if after == status else "")
    task.refresh_from_db()
    return task


def _way(status: Status, failed: str) -> list[Step]:
    """The steps from Draft to `status`, none of them a way back."""
    if status in ERRORS:
        stage = STAGE[failed] if failed else next(stage for stage in STAGES if stage.error == status)
        return [*_way(stage.running, ""), (Verb.FAIL, stage, stage.error)]
    steps = list(_forward())
    end = next(index for index, (_, _, after) in enumerate(steps) if after == status)
    return steps[: end + 1]


def _forward() -> Iterator[Step]:
    yield Verb.SUBMIT, None, Status.QUEUED
    yield Verb.CLAIM, None, Status.CLAIMED
    for stage in STAGES:
        yield Verb.START, stage, stage.running
        yield Verb.FINISH, stage, stage.ready
        if stage.presents:
            yield Verb.PRESENT, stage, stage.review
        if stage.keeps_yes:
            yield Verb.APPROVE, stage, stage.approved


def make_plan(task: Task, *, clips: int = 2, assets: int = 3) -> None:
    """The rows of a plan: the first image is a character, the second an environment, the rest are props."""
    kinds = [Asset.Kind.CHARACTER, Asset.Kind.ENVIRONMENT]
    images = [
        Asset.objects.create(
            task=task,
            number=number,
            key=f"image-{number}",
            kind=kinds[number - 1] if number <= len(kinds) else Asset.Kind.PROP,
            prompt=f"Image {number}: a brass lantern on wet stone, soft light from the left.",
        )
        for number in range(1, assets + 1)
    ]
    for number in range(1, clips + 1):
        Clip.objects.create(
            task=task,
            number=number,
            narration=f"Sentence {number}: below the ice the water stands still and keeps what it was given.",
            motion_prompt=f"Motion {number}: she lifts the lantern, then the camera glides back.",
            sound_prompt=f"Sound {number}: water dripping in a cave.",
            layout=Clip.Layout.SPLIT if number % 4 == 0 else Clip.Layout.COMPOSITE,
            character=images[0],
            environment=images[1],
        )


# ---------------------------------------------------------------- takes


def make_plan_takes(task: Task) -> list[Take]:
    """Every step of the plan, written."""
    made: list[Take] = []
    for step in STEPS:
        need = recipes.needs(task, STAGES[0])[step.number - 1]
        made.append(make_take(task, "plan", step.number, recipe=need.recipe))
    return made


def make_take(
    task: Task, kind: str, position: int = 0, *, usd: str = "", state: State = State.DONE, **words: Any
) -> Take:
    """A take of the piece, by default done and selected, with a real small file; `usd` writes its ledger line."""
    recipe = words.pop("recipe", None) or Recipe(kind, prompt=f"Prompt of {kind} {position}")
    take = takes.plan(
        task,
        PIECE[kind],
        position,
        prompt=words.pop("prompt", recipe.prompt),
        recipe=recipe.as_json(),
        fingerprint=recipe.fingerprint,
        sources=recipe.sources,
    )
    words.setdefault("simulated", is_simulated(PIECE[kind]) or any(source.simulated for source in recipe.sources))
    if state == State.DONE:
        words = _finished(take, words.get("seconds")) | words
        if words["selected"]:
            task.takes.of(kind, position).update(selected=False)
    Take.objects.filter(pk=take.pk).update(state=state, **words)
    take.refresh_from_db()
    if usd:
        make_ledger_entry(take, usd)
    return take


def claim(take: Take, holder: str = "here:1") -> Take:
    """The waiting take, claimed by `holder`."""
    (claimed,) = takes.claim([take.pk], holder, timezone.now())
    return claimed


def reserve(take: Take) -> None:
    """The line of the take's present attempt, as its claim writes it."""
    part = ledger.reserving(take.lane, timezone.now())
    claimed = {"claimed": Part("SELECT * FROM production_take WHERE id = %(take)s", {"take": take.pk}), "line": part}
    read_with(claimed, "SELECT 1")


def make_ledger_entry(take: Take, usd: str, **words: Any) -> LedgerEntry:
    """A settled line of the take's present attempt."""
    words = {"attempt": take.attempt, "intended_usd": Decimal(usd), "actual_usd": Decimal(usd)} | words
    return LedgerEntry.objects.create(
        **{"take": take, "channel_id": take.channel_id, "lane_id": take.lane_id, "state": LedgerEntry.State.SETTLED}
        | words
    )


def make_stage(task: Task, stage: Stage) -> list[Take]:
    """Every piece of the stage, done; what they are made from has to be there. The plan's rows too, where they lack."""
    if stage.index == 0 and not task.clips.exists():
        make_plan(task)
    made: list[Take] = []
    while lacking := [need for need in recipes.needs(task, stage) if _lacks(task, need)]:
        made += [make_take(task, *need.key, recipe=need.recipe) for need in lacking]
    return made


def make_production(status: Status, *, clips: int = 2, assets: int = 3, failed: str = "", **words: Any) -> Task:
    """A task in `status` with its plan and the takes of every stage that it has finished."""
    task = make_task(status, failed=failed, **words)
    make_plan(task, clips=clips, assets=assets)
    for stage in STAGES:
        if task.changes.filter(verb=Verb.FINISH, stage=stage.name).exists():
            make_stage(task, stage)
    return task


def _lacks(task: Task, need: Need) -> bool:
    return need.recipe is not None and not task.takes.of(*need.key).exists()


def _finished(take: Take, seconds: float | None) -> dict[str, Any]:
    """Write the take's file; the columns of a take that is done."""
    take.token = uuid.uuid4()
    length = seconds or SECONDS.get(take.kind)
    written = write_output(take, media(take.piece.suffix, length or 0, COLOURS[take.position % len(COLOURS)]))
    return written | {
        "token": take.token,
        "output": workspace.relative(take, written["output"]),
        "seconds": length,
        "selected": True,
        "attempt": 1 if take.piece.paid else 0,
        "finished": timezone.now(),
    }


def write_output(take: Take, content: bytes) -> dict[str, Any]:
    """Write what the take's attempt has made; its path, sha256 and size."""
    path = workspace.run_folder(take) / f"{take.kind}{take.piece.suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    sha256, size = workspace.fingerprint(path)
    return {"output": path, "sha256": sha256, "size": size}


# ---------------------------------------------------------------- media


@cache
def media(suffix: str, seconds: float = 0, colour: str = COLOURS[0]) -> bytes:
    """A real file of that kind; sounds and films last so many seconds."""
    if suffix == ".png":
        return picture(colour=colour)
    return _sound_or_film(suffix, seconds, colour) if suffix in (".mp4", ".mp3") else b"{}"


def _sound_or_film(suffix: str, seconds: float, colour: str) -> bytes:
    sound = ["-f", "lavfi", "-i", f"sine=frequency=330:duration={seconds}"]
    frames = ["-f", "lavfi", "-i", f"color=c={colour}:s=320x180:r=10:d={seconds}", "-pix_fmt", "yuv420p"]
    inputs = [*sound, *(frames if suffix == ".mp4" else [])]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"media{suffix}"
        ffmpeg(*inputs, "-movflags", "+faststart", path)
        return path.read_bytes()
