"""`make crash`: one video, stopped at each commit and each vendor call, before it and after it, one at a time.

The video is made once, act by act, and what passes to the database and to the vendors is listed. Then for each point of
the list: the moment before its act is brought back, the act is played until the point and its process killed there, and
everything is started again. When nothing moves by itself any more, rows, Notion and the vendors' books must show what
the undisturbed run shows. Exit 0 only if they do, at every point.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import django
import psutil
from rich.console import Console
from rich.table import Table

from config import devpg, environment
from config.stack import ROOT
from config.supervisor import guard
from sandbox.server import Server
from tests.crash import letters, wire
from tests.crash.gate import AFTER, BEFORE, Gate, Passage
from tests.crash.world import DATABASE, World

FOLDER = ROOT / "var/crash"
PARTS = 2  # cores that are put to use
ACT_LIMIT = 120.0  # seconds
SETTINGS = {
    "UNDO_SECONDS": "0",
    "SWEEP_SECONDS": "0.3",
    "LOG_LEVEL": "WARNING",
    "UNKNOWN_LIMIT_SECONDS": "60",
    "NOTION_POLL_SECONDS": "0",  # the same acts in each run, however long it takes
}
SAME = ("status", "moves", "selected", "unfinished", "notion", "films", "published", "stuck")
NOTHING = ("tasks_lost", "paid_twice", "uploaded_twice", "claims_left", "lines_open", "unbooked_usd")
CLOCKED = {"UPDATE production_take"}  # leases are renewed as often as the clock says: one more or less each time
RENEWALS = 8  # of an act that are points: the ninth finds what the eighth did; a slow script has ninety of them
forked = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Point:
    """Where a process dies, and whether the scripts it has started die with it."""

    passage: Passage
    when: str
    scripts_too: bool

    def __str__(self) -> str:
        nth = f" ({self.passage.nth})" if self.passage.nth > 1 else ""
        return f"{self.when} {self.passage.what}{nth}{', scripts too' if self.scripts_too else ''}"


@dataclass
class Act:
    """One act of the undisturbed run: what was there before it, and where it can be stopped."""

    name: str
    before: int
    points: list[Point]


@dataclass
class Crash:
    """What became of a video that was stopped at a point."""

    act: str
    point: str
    reached: bool
    differs: dict[str, Any]
    written_off_usd: float = 0.0
    rounds: int = 0
    person: dict[str, int] = field(default_factory=dict)


class Conductor:
    """Everything on one stage: database, vendors, letter box, and processes that play what is asked of them."""

    def __init__(self, folder: Path, console: Console) -> None:
        self.folder, self.console = folder, console
        self.gate = Gate()
        server = devpg.ensure(folder / "pg", name="postgres", durable=False)
        self.world = World(folder, server)
        self.world.create()
        self.letters = letters.LetterBox(folder)
        sandbox = Server(folder / "sandbox", "instant", around=self.gate.around)
        self._set_environment(sandbox.start(), server)

    def _set_environment(self, addresses: dict[str, str], server: str) -> None:
        port = wire.listen(self.gate, devpg.socket_of(server))
        database = f"postgres://app@127.0.0.1:{port}/{DATABASE}?sslmode=disable&gssencmode=disable"
        made = environment.rehearsal(
            addresses,
            DJANGO_SETTINGS_MODULE="config.settings",
            DATABASE_URL=database,
            PUBLIC_URL=self.letters.url,
            WORKSPACE_ROOT=str(self.world.files / "workspaces"),
            STATIC_ROOT=str(self.world.files),  # it only has to exist
            **SETTINGS,
        )
        os.environ.clear()
        os.environ.update(made)
        django.setup()
        # The first sets Django up there, with what a web server has loaded.
        forked.set_forkserver_preload(["config.wsgi", "tests.crash.actor"])

    # ------------------------------------------------------------ acts

    def play(self, name: str) -> Any:
        """An act that nobody disturbs. Returns what it says."""
        answer = self.folder / f"{name}.json"
        answer.unlink(missing_ok=True)
        process = self._start(name, answer)
        self.gate.scripts = lambda: _scripts_of(process.pid)
        process.join(ACT_LIMIT)
        if process.exitcode != 0:
            raise RuntimeError(f"act {name} ended with {process.exitcode}: see {self.folder}/actors.log")
        return json.loads(answer.read_text())

    def kill_at(self, name: str, point: Point) -> bool:
        """Play the act up to the point and kill its process there. False: it has ended without coming by."""
        self.gate.listen(stop=(point.passage, point.when))
        process = self._start(name, None)
        while not self.gate.held.wait(0.002) and process.is_alive():
            pass
        reached = self.gate.held.is_set()
        scripts = _scripts_of(process.pid) if reached else []
        process.kill()
        if point.scripts_too:
            for script in scripts:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(script, signal.SIGKILL)
        process.join()
        by_a_script = point.passage.what.split()[0] in ("GET", "POST", "PUT", "PATCH", "DELETE") and bool(scripts)
        self.gate.release(goes_on=by_a_script and not point.scripts_too)
        self.gate.listen()
        return reached

    def _start(self, name: str, answer: Path | None) -> Any:
        from tests.crash.actor import act  # here: only now has Django its settings

        process = forked.Process(target=act, args=(name, self.folder, answer))
        process.start()
        return process

    # ------------------------------------------------------------ the undisturbed run

    def set_up(self) -> None:
        self.play("migrate")
        self.letters.at_once = lambda: self.play("take_letter")  # a handshake is taken at once
        self.play("set_up")
        self.letters.at_once = lambda: None

    def phase(self, *first: str) -> list[Act]:
        """Act after act until the video is at rest."""
        acts: list[Act] = []
        ahead = list(first)
        while name := ahead.pop(0) if ahead else self._next(acts[-1].name if acts else ""):
            before = self.world.keep()
            self.gate.listen()
            self.play(name)
            acts.append(Act(name, before, list(_points(self.gate.passed))))
        return acts

    def _next(self, last: str) -> str | None:
        """What is to do, in the order in which it came; the sweep when there is nothing else."""
        self.play("settled")
        if letters.waiting(self.folder):
            return "take_letter"
        if self.play("has_job"):
            return "take_job"
        if last == "sweep_once":
            if self.play("is_at_rest"):
                return None
            self.play("pass_time")
        return "sweep_once"

    # ------------------------------------------------------------ the crashes

    def crashes(self, wanted: Callable[[Point], bool]) -> Iterator[Crash]:
        """Of each phase in turn, from what a person does to the rest after it."""
        first = list[str]()
        while True:
            acts = self.phase(*first)
            end = self.play("outcome")
            points = sum(len(act.points) for act in acts)
            self.console.print(f"{points} points in {len(acts)} acts, to {end['status']}", highlight=False)
            rest = self.world.keep()
            for act in acts:
                for point in filter(wanted, act.points):
                    yield self._crash(act, point, end)
            self.world.bring_back(rest)
            self.world.forget()
            if end["status"] == "published":
                return
            first = ["approve"]

    def _crash(self, act: Act, point: Point, end: dict[str, Any]) -> Crash:
        self.world.bring_back(act.before)
        reached = self.kill_at(act.name, point)
        if act.name == "approve":
            self.play("approve")  # who got no answer says it again
        try:
            found = self.play("recover")
        except RuntimeError as error:
            return Crash(act.name, str(point), reached, {"broke": str(error)})
        same = [name for name in SAME if name != "moves" or not found["person"]]
        differs = {name: [found[name], end[name]] for name in same if found[name] != end[name]}
        differs |= {name: found[name] for name in NOTHING if found[name]}
        if not found["at_rest"]:
            differs["at_rest"] = False
        if not reached and point.passage.what not in CLOCKED:
            differs["missed"] = True  # nothing was killed there, so nothing is shown
        if differs:
            differs |= {"history": found["history"], "ledger": found["ledger"]}
        written_off = found["written_off_usd"] - end["written_off_usd"]
        return Crash(act.name, str(point), reached, differs, written_off, found["rounds"], found["person"])


def main() -> int:
    guard()
    options = _options()
    console = Console()
    if options.part is not None:
        return _play_part(options, console)
    shutil.rmtree(FOLDER, ignore_errors=True)
    command = [sys.executable, "-m", "tests.crash", "--only", options.only]
    parts = [subprocess.Popen([*command, "--part", str(part)], cwd=ROOT) for part in range(PARTS)]
    if any(part.wait() for part in parts):
        console.print("A part of the run broke off", style="red")
        return 1
    kept = [json.loads((FOLDER / f"{part}.json").read_text()) for part in range(PARTS)]
    return _tell([Crash(**crash) for part in kept for crash in part], console)


def _play_part(options: argparse.Namespace, console: Console) -> int:
    """One of PARTS shares of the points, on a stage of its own."""
    folder = FOLDER / str(options.part)

    def wanted(point: Point) -> bool:
        """By name: the parts' own runs may differ by a point or two, where the clock has a say."""
        return options.only in str(point) and zlib.crc32(str(point).encode()) % PARTS == options.part

    try:
        conductor = Conductor(folder, console)
        conductor.set_up()
        crashes = list(_told(conductor.crashes(wanted), console))
    finally:
        devpg.release(folder / "pg")
    folder.with_suffix(".json").write_text(json.dumps([asdict(crash) for crash in crashes]))
    return 0


