"""Starts scripts that outlive their worker, and finds out what came of them. The only importer of subprocess.

A run is a folder: `began` (seconds of this machine's monotonic clock), `pid` (its process group), `stdout`, `stderr`,
`exit` (written last, whole) and `alive`, on which the script holds a lock for as long as it lives. So any process, also
one that came after a crash, can tell whether it is still running, how it ended, or that it vanished.
"""

import fcntl
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from production.errors import StaleError
from production.outside import storable

MOST_OUTPUT = 1_000_000  # bytes of stdout that are read, the last ones: what it came to is said at the end
MOST_ERRORS = 2_000  # characters of stderr kept for people
LEFT: "list[subprocess.Popen[bytes]]" = []  # scripts that outlived the job which started them
HARMLESS = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SCRIPTS_ENV_FILE", "SSL_CERT_FILE")

# The shell writes its own id, so that a run whose starter died at once can be found, and the exit code by rename.
WRAPPER = """
echo $$ >"$0/pid"
"$@" >"$0/stdout" 2>"$0/stderr" </dev/null
echo $? >"$0/exit.new" && mv "$0/exit.new" "$0/exit"
"""


@dataclass(frozen=True)
class Order:
    """One start of a script: what to run, with what, where, and for how many seconds at most. One that another machine
    has started (not `is_here`) can be watched, but its process number means nothing here. A tool `is_ours` where it is
    not one of the scripts that SCRIPTS_DIR may bring: it lies with us and runs with our Python."""

    script: str
    flags: list[str]
    env: dict[str, str]
    secrets: dict[str, str]
    folder: Path
    output: Path | None
    seconds: int
    is_here: bool = True
    is_ours: bool = False


@dataclass
class Report:
    """What a script said and left behind. `code` is None for one that vanished or was ended at its time limit."""

    code: int | None = None
    timed_out: bool = False
    output: Path | None = None
    stderr: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)

    def said(self, event: str) -> dict[str, Any] | None:
        """The last event of that name."""
        return next((e for e in reversed(self.events) if e["event"] == event), None)

    def all(self, event: str) -> list[dict[str, Any]]:
        return [e for e in self.events if e["event"] == event]


class Run:
    """A script at work, ours or one whose worker died."""

    def __init__(self, order: Order, process: "subprocess.Popen[bytes] | None" = None, pipe: int | None = None) -> None:
        self.order = order
        self.process = process
        self.pipe = pipe
        self.timed_out = False

    @property
    def overdue(self) -> bool:
        """By the clock that nobody puts forward or back; another machine's is not to be had here."""
        began, pid = self.order.folder / "began", self.order.folder / "pid"
        with suppress(FileNotFoundError, ValueError):
            if self.order.is_here and began.exists():
                return time.monotonic() - float(began.read_text()) > self.order.seconds
            return time.time() - pid.stat().st_mtime > self.order.seconds
        return False

    def is_alive(self) -> bool:
        if self.process and self.process.poll() is None:
            return True
        return is_at_work(self.order.folder)

    def end(self) -> None:
        """Kill the whole group. The lock proves that the number still means our processes. Those of another machine
        are left to it: it takes over what is overdue when the claim is let go, or is lost and its lock with it."""
        self.timed_out = True
        if not self.order.is_here:
            return
        with suppress(FileNotFoundError, ValueError, ProcessLookupError):
            os.killpg(int((self.order.folder / "pid").read_text()), signal.SIGKILL)

    def leave(self) -> None:
        """It goes on without us; its process is looked after until it has ended, or it would stay a zombie."""
        self._close()
        if self.process:
            LEFT.append(self.process)

    def _close(self) -> None:
        if self.pipe is not None:
            os.close(self.pipe)
            self.pipe = None

    def report(self) -> Report:
        if self.process:
            self.process.wait()
        self._close()
        code = _exit_code(self.order.folder)
        return Report(
            code=code,
            timed_out=self.timed_out and code is None,  # it may have ended by itself just before
            output=self.order.output if self.order.output and self.order.output.is_file() else None,
            stderr=_last_words(self.order),
            events=events(self.order.folder, self.order.secrets),
        )


