"""Everything is killed once in each of the seven stages; the video is published all the same, nothing paid twice."""

from collections import Counter
from collections.abc import Callable

import pytest

from production import runner, workspace
from production.models import LedgerEntry, Take, Task
from production.stages import STAGES, Stage, Status
from tests.journeys.conftest import Journey

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]

SLOW = {"text": 1.0, "image": 1.0, "render": 2.0, "narration": 1.0, "sound": 1.0}  # seconds, so that a kill meets them


@pytest.mark.parametrize("scripts_too", [False, True], ids=["workers", "workers_and_scripts"])
def test_journey_killed_in_each_stage(journey: Callable[..., Journey], scripts_too: bool) -> None:
    run = journey(clips=2, UNKNOWN_LIMIT_SECONDS="20")
    run.sandbox.set_pace(**SLOW)
    run.sandbox.plan_fault("youtube", "delay", operation="upload", seconds=2, times=1)
    page_id = run.queue("The unkillable kettle")
    for stage in STAGES:
        task, at_work = _wait_for_work(run, page_id, stage)
        run.kill_workers(at_work)
        if scripts_too:
            run.kill_scripts(at_work)
    task = run.watch_to(page_id, Status.PUBLISHED)

    assert [change.after for change in task.changes.all()].count(Status.PUBLISHED) == 1
    assert not task.takes.live().exists()
    assert len(run.sandbox.videos()) == 1
    assert_nothing_paid_twice(run, task)
    assert sum(child.restarts for child in run.stack.supervisor.children.values()) >= len(STAGES)
    if not scripts_too:
        written_off = LedgerEntry.objects.filter(state=LedgerEntry.State.WRITTEN_OFF)
        assert set(written_off.values_list("take__kind", flat=True)) <= {"plan"}  # the only paid call without a script


def _wait_for_work(run: Journey, page_id: str, stage: Stage) -> tuple[Task, list[Take]]:
    """Until a take of the stage is really at it: claimed, and (if it pays) its request on the way."""
    found: list[Take] = []

    def at_work(task: Task) -> bool:
        found[:] = [take for take in run.in_flight(task, stage) if _is_in_the_middle(take)]
        return bool(found)

    run.watch(run.deciding(page_id, at_work), f"work in {stage.title}")
    task = run.task(page_id)
    assert task
    return task, found


def _is_in_the_middle(take: Take) -> bool:
    folder = workspace.run_folder(take)
    if not take.piece.is_script:
        return folder.exists()
    wanted = "sending" if take.piece.paid else "started"
    return take.state == Take.State.CLAIMED and any(e["event"] == wanted for e in runner.events(folder, {}))


def assert_nothing_paid_twice(run: Journey, task: Task) -> None:
    """What the vendors' books show more than once for one piece, our ledger names as written off for that piece."""
    paid = Counter(call["text"].split(" | seed ")[0] for call in run.sandbox.paid())
    for take in task.takes.filter(kind__in=["image", "clip", "narration", "sound"]):
        written_off = take.ledger.filter(state=LedgerEntry.State.WRITTEN_OFF).count()
        assert 1 <= paid[take.prompt[:500]] <= 1 + written_off, (take, paid)


def test_journey_lost_reply_finds_its_way_home(journey: Callable[..., Journey]) -> None:
    """KIE accepts a render and its reply is lost: its callback bears our token, so nothing is bought again."""
    run = journey(clips=2)
    run.sandbox.plan_fault("kie", "lost_reply", operation="createTask", times=1)
    page_id = run.queue("The letter that came back")
    task = run.watch_to(page_id, Status.VIDEO_READY)
    assert len(run.sandbox.jobs()) == 2
    clips = task.takes.filter(kind="clip")
    assert [take.attempt for take in clips] == [1, 1]
    assert set(LedgerEntry.objects.filter(take__in=clips).values_list("state", flat=True)) == {"settled"}
