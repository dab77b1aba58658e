"""What people decide: yes, no, that one again, from here, back there, enough."""

import datetime as dt
import itertools
from typing import Any

import pytest

from production import decisions, dispatch, gates, lifecycle, recipes, takes, workspace
from production.decisions import DecisionError
from production.errors import IllegalMoveError
from production.models import Approval, Take, Task
from production.stages import REVIEWS, STAGE, STAGES, Stage, Status, Verb
from tests.factories import (
    claim,
    fresh,
    make_channel,
    make_operator,
    make_production,
    make_stage,
    make_take,
    make_task,
)
from tests.production.beside import many

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("at_once")]
State = Take.State
GATES = [stage for stage in STAGES if stage.review]


def at_gate(stage: Stage, **words: Any) -> Task:
    words = {"channel": make_channel(gates=[gate.name for gate in GATES[:5]]), "clips": 1, "assets": 2} | words
    return make_production(stage.review, **words)


def status(task: Task) -> str:
    return fresh(task).status


# ---------------------------------------------------------------- yes


@pytest.mark.parametrize("stage", GATES, ids=lambda stage: stage.name)
def test_approve_moves_on_and_keeps_who_said_yes(do, stage):
    task, user = at_gate(stage), make_operator(username="ada")
    assert do(decisions.approve, task, by="ada", user=user) == f"{stage.title} approved"
    assert status(task) == STAGES[stage.index + 1].running
    approval = Approval.objects.get()
    assert (approval.stage, approval.by, approval.user) == (stage.name, "ada", user)
    assert approval.content_hash == recipes.content_hash(task, stage)
    assert str(approval) == f"{stage.title}: ada"
    assert task.changes.get(verb=Verb.APPROVE, stage=stage.name, by="ada")


@pytest.mark.parametrize("stage", GATES, ids=lambda stage: stage.name)
def test_approve_twice_is_a_no_op_that_names_the_first(stage):
    task = at_gate(stage)
    decisions.approve(task, by="ada")
    assert decisions.approve(task, by="bob").startswith("ada has approved")
    assert Approval.objects.count() == 1


@pytest.mark.parametrize("stage", [STAGE["assets"], STAGE["composites"]], ids=lambda stage: stage.name)
def test_approve_by_two_at_once_is_one_yes(transactional_db: None, stage):
    task, names = at_gate(stage), itertools.count()
    said = many(2, lambda: decisions.approve(task, by=f"reviewer {next(names)}"))
    approval = Approval.objects.get()
    assert sum(words == f"{stage.title} approved" for words in said) == 1
    assert sum(words.startswith(f"{approval.by} has approved") for words in said) == 1
    assert task.changes.get(verb=Verb.APPROVE, stage=stage.name).by == approval.by


def test_approve_where_nothing_waits():
    with pytest.raises(DecisionError, match="the task is in Queued"):
        decisions.approve(make_task(Status.QUEUED), by="ada")


def test_approval_is_void_when_the_content_changes():
    task = at_gate(STAGE["composites"])
    decisions.approve(task, by="ada")
    assert not gates.is_gate_open(task, STAGE["composites"])
    make_take(task, "composite", 1)
    assert gates.is_gate_open(task, STAGE["composites"])
    assert decisions.approve(task, by="bob") == "Composites approved"


@pytest.mark.parametrize("field", ["title", "description", "tags", "privacy"])
def test_approval_of_the_film_binds_to_its_words(field):
    task = at_gate(STAGE["assembly"])
    before = recipes.content_hash(task, STAGE["assembly"])
    setattr(task, field, {"tags": ["new"], "privacy": "public"}.get(field, "new"))
    assert recipes.content_hash(task, STAGE["assembly"]) != before


# ---------------------------------------------------------------- no