def start(order: Order) -> Run:
    """Start the script in a session of its own, its output going into files.

    Errors: FileNotFoundError where the script does not exist.
    """
    folder = settings.OWN_SCRIPTS_DIR if order.is_ours else settings.SCRIPTS_DIR
    script = folder / order.script
    if not script.is_file():
        raise FileNotFoundError(f"{order.script} is not in {folder}; set SCRIPTS_DIR")
    LEFT[:] = [process for process in LEFT if process.poll() is None]
    order.folder.mkdir(parents=True, exist_ok=True)
    read_end, write_end = os.pipe()
    lock = os.open(order.folder / "alive", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _lock(lock) or (order.folder / "pid").exists():
            os.close(read_end)
            return Run(order)  # a holder who overslept its lease finds it started already
        (order.folder / "began").write_text(str(time.monotonic()))
        python = (not order.is_ours and settings.SCRIPTS_PYTHON) or sys.executable
        process = subprocess.Popen(
            ["/bin/sh", "-c", WRAPPER, str(order.folder), python, str(script), *order.flags],
            cwd=script.parent,
            env={name: os.environ[name] for name in HARMLESS if name in os.environ} | order.env | order.secrets,
            start_new_session=True,
            pass_fds=(write_end, lock),
        )
    finally:
        os.close(write_end)
        os.close(lock)
    return Run(order, process, read_end)


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder as a script would: the kernel drops it when this process dies, however it dies.

    Errors: StaleError where somebody else is at it.
    """
    with (folder / "alive").open("wb") as lock:
        if not _lock(lock.fileno()):
            raise StaleError(f"{folder.name} is held by somebody else by now")
        yield


def is_at_work(folder: Path) -> bool:
    """Whether somebody holds the run folder's lock."""
    try:
        with (folder / "alive").open("rb") as file:
            return not _lock(file.fileno())
    except FileNotFoundError:
        return False


def find(order: Order) -> Run | None:
    """The run that a former claim holder left in the order's folder, if it was started at all."""
    was_started = (order.folder / "pid").exists() or is_at_work(order.folder)
    return Run(order) if was_started else None


def watch(runs: Collection[Run], *, seconds: float, beat: Callable[[], bool], every: float = 0.5) -> Iterator[Run]:
    """Yield each run as it ends, for so many seconds at most; `beat` is called in between and says whether to go on.
    What is put into `runs` meanwhile is watched too."""
    until = time.monotonic() + seconds
    ended: set[Run] = set()
    with selectors.DefaultSelector() as selector:
        while pending := _registered(selector, ended, runs):
            selector.select(timeout=every)
            for run in [run for run in pending if not run.is_alive()]:
                if run.pipe is not None:
                    selector.unregister(run.pipe)
                pending.remove(run)
                ended.add(run)
                yield run
            for run in pending:
                if run.overdue:
                    run.end()
            if time.monotonic() > until or not beat():
                return


def _registered(selector: selectors.BaseSelector, ended: set[Run], runs: Collection[Run]) -> list[Run]:
    """The runs that have not ended; each with its pipe in the selector, which closes as it ends."""
    pending = [run for run in runs if run not in ended]
    known = selector.get_map()
    for run in pending:
        if run.pipe is not None and run.pipe not in known:
            selector.register(run.pipe, selectors.EVENT_READ)
    return pending


def events(folder: Path, secrets: dict[str, str]) -> list[dict[str, Any]]:
    """The JSON lines of a script's stdout that carry an "event"; anything else is its own talk and passed over."""
    found = []
    path = folder / "stdout"
    with suppress(FileNotFoundError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - MOST_OUTPUT))
        for line in redacted(file.read(MOST_OUTPUT).decode(errors="replace"), secrets).split("\n"):
            if not line.lstrip().startswith("{"):
                continue
            with suppress(ValueError, RecursionError):
                said = storable(json.loads(line))
                if isinstance(said, dict) and isinstance(said.get("event"), str):
                    found.append(said)
    return found


def redacted(text: str, secrets: dict[str, str]) -> str:
    for secret in filter(None, secrets.values()):
        text = text.replace(secret, "***")
    return text


def _last_words(order: Order) -> str:
    """The end of stderr. More is read than is kept, so that no secret is cut in two before it is found."""
    path = order.folder / "stderr"
    with suppress(FileNotFoundError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2 * MOST_ERRORS))
        text = file.read(2 * MOST_ERRORS).decode(errors="replace").replace("\x00", "")
        return redacted(text, order.secrets).strip()[-MOST_ERRORS:]
    return ""


def _exit_code(folder: Path) -> int | None:
    try:
        return int((folder / "exit").read_text())
    except (FileNotFoundError, ValueError):
        return None


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
