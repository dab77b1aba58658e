"""Productions begun by hand go on here: documents become a task with its plan, files that exist finished takes.

Understood first, as a whole and without a trace; then made in one transaction, its files copied beforehand, so that
an import is there or is not. The plan passes the same check as a planned one and lands by the same way.
"""

import datetime as dt
import hashlib
import json
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from channels_app.models import Channel
from production import (
    decisions,
    documents,
    flow,
    looking,
    notion,
    planning,
    probe,
    recipes,
    takes,
    wishes,
    workspace,
)
from production.documents.findings import Findings, Remark
from production.documents.markdown import Place
from production.documents.media import Piece, find_media
from production.errors import Trouble
from production.looking import Looked
from production.models import Clip, NotionBoard, Take, Task
from production.recipes import Need, Recipe
from production.stages import PIECE, PIECES, STAGE, STAGES, STEPS, Status

log = structlog.get_logger(__name__)
Json = dict[str, Any]
NARRATION = next(step.number for step in STEPS if step.name == "narration")  # what says that two productions are one


class ImportingError(Exception):
    """One line for each fault: file, line, what is wrong."""


@dataclass(frozen=True)
class Medium:
    """A file that exists, as it was measured."""

    path: Path
    sha256: str
    size: int
    seconds: float | None
    looked: Looked = field(default_factory=Looked)

    @property
    def columns(self) -> Json:
        """Of its take."""
        figures = {"findings": self.looked.findings, "measured": self.looked.measured}
        return figures | {"sha256": self.sha256, "size": self.size, "seconds": self.seconds}


@dataclass
class Production:
    """What was understood of a folder; nothing with `faults` is imported. `notes`: what was guessed or left out."""

    channel: Channel
    plan: Json
    media: dict[Piece, Medium] = field(default_factory=dict)
    faults: list[Remark] = field(default_factory=list)
    notes: list[Remark] = field(default_factory=list)

    @property
    def lacks(self) -> dict[str, list[int]]:
        """What is still to be made before the film: numbers of clips or images by kind."""
        wanted = {piece.kind: _positions(self.plan, piece.kind) for piece in PIECES if piece.per in ("asset", "clip")}
        there = {kind: [n for n in numbers if (kind, n) not in self.media] for kind, numbers in wanted.items()}
        return {kind: numbers for kind, numbers in there.items() if numbers}


def _positions(plan: Json, kind: str) -> list[int]:
    if PIECE[kind].per == "asset":
        return list(range(1, len(plan["assets"]) + 1))
    layouts = Clip.Layout.values if kind not in Clip.Layout.values else [kind]
    return [number for number, clip in enumerate(plan["clips"], 1) if clip["layout"] in layouts]


# ---------------------------------------------------------------- understood


def understand(folder: Path, channel: Channel) -> Production:
    """Read documents and media of a folder. Writes nothing; what is wrong stands in `faults`."""
    reading = documents.read(folder, spare_tags=channel.tags)
    findings = Findings(reading.faults, reading.notes)
    production = Production(channel, reading.plan, {}, findings.faults, findings.notes)
    if not findings.faults:
        _check(reading, findings)
    if not findings.faults:
        found = find_media(folder, reading.plan, reading.seeds, findings)
        production.media = dict(_measured(folder, found, findings))
        _stand_alone(production, reading, findings)
    return production


def _check(reading: documents.Reading, findings: Findings) -> None:
    """The check of every plan, its complaint at the line that it is about."""
    try:
        planning.check_whole(reading.plan)
    except ValueError as error:
        path = getattr(error.__cause__, "json_path", "$")
        whole = _in_whole(path)
        findings.fault(reading.place(whole), str(error).replace(path, whole))


def _in_whole(path: str) -> str:
    """Where a step's output says something, in the whole plan."""
    for name, of_clip in (("narration", "narration"), ("sounds", "sound_prompt")):
        path = re.sub(rf"^\$\.{name}\[(\d+)\]", rf"$.clips[\1].{of_clip}", path)
    return path


def _measured(folder: Path, found: dict[Piece, Path], findings: Findings) -> Iterator[tuple[Piece, Medium]]:
    for piece, path in found.items():
        try:
            yield piece, Medium(path, *workspace.fingerprint(path), probe.seconds_of(path))
        except (Trouble, OSError) as error:
            findings.fault(Place(str(path.relative_to(folder))), f"{error}; mend or remove it, then it is made again")


