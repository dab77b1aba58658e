"""Two worker machines on one database by TCP share the lanes exactly, and what one leaves the other brings home."""

import os
import random
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from config import supervisor as supervisor_module
from config.supervisor import Supervisor, free_port
from production.models import Provider, Take
from tests.chaos import books, scene
from tests.chaos.scene import Scene
from tests.config.processes import database_url
from tests.journeys.conftest import QUICK
from tests.journeys.hosts import TwoHosts

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]

LIMIT = 100  # seconds for a whole scene on a busy machine; 25 s is long
LIMITS = {"images": 3, "video": 2, "voice": 2}
SLOW = {"image": 0.5, "render": 1.5, "narration": 0.5, "sound": 0.5}  # seconds, so that takes meet in their lanes
IS_ROOT = os.geteuid() == 0
LACKING = not IS_ROOT or not all(map(shutil.which, ("ip", "unshare", "nsenter")))
IN_USE = """
SELECT lane_id, host, sum(slots) FROM production_take
WHERE state IN ('claimed', 'submitted') AND slots > 0 GROUP BY lane_id, host
"""


@pytest.fixture
def stack(transactional_db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TwoHosts]:
    if LACKING and not (IS_ROOT and "CI" in os.environ):
        pytest.skip("needs root and iproute2 (Debian: apt install iproute2)")
    monkeypatch.setattr(supervisor_module, "STEADY", 1.0)
    with Supervisor(tmp_path / "logs", grace=3, say=lambda line: None) as supervisor:
        shared = {name: os.environ[name] for name in ("SECRET_KEY", "ENCRYPTION_KEY")}
        stack = TwoHosts(tmp_path, free_port(), supervisor, settings=shared | QUICK | {"UNKNOWN_LIMIT_SECONDS": "10"})
        stack.start_sandbox()
        stack.find_settings(database_url())
        stack.serve()
        stack.control.set_pace(**SLOW)
        yield stack


@pytest.fixture
def stage(stack: TwoHosts) -> Scene:
    """Four rows on two channels."""
    for lane, slots in LIMITS.items():
        Provider.objects.filter(pk=lane).update(concurrency=slots)
    stage = scene.prepare(stack, channels=2, clips=1, videos=4, chance=random.Random(4))
    for _ in range(stage.wanted):
        stage.queue_next()
    return stage


def watch(stage: Scene, until: Callable[[], object]) -> None:
    """Let the stack run, people deciding, until something holds."""
    deadline = time.monotonic() + LIMIT
    while not until():
        stage.stack.supervisor.tick()
        assert time.monotonic() < deadline, stage.unfinished()
        time.sleep(0.02)


def assert_books(stage: Scene) -> None:
    found = books.count(stage, stage.stack.control)
    assert found["published"] == stage.wanted
    assert [found[name] for name in ("tasks_lost", "paid_twice", "uploaded_twice", "claims_left", "lines_open")] == [
        0
    ] * 5


def test_journey_on_two_hosts_shares_the_lanes(stack: TwoHosts, stage: Scene) -> None:
    most: dict[str, int] = defaultdict(int)
    on_host: dict[tuple[str, str], int] = defaultdict(int)

    def look() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(IN_USE)
            rows = cursor.fetchall()
        for lane in {lane for lane, _, _ in rows}:
            most[lane] = max(most[lane], sum(slots for each, _, slots in rows if each == lane))
        for lane, host, slots in rows:
            on_host[lane, host] = max(on_host[lane, host], slots)
        return stage.look()

    watch(stage, look)
    assert all(most[lane] <= LIMITS[lane] for lane in LIMITS), "never passed"
    # Each video has one clip, approved in its own time: two need not be rendered at once. Images there are many of.
    assert most["images"] == LIMITS["images"], "reached"
    for lane in LIMITS:
        assert max(on_host[lane, "host-a"], on_host[lane, "host-b"]) <= LIMITS[lane]
    cores = os.cpu_count()
    assert all(slots <= cores for (lane, _), slots in on_host.items() if lane == "ffmpeg"), "a machine's own"
    assert set(Take.objects.values_list("host", flat=True)) == {"host-a", "host-b"}
    assert_books(stage)
    assert not Take.objects.exclude(attempt=1).exists(), "nobody had to try twice"


def test_journey_goes_on_when_a_host_is_cut_off_and_when_it_dies(stack: TwoHosts, stage: Scene) -> None:
    here, there = stack.hosts

    def is_at_work() -> bool:
        """The other machine makes images; there is always something to make."""
        if stage.look():
            stage.wanted += 1
            stage.queue_next()
        return bool(held("images"))

    def held(*lanes: str) -> set[int]:
        """What the other machine has in hand."""
        takes = Take.objects.filter(host=there.name, state=Take.State.CLAIMED)
        return set((takes.filter(lane__in=lanes) if lanes else takes).values_list("pk", flat=True))

    def is_caught() -> bool:
        """Its cable is out and it has work in hand: whatever it ends now, it can't tell."""
        if not is_at_work():
            return False
        there.unplug()
        if not held():  # it had ended in between
            there.plug_in()
            return False
        return True

    watch(stage, is_at_work)
    there.unplug()
    begun = Take.objects.filter(host=here.name).exclude(state=Take.State.WAITING).count()
    watch(stage, lambda: Take.objects.filter(host=here.name).exclude(state=Take.State.WAITING).count() > begun)
    there.plug_in()
    watch(stage, is_caught)
    stack.lose(there)
    lost = held()
    assert lost
    watch(stage, stage.look)
    assert not Take.objects.filter(pk__in=lost, state=Take.State.CLAIMED).exists()
    assert_books(stage)