@pytest.mark.parametrize("stage", GATES, ids=lambda stage: stage.name)
def test_reject_waits_for_a_person_with_the_reason(stage):
    task = at_gate(stage)
    assert decisions.reject(task, by="ada", reason=" too dark ").startswith("Rejected")
    assert status(task) == stage.error
    change = task.changes.last()
    assert (change.reason, change.is_error, change.stage) == ("too dark", True, stage.name)


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_reject_wants_a_reason(reason):
    task = at_gate(STAGE["video"])
    with pytest.raises(DecisionError, match="Say why"):
        decisions.reject(task, by="ada", reason=reason)
    assert status(task) == Status.VIDEO_READY


def test_reject_takes_a_yes_back(do):
    """Composites keep their status when they are approved: a no after the yes must not pass the gate on retry."""
    task = at_gate(STAGE["composites"])
    decisions.approve(task, by="ada")
    decisions.reject(task, by="bob", reason="the hand")
    do(decisions.retry, task, by="bob")
    assert status(task) == Status.COMPOSITES_READY
    assert gates.is_gate_open(task, STAGE["composites"])


def test_reject_where_nothing_waits():
    with pytest.raises(IllegalMoveError, match="not possible from Queued"):
        decisions.reject(make_task(Status.QUEUED), by="ada", reason="no")


# ---------------------------------------------------------------- that one again


@pytest.mark.parametrize("stage", GATES, ids=lambda stage: stage.name)
@pytest.mark.parametrize("failed", [False, True], ids=["at the gate", "after an error"])
def test_redo_makes_only_the_chosen_piece(stage, failed):
    task = at_gate(stage)
    if failed:
        decisions.reject(task, by="ada", reason="no")
    need = recipes.needs(task, stage)[-1]
    assert decisions.redo(task, [need.key] * 2, by="ada") == "Making 1 again"
    assert status(task) == stage.running
    live = task.takes.live().get()
    assert (live.kind, live.position, live.number) == (*need.key, 2)
    assert task.takes.get(kind=live.kind, position=live.position, selected=True).number == 1


def test_redo_with_new_words_changes_the_plan_row():
    task = at_gate(STAGE["audio"])
    decisions.redo(task, [("narration", 1)], by="ada", words={("narration", 1): " Say this instead. "})
    assert task.clips.get(number=1).narration == "Say this instead."
    assert task.takes.live().get().prompt == "Say this instead."
    assert "narration 1" in task.changes.last().reason


@pytest.mark.parametrize(("kind", "field"), [("image", "prompt"), ("clip", "motion_prompt"), ("sound", "sound_prompt")])
def test_redo_with_new_words_of_every_kind(kind, field):
    stage = STAGE[{"image": "assets", "clip": "video", "sound": "sfx"}[kind]]
    task = at_gate(stage)
    decisions.redo(task, [(kind, 1)], by="ada", words={(kind, 1): "x" * 3000})
    rows = task.assets if kind == "image" else task.clips
    assert getattr(rows.get(number=1), field) == "x" * 2000


@pytest.mark.parametrize(
    ("pieces", "words", "message"),
    [
        ([], {}, "Choose at least one"),
        ([("clip", 9)], {}, "clip 9: not pieces of Video"),
        ([("image", 1)], {}, "image 1: not pieces of Video"),
        ([("composite", 1)], {("composite", 1): "new"}, "A composite has no words"),
    ],
)
def test_redo_of_what_does_not_fit_changes_nothing(pieces, words, message):
    task = at_gate(STAGE["video"])
    before = task.clips.get(number=1).motion_prompt
    with pytest.raises(DecisionError, match=message):
        decisions.redo(task, pieces, by="ada", words=words)
    assert status(task) == Status.VIDEO_READY
    assert not task.takes.live().exists()
    assert task.clips.get(number=1).motion_prompt == before


def test_redo_while_another_is_live_is_refused():
    task = at_gate(STAGE["video"])
    decisions.redo(task, [("clip", 1)], by="ada")
    with pytest.raises(DecisionError, match="at a gate or after an error, not in Generating Video"):
        decisions.redo(task, [("clip", 1)], by="bob")
    assert task.takes.live().count() == 1


