"""`make soak`: videos without end and a kill now and then. Exit 0 only if memory, files, connections, queue stay flat.

A straight line is laid through the samples after the warm-up; it may climb by a tenth of the middle value and the
noise that a single restart makes.
"""

import argparse
import json
import random
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import psutil
from rich.console import Console
from rich.table import Table

from config import devpg
from config.stack import ROOT, WEB, Stack
from config.supervisor import Supervisor, free_port, guard
from tests.chaos import scene
from tests.chaos.killer import Killer

FOLDER = ROOT / "var/soak"
CLIPS = 1
VIDEO_EVERY, LOOK_EVERY, SAMPLE_EVERY = 20.0, 0.5, 30.0  # seconds
KILLS = 12  # in a run: who is killed begins anew, so a process must live for minutes to show what it leaks
FEWEST_SAMPLES = 12
WARM_UP = 3  # the first third of the samples: imports, caches, first connections
NOISE = {"memory_mb": 30.0, "open_files": 30.0, "connections": 6.0, "queue_rows": 20.0}
Sample = dict[str, float]


def main() -> int:
    guard()
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    console = Console()
    devpg.stop(FOLDER / "pg")
    shutil.rmtree(FOLDER, ignore_errors=True)
    try:
        with Supervisor(FOLDER / "logs", say=lambda line: None) as supervisor:
            stack = Stack(FOLDER, free_port(), supervisor, durable=False, settings=dict(scene.QUICK))
            stack.start()
            _lift_quotas()
            stage = scene.prepare(stack, channels=2, clips=CLIPS, videos=10**6, chance=random.Random(options.seed))
            samples = list(_samples(stage, seconds=options.hours * 3600))
            done = len(stage.pages) - len(stage.unfinished())
    finally:
        devpg.release(FOLDER / "pg")
    console.print(f"{done} of {len(stage.pages)} videos were published meanwhile")
    return _tell(console, samples)


def _lift_quotas() -> None:
    """More videos are made in an hour than YouTube takes in a day."""
    from production.models import Provider

    Provider.objects.update(daily_quota=None)


def _samples(stage: scene.Scene, *, seconds: float) -> Iterator[Sample]:
    """Videos come in, people decide, something is killed; now and then a look at what all of it uses."""
    stack = stage.stack
    killer = Killer(stack, stage.chance)
    acts = {
        stage.queue_next: VIDEO_EVERY,
        stage.look: LOOK_EVERY,
        killer.strike: seconds / KILLS,
    }
    began = time.monotonic()
    due = dict.fromkeys(acts, began)
    sample_every = min(SAMPLE_EVERY, seconds / FEWEST_SAMPLES)
    sample_at = began + sample_every
    while (now := time.monotonic()) < began + seconds:
        stack.supervisor.tick()
        killer.mend()
        for act, every in acts.items():
            if now >= due[act]:
                scene.safely(act)
                due[act] = now + every
        if now >= sample_at and (sample := scene.safely(lambda: _sample(stack))):
            sample_at = now + sample_every
            yield sample
        time.sleep(0.05)


def _sample(stack: Stack) -> Sample:
    """PSS and open files of the product's own processes, connections and jobs in line at this moment."""
    from django.db import connection

    from production.models import Job

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
        connections = cursor.fetchone()[0]
    memory, files = 0.0, 0
    for process in _own(stack):
        with suppress(psutil.Error):
            memory += process.memory_full_info().pss / 1_000_000
            files += process.num_fds()
    sample = {"memory_mb": memory, "open_files": files, "connections": connections, "queue_rows": Job.objects.count()}
    return {"at": time.monotonic()} | sample


def _own(stack: Stack) -> list[psutil.Process]:
    """Web server and workers; scripts come and go and are left out."""
    found: list[psutil.Process] = []
    for name in (WEB, "calls", "cpu"):
        with suppress(psutil.Error):
            root = psutil.Process(stack.supervisor.children[name].process.pid)
            own = [root, *root.children(recursive=True)]
            found += [process for process in own if process.cmdline()[1:] == root.cmdline()[1:]]
    return found


def _tell(console: Console, samples: list[Sample]) -> int:
    figures = {name: _course(samples[len(samples) // WARM_UP :], name) for name in NOISE}
    path = FOLDER.with_suffix(".json")
    path.write_text(json.dumps({"figures": figures, "samples": samples}, indent=1) + "\n")
    table = Table("what", "middle", "climbed by", "may climb by", "an hour", title=f"Soak, {len(samples)} samples")
    for name, course in figures.items():
        table.add_row(name, *(f"{value:,.1f}" for value in course.values()), style="red" if _grows(course) else "")
    console.print(table)
    console.print(f"Everything in {path}", soft_wrap=True, highlight=False)
    return int(any(_grows(course) for course in figures.values()))


def _course(samples: list[Sample], name: str) -> dict[str, float]:
    at, values = [sample["at"] for sample in samples], [sample[name] for sample in samples]
    slope = statistics.linear_regression(at, values).slope
    middle = statistics.median(values)
    return {
        "middle": middle,
        "climbed_by": slope * (at[-1] - at[0]),
        "may_climb_by": NOISE[name] + middle / 10,
        "an_hour": slope * 3600,
    }


def _grows(course: dict[str, float]) -> bool:
    return course["climbed_by"] > course["may_climb_by"]


if __name__ == "__main__":
    sys.exit(main())
