"""`make chaos`: videos run to published while everything of ours is killed and the vendors misbehave.

Ends by counting in the vendors' own books; exit 0 only if every video was published once, every paid job billed once,
nothing lost and nothing left. SEED repeats a run as far as the machine allows.
"""

import argparse
import json
import random
import shutil
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from config import devpg
from config import supervisor as supervisor_module
from config.stack import ROOT, Stack
from config.supervisor import StartError, Supervisor, free_port, guard
from tests.chaos import books, scene
from tests.chaos.faults import Faults
from tests.chaos.killer import Killer

FOLDER = ROOT / "var/chaos"
NOTHING = ("tasks_lost", "paid_twice", "uploaded_twice", "stuck", "claims_left", "lines_open", "unbooked_usd")
TROUBLED = 0.6  # of the time: kills and faults; then what they left is brought to its end
LOOK = 0.5  # seconds between two looks of the people
FAULT_EVERY = 3.0  # seconds


@dataclass
class Run:
    """One run; times are seconds since its beginning."""

    options: argparse.Namespace
    stack: Stack
    scene: scene.Scene
    killer: Killer
    faults: Faults
    console: Console
    began: float = field(default_factory=time.monotonic)
    looked: float = 0.0
    away: float = 0.0  # seconds that PostgreSQL was

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began

    def play(self) -> bool:
        """Until everything is published or time is up; the rows come in during the first half, kills and faults until
        TROUBLED."""
        due = {"row": 0.0, "kill": 3.0, "fault": 1.0}
        while self.elapsed < self.options.seconds:
            self.stack.supervisor.tick()
            if not self.away and self.killer.kills.total() >= self.options.kills // 2:
                self._take_postgres_away()
            self.killer.mend()
            if self.elapsed >= due["row"] and len(self.scene.pages) < self.options.videos:
                scene.safely(self.scene.queue_next)
                due["row"] += self.options.seconds / 2 / self.options.videos
            if self.elapsed >= due["kill"] and self.killer.kills.total() < self.options.kills:
                self.killer.strike()
                due["kill"] = self.elapsed + self.scene.chance.uniform(0.5, 1.5) * self._pause()
            if self.elapsed >= due["fault"] and self.elapsed < TROUBLED * self.options.seconds:
                self.faults.plan_next()
                due["fault"] = self.elapsed + FAULT_EVERY
            if self._is_over():
                return True
            time.sleep(0.05)
        return False

    def _take_postgres_away(self) -> None:
        """For as long as asked for, with everything else up and running; this time is nobody's."""
        went = time.monotonic()
        if not self.options.away or not self.killer.kill("postgres"):
            return
        while time.monotonic() < went + self.options.away:
            self.stack.supervisor.tick()
            time.sleep(0.05)
        self.away = time.monotonic() - went
        self.began += self.away

    def _pause(self) -> float:
        """Seconds to the next kill, so that the wanted number fits."""
        left = max(1, self.options.kills - self.killer.kills.total())
        return max(0.2, (TROUBLED * self.options.seconds - self.elapsed) / left)

    def _is_over(self) -> bool:
        if self.elapsed < self.looked + LOOK:
            return False
        self.looked = self.elapsed
        done = scene.safely(self.scene.look)
        return bool(done) and self.killer.kills.total() >= self.options.kills


def main() -> int:
    guard()
    options = _options()
    console = Console()
    devpg.stop(FOLDER / "pg")
    shutil.rmtree(FOLDER, ignore_errors=True)
    supervisor_module.BACKOFF, supervisor_module.STEADY = (0.1, 0.5), 1.0
    try:
        with Supervisor(FOLDER / "logs", say=lambda line: None) as supervisor:
            stack = Stack(FOLDER, free_port(), supervisor, durable=False, settings=dict(scene.QUICK))
            found = _run(stack, options, console)
    except (StartError, devpg.PostgresError) as error:
        console.print(f"make chaos: {error}", style="red")
        return 1
    finally:
        devpg.release(FOLDER / "pg")
    return _tell(found, console)


def _run(stack: Stack, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    console.print(f"Seed {options.seed}: {options.videos} videos, {options.kills} kills, {options.seconds} s at most …")
    chance = random.Random(options.seed)
    stack.start()
    stage = scene.prepare(stack, channels=options.channels, clips=options.clips, videos=options.videos, chance=chance)
    killer, faults = Killer(stack, chance), Faults(stack.control, chance)
    run = Run(options, stack, stage, killer, faults, console)
    finished = run.play()
    stack.control.clear_faults()
    return {
        "seed": options.seed,
        "finished": finished,
        "seconds": round(run.elapsed, 1),
        "kills": killer.kills.total(),
        "postgres_away_seconds": round(run.away, 1),
        "kills_by_kind": dict(killer.kills),
        "faults": dict(faults.planned),
        "decided_by_person": dict(stage.decided),
        "rows_queued_again": stage.queued_again,
        **books.count(stage, stack.control),
        "unfinished": stage.unfinished(),
    }


def _tell(found: dict[str, Any], console: Console) -> int:
    path = FOLDER.with_suffix(".json")
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    broken = [name for name in NOTHING if found[name]] + ([] if found["finished"] else ["finished"])
    table = Table(title=f"Chaos, seed {found['seed']}")
    table.add_column("what")
    table.add_column("found")
    for name, value in found.items():
        table.add_row(name, str(value), style="red" if name in broken else "")
    console.print(table)
    console.print(f"Everything in {path}", soft_wrap=True, highlight=False)
    return 1 if broken else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=420, help="at most; kills come in the first six tenths")
    parser.add_argument("--away", type=int, default=60, help="seconds that PostgreSQL is away, once, halfway")
    parser.add_argument("--videos", type=int, default=20)
    parser.add_argument("--channels", type=int, default=5)
    parser.add_argument("--clips", type=int, default=2)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
