"""The two tables that know the pipeline: `STAGES` relates the 26 statuses, `PIECES` says what is made.

Everything else about the pipeline is computed from them: legal moves, gates, admin buttons, Notion options, the
database's CHECK and trigger, `docs/pipeline.md`. A video passes a stage so:

    waits_in --start--> running --finish--> ready --present--> review --approve--> approved (= next stage's waits_in)

Callers say a verb, never a target. Pure: no models, no settings.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from django.db.models import TextChoices

from production.errors import IllegalMoveError


class Status(TextChoices):
    """Where a task stands. The label is what people and Notion read."""

    DRAFT = "draft", "Draft"
    QUEUED = "queued", "Queued"
    CLAIMED = "claimed", "Claimed"
    GENERATING_ASSETS = "generating_assets", "Generating Assets"
    ASSETS_READY = "assets_ready", "Assets Ready"
    ASSETS_APPROVED = "assets_approved", "Assets Approved"
    GENERATING_COMPOSITES = "generating_composites", "Generating Composites"
    COMPOSITES_READY = "composites_ready", "Composites Ready"
    GENERATING_VIDEO = "generating_video", "Generating Video"
    VIDEO_READY = "video_ready", "Video Ready"
    VIDEO_APPROVED = "video_approved", "Video Approved"
    GENERATING_AUDIO = "generating_audio", "Generating Audio"
    AUDIO_READY = "audio_ready", "Audio Ready"
    AUDIO_APPROVED = "audio_approved", "Audio Approved"
    GENERATING_SFX = "generating_sfx", "Generating SFX"
    SFX_READY = "sfx_ready", "SFX Ready"
    ASSEMBLING = "assembling", "Assembling"
    ASSEMBLY_READY = "assembly_ready", "Assembly Ready"
    FINAL_REVIEW = "final_review", "Final Review"
    APPROVED = "approved", "Approved"
    UPLOADING = "uploading", "Uploading"
    PUBLISHED = "published", "Published"
    ASSET_ERROR = "asset_error", "Asset Error"
    VIDEO_ERROR = "video_error", "Video Error"
    AUDIO_ERROR = "audio_error", "Audio Error"
    UPLOAD_ERROR = "upload_error", "Upload Error"


class Verb(StrEnum):
    """What can be asked of a task."""

    SUBMIT = "submit"  # a creator lets go of the row
    CLAIM = "claim"  # it gets one of its channel's slots
    START = "start"  # the takes of the next stage are planned
    FINISH = "finish"  # every piece of the stage is there
    PRESENT = "present"  # the film is laid before its reviewer
    FAIL = "fail"  # a piece can't be had
    APPROVE = "approve"  # yes
    REJECT = "reject"  # no; waits for a person
    REDO = "redo"  # that one again
    SEND_BACK = "send_back"  # to this or an earlier stage
    RETRY = "retry"  # from the point of failure
    CANCEL = "cancel"  # back to Draft
    ADOPT = "adopt"  # what is there stands in for what failed
    UNDO = "undo"  # a yes or a no is taken back before anything came of it


@dataclass(frozen=True)
class Stage:
    """One row of the pipeline. `review` and `approved` are None where nobody can be asked (upload)."""

    name: str
    title: str
    running: Status
    ready: Status
    review: Status | None
    approved: Status | None
    error: Status
    gate: str = "optional"  # "always": a person decides, whatever the channel says; "never": nobody can be asked

    def asks(self, gates: Collection[str]) -> bool:
        """Whether a person is asked here, on a channel with these optional gates."""
        return self.gate == "always" or (self.gate == "optional" and self.name in gates)

    @property
    def presents(self) -> bool:
        """Whether its review has a status of its own, after the one that says it is ready."""
        return self.review not in (None, self.ready)

    @property
    def keeps_yes(self) -> bool:
        """Whether a yes has a status of its own; where it has none, only its `Approval` tells of it."""
        return self.approved not in (None, self.ready)

    @property
    def pieces(self) -> "tuple[Piece, ...]":
        return tuple(piece for piece in PIECES if piece.stage == self.name)

    @property
    def kinds(self) -> list[str]:
        return [piece.kind for piece in self.pieces]

    @property
    def index(self) -> int:
        return STAGES.index(self)

    @property
    def waits_in(self) -> Status:
        """The status just before `running`."""
        if self.index == 0:
            return Status.CLAIMED
        before = STAGES[self.index - 1]
        return before.approved or before.ready

    @property
    def lines_up_in(self) -> Status:
        """Where a task is put that shall do this stage again: the first stage lines up for a slot."""
        return Status.QUEUED if self.index == 0 else self.waits_in


S = Status
# A table is read by its columns.
# fmt: off
STAGES: tuple[Stage, ...] = (
    #     name          title         running                   ready               review              approved            error          gate
    Stage("assets",     "Assets",     S.GENERATING_ASSETS,      S.ASSETS_READY,     S.ASSETS_READY,     S.ASSETS_APPROVED,  S.ASSET_ERROR),
    Stage("composites", "Composites", S.GENERATING_COMPOSITES,  S.COMPOSITES_READY, S.COMPOSITES_READY, S.COMPOSITES_READY, S.ASSET_ERROR),
    Stage("video",      "Video",      S.GENERATING_VIDEO,       S.VIDEO_READY,      S.VIDEO_READY,      S.VIDEO_APPROVED,   S.VIDEO_ERROR),
    Stage("audio",      "Audio",      S.GENERATING_AUDIO,       S.AUDIO_READY,      S.AUDIO_READY,      S.AUDIO_APPROVED,   S.AUDIO_ERROR),
    Stage("sfx",        "SFX",        S.GENERATING_SFX,         S.SFX_READY,        S.SFX_READY,        S.SFX_READY,        S.AUDIO_ERROR),
    Stage("assembly",   "Assembly",   S.ASSEMBLING,             S.ASSEMBLY_READY,   S.FINAL_REVIEW,     S.APPROVED,         S.VIDEO_ERROR,  "always"),
    Stage("upload",     "Upload",     S.UPLOADING,              S.PUBLISHED,        None,               None,               S.UPLOAD_ERROR, "never"),
)
# fmt: on


@dataclass(frozen=True)
class Piece:
    """What is made: by which script (`*.py` in SCRIPTS_DIR) or callable (dotted address), in which lane.

    `per` says how many a task has ("task": one; "clip", "asset" or "step" of STEPS: one each); `seconds` is the time limit of one
    run of a script (a callable has its job's); `lands` is called with a take that is done and whose result belongs into rows, not only into a file.
    """

    kind: str
    stage: str
    lane: str
    per: str
    does: str
    seconds: int
    folder: str = ""
    suffix: str = ""
    words: str = ""  # the field of its clip or asset that holds what it is asked for, and that a person may rewrite
    paid: bool = False
    two_phase: bool = False  # submit, let go, ask, collect
    lands: str = ""
    slots: int = 1  # of its lane, that one take uses
    resumes: bool = False  # a callable that may be called again after a crash and finds out by itself how far it was
    secrets: tuple[str, ...] = ()  # environment names that this script, and no other, is handed

    @property
    def is_script(self) -> bool:
        return self.does.endswith(".py")


PLANNING, UPLOADING = "production.planning", "publishing.jobs"
GEMINI, KIE, VOICE = ("GEMINI_API_KEY",), ("KIE_API_KEY",), ("ELEVENLABS_API_KEY",)
# A table is read by its columns.
# fmt: off
PIECES: tuple[Piece, ...] = (
    #     kind         stage         lane        per      does                         seconds  folder        suffix   words            and what only some have
    Piece("plan",      "assets",     "planning", "step",  f"{PLANNING}.write",         0,       "",           ".json", paid=True, lands=f"{PLANNING}.land", secrets=GEMINI),
    Piece("image",     "assets",     "images",   "asset", "generate_asset.py",         120,     "assets",     ".png",  "prompt",        paid=True, secrets=GEMINI),
    Piece("composite", "composites", "ffmpeg",   "clip",  "create_composite.py",       120,     "composites", ".png"),
    Piece("split",     "composites", "ffmpeg",   "clip",  "create_split_screen.py",    120,     "composites", ".png"),
    Piece("clip",      "video",      "video",    "clip",  "generate_video.py",         600,     "videos",     ".mp4",  "motion_prompt", paid=True, two_phase=True, secrets=KIE),
    Piece("narration", "audio",      "voice",    "clip",  "generate_audio.py",         120,     "audio",      ".mp3",  "narration",     paid=True, secrets=VOICE),
    Piece("sound",     "sfx",        "voice",    "clip",  "generate_sound_effects.py", 120,     "sfx",        ".mp3",  "sound_prompt",  paid=True, secrets=VOICE),
    Piece("film",      "assembly",   "ffmpeg",   "task",  "assemble_video.py",         1800,    "final",      ".mp4", slots=2),
    Piece("upload",    "upload",     "upload",   "task",  f"{UPLOADING}.upload",       0,       "",           ".json", lands=f"{UPLOADING}.land", resumes=True),
)
# fmt: on


@dataclass(frozen=True)
class Step:
    """One step of the plan: its number is its takes' position, `sop` the page in `prompts/` that says how it is done,
    `after` are the steps whose outputs it is told."""

    number: int
    name: str
    title: str
    sop: str
    after: tuple[int, ...] = ()


def followers(numbers: Collection[int]) -> set[int]:
    """The steps that are told, directly or not, what these have settled."""
    found: set[int] = set()
    for step in STEPS:  # in order: what a step is told comes before it
        if {*numbers, *found} & set(step.after):
            found.add(step.number)
    return found


# The text model writes the plan step by step: a step is a paid call of its own, kept, made again or rewritten alone.
# fmt: off
STEPS: tuple[Step, ...] = (
    Step(1, "research",  "Research",        "research"),
    Step(2, "story",     "Story",           "story",         (1,)),
    Step(3, "assets",    "Images to draw",  "assets",        (2,)),
    Step(4, "shots",     "Shot list",       "video_prompts", (2, 3)),
    Step(5, "narration", "Narration text",  "audio",         (1, 2, 4)),
    Step(6, "sounds",    "Sound prompts",   "sound_effects", (2, 4)),
)
# fmt: on


def pieces_in(lane: str) -> tuple[Piece, ...]:
    return tuple(piece for piece in PIECES if piece.lane == lane)


STAGE = {stage.name: stage for stage in STAGES}
STEP = {step.number: step for step in STEPS}
PIECE = {piece.kind: piece for piece in PIECES}
RUNNING = {stage.running: stage for stage in STAGES}
WAITS_IN = {stage.waits_in: stage for stage in STAGES}
ERRORS = frozenset(stage.error for stage in STAGES)
REVIEWS = {stage.review: stage for stage in STAGES if stage.review}
AT_REST = frozenset({Status.DRAFT, Status.PUBLISHED})  # nothing to cancel
HOLDING = frozenset({Status.CLAIMED, *RUNNING})  # statuses in which a task holds one of its channel's slots


def _rows() -> Iterator[tuple[Status, Verb, Stage | None, Status]]:
    """Every legal (status, verb, stage, target). The only place that says what a verb does."""
    yield S.DRAFT, Verb.SUBMIT, None, S.QUEUED
    yield S.QUEUED, Verb.CLAIM, None, S.CLAIMED
    for status in S:
        if status not in AT_REST:
            yield status, Verb.CANCEL, None, S.DRAFT
    for stage in STAGES:
        yield stage.waits_in, Verb.START, stage, stage.running
        yield stage.running, Verb.FINISH, stage, stage.ready
        yield stage.running, Verb.FAIL, stage, stage.error
        yield stage.error, Verb.RETRY, stage, stage.lines_up_in
        yield stage.error, Verb.ADOPT, stage, stage.ready
        if stage.review and stage.approved:
            yield from _review_rows(stage, stage.review, stage.approved)
        for earlier in STAGES[: stage.index + 1]:
            for place in {stage.review, stage.approved, stage.error} - {earlier.lines_up_in}:
                if place:
                    yield place, Verb.SEND_BACK, earlier, earlier.lines_up_in


def _review_rows(stage: Stage, review: Status, approved: Status) -> Iterator[tuple[Status, Verb, Stage, Status]]:
    if stage.presents:
        yield stage.ready, Verb.PRESENT, stage, review
    yield review, Verb.APPROVE, stage, approved
    yield review, Verb.REJECT, stage, stage.error
    plan = [stage.lines_up_in] if stage.index == 0 else []  # where a yes to the plan alone leads
    for decided in (approved, stage.error, *plan):
        yield decided, Verb.UNDO, stage, review
    yield review, Verb.REDO, stage, stage.running
    yield stage.error, Verb.REDO, stage, stage.running


@cache
def moves() -> dict[tuple[Status, Verb], dict[str, Status]]:
    """(status, verb) -> {stage name, or "" where no stage is meant: target}."""
    table: dict[tuple[Status, Verb], dict[str, Status]] = {}
    for status, verb, stage, target in _rows():
        table.setdefault((status, verb), {})[stage.name if stage else ""] = target
    return table


@cache
def legal_pairs() -> frozenset[tuple[Status, Status]]:
    """Every (from, to) that some verb allows; a verb that leaves the status as it is moves nothing."""
    return frozenset(
        (status, target)
        for (status, _), by_stage in moves().items()
        for target in by_stage.values()
        if status != target
    )


def target(status: Status, verb: Verb, stage: Stage | None = None) -> tuple[Status, Stage | None]:
    """Where `verb` leads from `status`, and the stage it speaks of.

    Four error statuses serve seven stages, so some verbs need the stage said.
    Raises IllegalMoveError with a sentence that names what would be possible.
    """
    by_stage = moves().get((status, verb), {})
    name = stage.name if stage else next(iter(by_stage)) if len(by_stage) == 1 else None
    if name not in by_stage:
        raise IllegalMoveError(_why_not(status, verb, stage, by_stage))
    return by_stage[name], STAGE.get(name)


def _why_not(status: Status, verb: Verb, stage: Stage | None, by_stage: dict[str, Status]) -> str:
    if by_stage:
        asked = f"not for {stage.title}" if stage else "only with the stage named"
        return f"“{verb}” from {status.label} is possible for {', '.join(by_stage)}; {asked}."
    possible = sorted({v for (s, v) in moves() if s == status})
    return f"“{verb}” is not possible from {status.label}; possible: {', '.join(possible) or 'nothing'}."


def stage_of(status: Status) -> Stage | None:
    """The stage a status belongs to; None for Draft, Queued, Claimed and the (shared) error statuses."""
    for stage in STAGES:
        if status in (stage.running, stage.ready, stage.review, stage.approved):
            return stage
    return None


def verbs_for(status: Status) -> frozenset[Verb]:
    return frozenset(verb for (from_status, verb) in moves() if from_status == status)
