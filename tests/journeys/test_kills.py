"""Everything is killed once in each kind of work; the video is published all the same, nothing paid twice."""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain

import pytest

from production import runner, takes, workspace
from production.models import LedgerEntry, Take, Task
from production.providers import LANES, cluster
from production.stages import PIECE, Status
from tests.journeys.conftest import Journey

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]

SLOW = {"text": 1.0, "image": 1.0, "render": 2.0, "narration": 1.0, "sound": 1.0}  # seconds, so that a kill meets them
# In the order in which a video needs them; a plan's layouts decide whether composites, splits or both are made.
WORK = (("plan",), ("image",), ("composite", "split"), ("clip",), ("narration",), ("sound",), ("film",), ("upload",))
# The cluster that writes to Notion. A killed writer keeps others away for 45 s (tests/production/test_outbox.py).
TELLS = "calls"


@pytest.mark.parametrize("scripts_too", [False, True], ids=["workers", "workers_and_scripts"])
def test_journey_killed_in_each_kind_of_work(journey: Callable[..., Journey], scripts_too: bool) -> None:
    assert set(chain(*WORK)) == set(PIECE)
    run = journey(clips=2, UNKNOWN_LIMIT_SECONDS="20")
    run.sandbox.set_pace(**SLOW)
    run.sandbox.plan_fault("kie", "delay", operation="createTask", seconds=1, times=2)
    run.sandbox.plan_fault("youtube", "delay", operation="upload", seconds=2, times=1)
    page_id = run.queue("The unkillable kettle")
    met = list(chain.from_iterable(_kill(run, page_id, kinds, scripts_too=scripts_too) for kinds in WORK))
    task = run.watch_to(page_id, Status.PUBLISHED)

    assert [change.after for change in task.changes.all()].count(Status.PUBLISHED) == 1
    assert not task.takes.live().exists()
    assert [video["sha256"] for video in run.sandbox.videos()] == [task.takes.get(kind="film", selected=True).sha256]
    assert_nothing_paid_twice(run, task)
    assert_restarted_once_a_kill(run)
    if scripts_too:
        assert_made_by_another_run(take for take in met if take.piece.is_script)
    else:
        assert_scripts_outlived_their_workers(task)


def _kill(run: Journey, page_id: str, kinds: tuple[str, ...], *, scripts_too: bool) -> list[Take]:
    """Kill the one cluster that is at work of these kinds, and the scripts if they too; returns the takes it met."""
    name = cluster(PIECE[kinds[0]].lane)
    at_work: list[Take] = []

    def is_at_work(task: Task) -> bool:
        if run.is_up(name) and (name != TELLS or run.is_told(task)):
            in_flight = task.takes.in_flight().filter(kind__in=kinds)
            at_work[:] = [take for take in in_flight if _is_in_the_middle(take)]
        return bool(at_work)

    run.watch(run.deciding(page_id, is_at_work), f"work at {' or '.join(kinds)}")
    run.kill_cluster(name)
    if scripts_too:
        for take in at_work:
            if take.piece.is_script:
                run.kill_script(take)
    met = [take for take in at_work if _is_orphaned(take, dead_script=scripts_too)]
    assert met, f"the kill came too late for {at_work}"
    return met


def _is_in_the_middle(take: Take) -> bool:
    """Claimed, and (if it pays) its request on the way."""
    folder = workspace.run_folder(take)
    if not take.piece.is_script:
        return folder.exists()
    wanted = "sending" if take.piece.paid else "started"
    return take.state == Take.State.CLAIMED and any(e["event"] == wanted for e in runner.events(folder, {}))


def _is_orphaned(take: Take, *, dead_script: bool) -> bool:
    """Its claim is still the dead worker's; a script that was killed left no exit code."""
    ended = take.piece.is_script and (workspace.run_folder(take) / "exit").exists()
    return takes.is_held(take) and not (dead_script and ended)


def assert_restarted_once_a_kill(run: Journey) -> None:
    """A cluster for each kind of work that is its; the web server and the vendors never."""
    killed = Counter(cluster(PIECE[kinds[0]].lane) for kinds in WORK)
    assert killed.keys() == {lane.cluster for lane in LANES}
    assert {child.name: child.restarts for child in run.stack.supervisor.children.values() if child.restarts} == killed


def assert_scripts_outlived_their_workers(task: Task) -> None:
    """Adopted as they were: only the plan, which is no script and can't resume, was begun twice."""
    assert set(task.takes.filter(attempt__gt=1).values_list("kind", flat=True)) <= {"plan"}
    written_off = LedgerEntry.objects.filter(state=LedgerEntry.State.WRITTEN_OFF)
    assert set(written_off.values_list("take__kind", flat=True)) <= {"plan"}


def assert_made_by_another_run(met: Iterable[Take]) -> None:
    """What a killed script left is nobody's result: its piece was claimed again, with another token."""
    for take in met:
        assert not Take.objects.filter(token=take.token, state=Take.State.DONE).exists(), take


def assert_nothing_paid_twice(run: Journey, task: Task) -> None:
    """What the vendors' books show more than once for one piece, our ledger names as written off for that piece.

    A paid call that belongs to no other piece was for the plan.
    """
    paid = Counter(call["text"].split(" | seed ")[0] for call in run.sandbox.paid())
    pieces = task.takes.filter(kind__in=["image", "clip", "narration", "sound"])
    for take in pieces:
        assert 1 <= paid[take.prompt[:500]] <= 1 + _written_off(take), (take, paid)
    for_plan = paid.total() - sum(paid[prompt] for prompt in {take.prompt[:500] for take in pieces})
    steps = list(task.takes.filter(kind="plan"))
    assert len(steps) <= for_plan <= len(steps) + sum(map(_written_off, steps)), paid


def _written_off(take: Take) -> int:
    return take.ledger.filter(state=LedgerEntry.State.WRITTEN_OFF).count()


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