def test_redo_of_a_piece_that_is_with_its_provider_is_refused():
    """Cancelled while a render ran, begun again: the render still is there."""
    task = at_gate(STAGE["video"])
    make_take(task, "clip", 1, state=State.UNKNOWN)
    with pytest.raises(DecisionError, match="clip 1 is being made at this moment"):
        decisions.redo(task, [("clip", 1)], by="ada")
    assert status(task) == Status.VIDEO_READY


def test_redo_in_a_status_without_a_stage():
    with pytest.raises(DecisionError, match="not in Draft"):
        decisions.redo(make_task(), [("image", 1)], by="ada")


def test_redo_of_what_failed_makes_room_for_a_new_take():
    task = make_production(Status.VIDEO_ERROR, failed="video", clips=1)
    failed = make_take(task, "clip", 1, state=State.FAILED)
    decisions.redo(task, [("clip", 1)], by="ada")
    failed.refresh_from_db()
    assert failed.state == State.CANCELLED
    assert [take.number for take in task.takes.live()] == [2]


# ---------------------------------------------------------------- again, back, off


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_retry_begins_at_the_stage_that_failed_and_redoes_only_what_is_missing(do, stage):
    task = make_production(stage.error, failed=stage.name, clips=1, assets=2)
    made = make_stage(task, stage)
    Take.objects.filter(pk=made[-1].pk).update(selected=False, state=State.FAILED)
    assert do(decisions.retry, task, by="ada") == f"Trying {stage.title} again"
    assert status(task) == stage.running
    assert [take.pk for take in task.takes.live()] == [made[-1].pk]


def test_retry_does_not_wait_out_a_back_off(do):
    task = make_production(Status.ASSET_ERROR, failed="assets")
    take = make_take(task, "image", 1, state=State.WAITING)
    take.due_at += dt.timedelta(hours=1)
    take.save()
    do(decisions.retry, task, by="ada")
    assert dispatch.claim("images", 1)[0].pk == take.pk


def test_retry_where_nothing_failed():
    with pytest.raises(IllegalMoveError, match="“retry” is not possible from Video Ready"):
        decisions.retry(at_gate(STAGE["video"]), by="ada")


@pytest.mark.parametrize(
    ("at", "to"),
    [
        ("assets", "assets"),
        ("composites", "assets"),
        ("video", "video"),
        ("video", "composites"),
        ("audio", "video"),
        ("sfx", "sfx"),
        ("assembly", "assets"),
        ("assembly", "sfx"),
        ("assembly", "assembly"),
    ],
)
def test_send_back_asks_again_at_the_gate_it_was_sent_to(do, at, to):
    """The same content passes the gates where it has a yes, but not that of the stage it was sent back to."""
    stage, back_to = STAGE[at], STAGE[to]
    task = at_gate(stage)
    for earlier in GATES[: stage.index + 1]:
        content = recipes.content_hash(task, earlier)
        Approval.objects.create(task=task, stage=earlier.name, content_hash=content, by="ada")
    assert do(decisions.send_back, task, back_to.name, by="ada", reason="hm") == f"Sent back to {back_to.title}"
    assert status(task) == back_to.review
    assert not task.takes.live().exists(), "nothing is bought again"


def test_send_back_an_approved_film_comes_to_final_review_again(do):
    task = at_gate(STAGE["assembly"], channel=make_channel(gates=[]))
    decisions.approve(task, by="ada")
    do(decisions.send_back, task, "assembly", by="ada")
    assert status(task) == Status.FINAL_REVIEW


def test_send_back_further_than_an_approved_film_passes_the_final_gate_with_its_yes(do):
    """Audio is looked at again and found good: the film is the same, and the yes to it stands."""
    task = make_production(Status.UPLOAD_ERROR, channel=make_channel(gates=[]), clips=1, assets=2)
    content = recipes.content_hash(task, STAGE["assembly"])
    Approval.objects.create(task=task, stage="assembly", content_hash=content, by="ada")
    do(decisions.send_back, task, "audio", by="ada")
    assert status(task) == Status.UPLOADING


