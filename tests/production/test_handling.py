"""A task that a person holds, puts first, or puts into other words."""

import datetime as dt

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from production import decisions, dispatch, explain, flow, gates, handling, takes
from production.errors import DecisionError, IllegalMoveError
from production.models import Approval, Heartbeat, Priority, Take, Task
from production.stages import STAGES, Status
from tests.factories import fresh, make_channel, make_plan, make_plan_takes, make_production, make_take, make_task

State = Take.State
pytestmark = pytest.mark.django_db


def in_line(channel=None, count=2) -> Task:
    task = make_task(Status.GENERATING_ASSETS, **({"channel": channel} if channel else {}))
    for position in range(1, count + 1):
        make_take(task, "image", position, state=State.WAITING)
    return task


# ---------------------------------------------------------------- paused


def test_pause_keeps_its_takes_from_being_claimed_and_lets_others_go_on():
    paused, other = in_line(), in_line()
    assert handling.pause(paused, by="olga", reason="wrong topic").startswith("Paused")
    assert {take.task_id for take in dispatch.claim("images", 9)} == {other.pk}
    paused.refresh_from_db()
    assert (paused.paused, paused.paused_by, paused.pause_reason) == (True, "olga", "wrong topic")
    assert handling.resume(paused, by="bob") == "It goes on"
    assert {take.task_id for take in dispatch.claim("images", 9)} == {paused.pk}


def test_pause_holds_takes_that_are_planned_meanwhile():
    task = in_line(count=1)
    handling.pause(task, by="olga")
    make_take(fresh(task), "image", 2, state=State.WAITING)
    assert dispatch.claim("images", 9) == []


def test_pause_leaves_a_finished_render_to_be_collected():
    task = make_task(Status.GENERATING_VIDEO)
    make_take(task, "clip", 1, state=State.WAITING, ref="job-1", attempt=1)
    make_take(task, "clip", 2, state=State.WAITING)
    handling.pause(task, by="olga")
    assert [take.position for take in dispatch.claim("video", 9)] == [1]


def test_pause_between_the_look_and_the_claim_is_heeded():
    task = in_line(count=1)
    take = task.takes.get()
    handling.pause(task, by="olga")
    assert takes.claim([take.pk], "here:1", timezone.now()) == []


def test_pause_costs_claims_nothing():
    """What is paused is not in the index that the line is read from: it is not read and thrown away either."""
    channel = make_channel()
    for _ in range(3):
        handling.pause(in_line(channel, 40), by="olga")
    in_line(channel, 40)
    values = {"lane": "images", "now": timezone.now(), "most": 9, "kinds": ["image"]}
    values |= {"closed": [], "channels": [], "videos": []}
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE production_take")
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off")
        cursor.execute(f"EXPLAIN (ANALYZE) {dispatch.LINE}", values)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "take_in_line" in plan
    assert "Rows Removed by Filter" not in plan.partition("take_in_line")[2].partition("->")[0]


def test_paused_task_starts_nothing_and_lends_its_slot(settings):
    settings.UNDO = dt.timedelta()
    channel = make_channel(max_concurrent=1)
    running, waiting = in_line(channel), make_task(Status.QUEUED, channel=channel)
    assert flow.start_waiting(channel.pk) == 0
    handling.pause(running, by="olga")
    assert flow.start_waiting(channel.pk) == 1
    assert fresh(waiting).status == Status.GENERATING_ASSETS
    queued = make_task(Status.QUEUED)
    handling.pause(queued, by="olga")
    assert flow.start_waiting(queued.channel_id) == 0


def test_paused_task_says_who_and_why():
    Heartbeat.objects.create(name="here:1", cluster="calls")
    task = in_line()
    handling.pause(task, by="olga", reason="wrong topic")
    for blocker in (explain.why(fresh(task)), explain.why_take(task.takes.select_related("task", "lane").first())):
        assert str(blocker).startswith("olga has paused it: wrong topic.")
        assert blocker.who == "you"
    assert task.changes.last().reason == "Paused: wrong topic"


def test_paused_task_may_be_decided_about():
    task = make_production(Status.ASSETS_READY)
    handling.pause(task, by="olga")
    assert decisions.approve(task, by="bob") == "Assets approved"
    assert flow.start_waiting(task.channel_id) == 0


def test_pause_twice_names_the_first_and_resume_of_none_says_so():
    task = in_line()
    assert handling.resume(task, by="bob") == "It is not paused"
    handling.pause(task, by="olga")
    assert handling.pause(task, by="bob") == "olga has paused it already"


@pytest.mark.parametrize("status", [Status.DRAFT, Status.PUBLISHED])
def test_pause_of_what_rests_is_refused(status):
    with pytest.raises(DecisionError, match="nothing to pause"):
        handling.pause(make_task(status), by="olga")


def test_cancel_ends_a_pause():
    task = in_line()
    handling.pause(task, by="olga")
    decisions.cancel(task, by="olga")
    assert not fresh(task).paused


# ---------------------------------------------------------------- put first, put right


