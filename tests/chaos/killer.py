"""Kills with SIGKILL, evenly over the kinds of processes; never the vendors, whose books are the evidence."""

import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

import psutil

from config import devpg
from config.stack import WEB, Stack


class Killer:
    """Knows the stack's processes by kind; `strike` ends one."""

    def __init__(self, stack: Stack, chance: random.Random) -> None:
        self.stack, self.chance = stack, chance
        self.kills: Counter[str] = Counter()
        self.prey: dict[str, Callable[[], Iterator[int]]] = {
            "pool process": self._pool,
            "worker command": self._commands,
            "script": self._scripts,
            "web worker": lambda: self._below(WEB),
            "web server": lambda: self._of(WEB),
            "postgres": self._postgres,
        }

    def strike(self) -> str:
        """Kill one process of the kind that was met least often so far, of those that are there. Returns the kind."""
        kinds = sorted(self.prey, key=lambda kind: (self.kills[kind], self.chance.random()))
        return next((kind for kind in kinds if self.kill(kind)), "")

    def kill(self, kind: str) -> bool:
        """Kill one process of that kind; False where there is none."""
        if found := sorted(set(self.prey[kind]())):
            with suppress(ProcessLookupError):
                os.kill(self.chance.choice(found), signal.SIGKILL)
                self.kills[kind] += 1
                return True
        return False

    def mend(self) -> None:
        """What a service manager does: PostgreSQL is started again. The supervisor does it for all others."""
        devpg.ensure(self.stack.folder / "pg", durable=False)

    def _of(self, name: str) -> Iterator[int]:
        process = self.stack.supervisor.children[name].process
        if process.poll() is None:
            yield process.pid

    def _below(self, name: str) -> Iterator[int]:
        for pid in self._of(name):
            with suppress(psutil.NoSuchProcess):
                yield from (child.pid for child in psutil.Process(pid).children(recursive=True) if not is_script(child))

    def _commands(self) -> Iterator[int]:
        for name in ("calls", "cpu"):
            yield from self._of(name)

    def _pool(self) -> Iterator[int]:
        for name in ("calls", "cpu"):
            yield from self._below(name)

    def _scripts(self) -> Iterator[int]:
        for child in psutil.Process().children(recursive=True):
            if is_script(child):
                yield child.pid

    def _postgres(self) -> Iterator[int]:
        with suppress(FileNotFoundError, ValueError, IndexError):
            yield int(next(self.stack.folder.glob("pg/*/postmaster.pid")).read_text().split()[0])


def is_script(process: psutil.Process) -> bool:
    """One of the seven, or the shell around it."""
    try:
        return any(f"{os.sep}scripts{os.sep}" in part for part in process.cmdline())
    except psutil.Error:
        return False