def test_send_back_to_nowhere():
    with pytest.raises(DecisionError, match="no stage “editing”; there are assets, composites"):
        decisions.send_back(make_task(), "editing", by="ada")


@pytest.mark.parametrize("before", [s for s in Status if s not in ("draft", "published")])
def test_cancel_from_everywhere_lets_go_of_what_waits(before):
    task = make_task(before)
    waiting = make_take(task, "image", 1, state=State.WAITING)
    flying = claim(make_take(task, "image", 2, state=State.WAITING))
    assert decisions.cancel(task, by="ada", reason="no need").startswith("Cancelled")
    waiting.refresh_from_db()
    assert status(task) == Status.DRAFT
    assert (waiting.state, takes.is_held(flying)) == (State.CANCELLED, True)


# ---------------------------------------------------------------- pick, adopt


def test_pick_an_older_take_and_see_it_at_its_place():
    task = at_gate(STAGE["assets"])
    old = task.takes.get(kind="image", position=1)
    make_take(task, "image", 1)
    assert decisions.pick(task, old, by="ada") == "image 1 it is"
    old.refresh_from_db()
    place = workspace.folder(task) / "assets/characters/image-1.png"
    assert old.selected
    assert place.resolve() == workspace.file_of(old).resolve()


def test_pick_changes_what_a_yes_binds_to():
    task = at_gate(STAGE["video"])
    old = task.takes.get(kind="clip", position=1)
    make_take(task, "clip", 1)
    before = recipes.content_hash(task, STAGE["video"])
    decisions.pick(task, old, by="ada")
    assert recipes.content_hash(task, STAGE["video"]) != before


@pytest.mark.parametrize("bad", ["running", "failed", "another"])
def test_pick_of_what_does_not_fit(bad):
    task = make_production(Status.GENERATING_VIDEO) if bad == "running" else at_gate(STAGE["video"])
    take = make_take(task, "image", 1) if bad == "running" else make_take(task, "clip", 1, state=State.FAILED)
    if bad == "another":
        take = make_take(make_task(), "image", 1)
    with pytest.raises(DecisionError):
        decisions.pick(task, take, by="ada")


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_adopt_what_is_there(do, stage):
    task = make_production(stage.error, failed=stage.name, clips=1, assets=2)
    make_stage(task, stage)
    failed = make_take(task, stage_kind(stage), recipes.needs(task, stage)[-1].position, state=State.FAILED)
    assert decisions.adopt(task, by="ada") == f"{stage.title} stands as it is"
    failed.refresh_from_db()
    assert failed.state == State.CANCELLED
    assert status(task) == (stage.review or stage.ready)


def stage_kind(stage: Stage) -> str:
    return {"assets": "image", "composites": "composite", "audio": "narration", "sfx": "sound"}.get(
        stage.name, {"video": "clip", "assembly": "film", "upload": "upload"}.get(stage.name, "")
    )


def test_adopt_with_missing_pieces():
    task = make_production(Status.VIDEO_ERROR, failed="video")
    with pytest.raises(DecisionError, match="2 pieces have no take yet"):
        decisions.adopt(task, by="ada")


def test_adopt_where_nothing_failed():
    with pytest.raises(DecisionError, match="Nothing has failed"):
        decisions.adopt(at_gate(STAGE["video"]), by="ada")


def test_submit_of_what_runs_already_is_illegal():
    with pytest.raises(IllegalMoveError):
        decisions.submit(make_task(Status.QUEUED), by="ada")


def test_decisions_leave_the_stage_named_in_the_history():
    task = at_gate(STAGE["sfx"])
    decisions.reject(task, by="ada", reason="noise")
    assert status(task) == Status.AUDIO_ERROR
    assert lifecycle.failed_stage(task) == STAGE["sfx"]
    assert REVIEWS[Status.SFX_READY] == STAGE["sfx"]