def _stand_alone(production: Production, reading: documents.Reading, findings: Findings) -> None:
    """A clip that shows one picture has nothing to be joined: the picture itself is its still."""
    keys = [asset["key"] for asset in production.plan["assets"]]
    for number, clip in enumerate(production.plan["clips"], 1):
        still, key = (clip["layout"], number), clip["environment"]
        if clip["character"] != key or still in production.media:
            continue
        if picture := production.media.get(("image", keys.index(key) + 1)):
            production.media[still] = picture
        elif ("clip", number) not in production.media:
            place = reading.place(f"$.clips[{number - 1}]")
            findings.fault(place, f"clip {number} shows “{key}” alone: make its picture first, or name a character too")


# ---------------------------------------------------------------- made


def bring_in(production: Production, *, page_id: str = "", by: str, stage: str = "") -> Task:
    """Make the production a task of the Notion row `page_id`, or of a new row, and let it go on.

    Without `stage` it is queued: it passes what is done by itself and asks at each gate. With it everything before
    counts as approved. Errors: ImportingError, Trouble where Notion can't be asked.
    """
    if production.faults:
        raise ImportingError("\n".join(map(str, production.faults)))
    page_id = _page_id(page_id)
    _refuse_twice(production, page_id)
    _refuse_too_early(production, stage)
    with workspace.scratch() as folder:
        copies = {piece: _copy(medium, folder, piece) for piece, medium in production.media.items()}
        _look_over(production, copies)
        page = _row(production, page_id)
        try:
            task = _make(production, page, copies, by=by, stage=stage)
        except IntegrityError as error:
            raise ImportingError(f"The row {page_id} got a task meanwhile; look at it, then import again") from error
    log.info("import_task_made", task=task.pk, channel=task.channel.slug, by=by, media=len(copies))
    return task


def _page_id(said: str) -> str:
    """As Notion's API writes it."""
    try:
        return str(uuid.UUID(said)) if said else ""
    except ValueError as error:
        raise ImportingError(
            f"“{said}” is no Notion page id: copy the 32 digits at the end of the row's link"
        ) from error


def _refuse_twice(production: Production, page_id: str) -> None:
    """A row has one unfinished task, and nobody means to buy the same film twice."""
    unfinished = Task.objects.exclude(status=Status.PUBLISHED)
    narration = planning.outputs_of(production.plan)["narration"]
    spoken = Take.objects.of("plan", NARRATION).filter(sha256=_digest(narration))
    same = unfinished.filter(channel=production.channel, pk__in=spoken.values("task"))
    if other := unfinished.filter(page_id=page_id).first() or same.first():
        why = "has this Notion row" if other.page_id == page_id else "was made from the same documents"
        raise ImportingError(f"task {other.pk} “{other}” ({other.get_status_display()}) {why} already")


def _refuse_too_early(production: Production, stage: str) -> None:
    for kind, numbers in production.lacks.items():
        if stage and STAGE[PIECE[kind].stage].index < STAGE[stage].index:
            raise ImportingError(f"{kind} {numbers[0]} is missing: begin at {PIECE[kind].stage}, not at {stage}")


def _look_over(production: Production, copies: dict[Piece, Path]) -> None:
    """As takes of ours are looked over when they are made."""
    narrations = {number: clip["narration"] for number, clip in enumerate(production.plan["clips"], 1)}
    for piece, looked in looking.look_over(copies, narrations).items():
        production.media[piece] = replace(production.media[piece], looked=looked)


def _copy(medium: Medium, folder: Path, piece: Piece) -> Path:
    """On the workspaces' own disk, so that it only has to be moved later."""
    copy = folder / f"{piece[0]}-{piece[1]}{medium.path.suffix}"
    shutil.copyfile(medium.path, copy)
    if workspace.fingerprint(copy) != (medium.sha256, medium.size):
        raise ImportingError(f"{medium.path.name}: changed while it was read; import again")
    return copy


@transaction.atomic
def _make(production: Production, page: notion.Page | str, copies: dict[Piece, Path], *, by: str, stage: str) -> Task:
    task = _task(production, page)
    try:
        _bring_in_plan(task, production.plan, by)
        for each in STAGES:
            _bring_in_stage(task, each.name, production, copies, by)
        if stage:
            decisions.begin_at(task, stage, by=by)
        else:
            decisions.submit(task, by=by)
    except BaseException:
        workspace.remove(task)  # its row goes with the transaction
        raise
    task.refresh_from_db()
    return task


def _task(production: Production, page: notion.Page | str) -> Task:
    """What the row says counts; what it does not say is in the documents."""
    words = wishes.said_by(page) if isinstance(page, notion.Page) else {}
    words["title"] = words.get("title") or production.plan["title"]
    words["topic"] = words.get("topic") or production.plan["story"]
    page_id = page.id if isinstance(page, notion.Page) else page
    return Task.objects.create(channel=production.channel, page_id=page_id, **words)