def _told(crashes: Iterator[Crash], console: Console) -> Iterator[Crash]:
    """Each that went wrong is said at once."""
    for crash in crashes:
        if crash.differs:
            console.print(f"{crash.act}: {crash.point}: {crash.differs}", style="red", highlight=False)
        yield crash


def _tell(crashes: list[Crash], console: Console) -> int:
    path = FOLDER.with_suffix(".json")
    path.write_text(json.dumps([asdict(crash) for crash in crashes], indent=1) + "\n")
    table = Table("act", "points", "reached", "written off USD", "decided by a person", "not the same", title="Crashes")
    for act in dict.fromkeys(crash.act for crash in crashes):
        of_act = [crash for crash in crashes if crash.act == act]
        table.add_row(
            act,
            str(len(of_act)),
            str(sum(crash.reached for crash in of_act)),
            f"{sum(crash.written_off_usd for crash in of_act):.2f}",
            str(sum(bool(crash.person) for crash in of_act)),
            str(sum(bool(crash.differs) for crash in of_act)),
        )
    console.print(table)
    console.print(f"Everything in {path}", soft_wrap=True, highlight=False)
    return int(any(crash.differs for crash in crashes) or not crashes)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make crash", description=__doc__)
    parser.add_argument("--only", default="", help="points whose name has this in it")
    parser.add_argument("--part", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _points(passed: dict[Passage, bool]) -> Iterator[Point]:
    """Before and after each; where scripts ran, they die too, or they live on."""
    for passage, with_scripts in passed.items():
        if passage.what in CLOCKED and passage.nth > RENEWALS:
            continue
        for when in (BEFORE, AFTER):
            for scripts_too in (False, True)[: 1 + with_scripts]:
                yield Point(passage, when, scripts_too)


def _scripts_of(pid: int | None) -> list[int]:
    """Process ids of the scripts that a process has started and that still live; each leads a group of its own."""
    with suppress(psutil.Error, TypeError):
        return [child.pid for child in psutil.Process(pid).children() if child.status() != psutil.STATUS_ZOMBIE]
    return []


if __name__ == "__main__":
    sys.exit(main())