def test_edit_of_the_priority_reaches_the_line_the_history_and_notion():
    first, second = in_line(), in_line()
    Task.objects.update(tell_at=None)
    assert handling.edit(second, {"priority": Priority.HIGH}, by="olga") == "Priority High, was Normal"
    assert [take.task_id for take in dispatch.claim("images", 2)] == [second.pk, second.pk]
    assert second.changes.last().reason == "Priority High, was Normal"
    assert fresh(second).tell_at
    handling.edit(first, {"priority": Priority.LOW, "title": "Ice"}, by="notion: ada", tell=False)
    assert first.changes.last().reason == "Title changed; priority Low, was Normal"
    assert fresh(first).tell_at is None


def test_edit_voids_the_yes_to_the_former_words():
    task = make_production(Status.FINAL_REVIEW)
    before = task.title
    assert handling.edit(task, {"title": before}, by="olga") == ""
    decisions.approve(task, by="olga")
    assert handling.edit(task, {"title": "Other words"}, by="bob") == "Title changed"
    assert gates.is_gate_open(fresh(task), next(s for s in flow.STAGES if s.name == "assembly"))
    assert task.changes.last().reason == "Title changed"


def test_edit_refuses_a_picture_of_another_video_and_what_is_on_its_way():
    task, other = make_production(Status.FINAL_REVIEW), make_production(Status.ASSETS_READY)
    with pytest.raises(DecisionError, match="own pictures"):
        handling.edit(task, {"thumbnail": other.takes.get(kind="image", position=1)}, by="olga")
    with pytest.raises(DecisionError, match="change it on YouTube"):
        handling.edit(make_task(Status.UPLOADING), {"title": "x"}, by="olga")


# ---------------------------------------------------------------- taken back


@pytest.mark.parametrize("verdict", ["approve", "reject"])
@pytest.mark.parametrize("status", [Status.ASSETS_READY, Status.COMPOSITES_READY, Status.FINAL_REVIEW])
def test_undo_leads_back_to_the_gate(status, verdict):
    task = make_production(status, channel=make_channel(gates=["assets", "composites"]))
    if verdict == "approve":
        decisions.approve(task, by="olga")
    else:
        decisions.reject(task, by="olga", reason="hm")
    assert decisions.undo(task, by="olga").startswith("Taken back")
    assert fresh(task).status == status
    assert not task.approvals.exists()
    assert [decision.verb for decision in task.decisions.all()] == [verdict, "undo"]
    flow.start_waiting(task.channel_id)
    assert fresh(task).status == status


def test_undo_of_a_yes_to_the_plan():
    task = make_task(Status.GENERATING_ASSETS, channel=make_channel(gates=["plan", "assets"]))
    make_plan_takes(task)
    make_plan(task)
    flow.advance_by_id(task.pk)
    assert fresh(task).status == Status.ASSETS_READY
    assert gates.stops_at_plan(fresh(task))
    decisions.approve(task, by="olga")
    assert fresh(task).status == Status.QUEUED
    decisions.undo(task, by="olga")
    assert fresh(task).status == Status.ASSETS_READY
    assert gates.stops_at_plan(fresh(task))
    assert STAGES[0].name == task.decisions.last().stage


def test_yes_to_words_that_had_one_long_ago_waits_for_its_undo_too(do):
    task = make_production(Status.FINAL_REVIEW)
    decisions.approve(task, by="olga")
    Approval.objects.update(at=timezone.now() - dt.timedelta(hours=1))
    do(handling.edit, task, {"description": "Other words"}, by="bob")
    flow.start_waiting(task.channel_id)  # finds the yes void
    flow.start_waiting(task.channel_id)  # the film is there: back to its gate
    assert fresh(task).status == Status.FINAL_REVIEW
    handling.edit(task, {"description": ""}, by="bob")
    do(decisions.approve, task, by="bob")
    assert fresh(task).status == Status.APPROVED
    assert task.approvals.latest("at").by == "bob"
    decisions.undo(task, by="bob")
    assert fresh(task).status == Status.FINAL_REVIEW


def test_undo_after_the_next_stage_has_begun_is_refused():
    """However fresh it is: what was bought since is bought."""
    task = make_production(Status.ASSETS_READY)
    decisions.approve(task, by="olga")
    Approval.objects.update(at=timezone.now() - settings.UNDO)
    assert flow.start_waiting(task.channel_id) == 1
    with pytest.raises(IllegalMoveError):
        decisions.undo(task, by="olga")
    assert fresh(task).status == Status.GENERATING_COMPOSITES
    assert task.approvals.exists()
    assert [decision.verb for decision in task.decisions.all()] == ["approve"]


def test_undo_by_another_or_too_late_is_refused(settings):
    task = make_production(Status.ASSETS_READY)
    decisions.approve(task, by="olga")
    with pytest.raises(DecisionError, match="your own yes or no of the last 10 s"):
        decisions.undo(task, by="bob")
    settings.UNDO = dt.timedelta()
    with pytest.raises(DecisionError, match="of the last 0 s"):
        decisions.undo(task, by="olga")