def _bring_in_plan(task: Task, plan: Json, by: str) -> None:
    """Step by step. It is the operator's own word: a mended topic does not buy another one."""
    outputs = planning.outputs_of(plan)
    for step in STEPS:
        needs = recipes.needs(task, STAGES[0])
        (need,) = [need for need in needs if need.key == ("plan", step.number)]
        take, token = _planned(task, need), uuid.uuid4()
        take.token = token
        path = _place(take)
        workspace.write(path, _source(outputs[step.name]))
        sha256, size = workspace.fingerprint(path)
        _settle(task, take, path, by, result=outputs[step.name], sha256=sha256, size=size, seconds=None)


def _bring_in_stage(task: Task, stage: str, production: Production, copies: dict[Piece, Path], by: str) -> None:
    """Piece by piece as what they are made from is there; then those whose sources are lost: a person has them."""
    left = {need.key for need in recipes.needs(task, STAGE[stage])} & copies.keys()
    while left:
        needs = [need for need in recipes.needs(task, STAGE[stage]) if need.key in left]
        ready = [need for need in needs if need.recipe] or needs
        for need in ready:
            _bring_in_medium(task, need, production.media[need.key], copies[need.key], by)
            left.remove(need.key)


def _bring_in_medium(task: Task, need: Need, medium: Medium, copy: Path, by: str) -> None:
    take = _planned(task, need)
    take.token = uuid.uuid4()
    path = copy.rename(_place(take))
    if (poster := looking.poster_of(copy)).exists():
        poster.rename(looking.poster_of(path))
    _settle(task, take, path, "" if need.recipe else by, result={}, **medium.columns)


def _planned(task: Task, need: Need) -> Take:
    recipe = need.recipe or Recipe(need.piece.kind)
    return takes.plan(
        task,
        need.piece,
        need.position,
        prompt=recipe.prompt,
        recipe=recipe.as_json(),
        fingerprint=recipe.fingerprint if need.recipe else "",
        sources=recipe.sources,
    )


def _place(take: Take) -> Path:
    """Where the take's file lies; its folder is made."""
    folder = workspace.run_folder(take)
    folder.mkdir(parents=True)
    return folder / f"{take.kind}{take.piece.suffix}"


def _settle(task: Task, take: Take, path: Path, overruled_by: str, **what: Any) -> None:
    token = take.token
    assert token
    output = workspace.relative(take, path)
    take.token = None  # as its row still says
    takes.bring_in(take, token=token, overruled_by=overruled_by, output=output, **what)
    take.task = task
    flow.make_count(task, take)


def _source(plan: Json) -> str:
    return json.dumps(plan, ensure_ascii=False, indent=1)


def _digest(plan: Json) -> str:
    return hashlib.sha256(_source(plan).encode()).hexdigest()


# ---------------------------------------------------------------- its row on the board


def _row(production: Production, page_id: str) -> notion.Page | str:
    """The row as it is in Notion, a new one where none is named; its bare id where Notion is not connected."""
    connected = bool(settings.NOTION_API_KEY)
    if page_id:
        return _fitting(notion.fetch(page_id), production.channel) if connected else page_id
    board = NotionBoard.objects.exclude(data_source_id="").order_by("pk").first()
    if not (connected and board):
        lacking = "the board's data source id (admin › Notion boards)" if connected else "NOTION_API_KEY"
        raise ImportingError(f"A task belongs to a Notion row: name it with --page ID, or set {lacking} to add one")
    title, topic, channel = production.plan["title"], production.plan["story"], production.channel.name
    left = _left_over(board, title, channel)
    return left or notion.create(
        board.data_source_id, title=title, topic=topic, channel=channel, status=Status.DRAFT.label
    )


def _left_over(board: NotionBoard, title: str, channel: str) -> str:
    """The row that an import of this title has added and not used: it was broken off after that."""
    added = notion.find(board.data_source_id, title, channel, since=timezone.now() - dt.timedelta(days=1))
    used = set(Task.objects.filter(page_id__in=added).values_list("page_id", flat=True))
    return next((page for page in added if page not in used), "")


def _fitting(page: notion.Page, channel: Channel) -> notion.Page:
    if page.channel not in ("", channel.name):
        raise ImportingError(f"The row {page.id} is for channel “{page.channel}”, not for “{channel.name}”")
    if page.in_trash:
        raise ImportingError(f"The row {page.id} is deleted: restore it, or name another one")
    return page
