"""Start named processes, keep them up, and leave none behind.

A child has a session of its own, so Ctrl-C in the terminal reaches only the supervisor, which decides the order. When a
child dies, what shared its session goes with it; what made its own (a script that outlives its worker) stays until the
supervisor ends. On Linux the supervisor is the "child subreaper": orphans of its children become its own children, so
the end finds them; elsewhere it finds those whose parents still live.
"""

import contextlib
import ctypes
import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn, Self
from urllib.parse import urlsplit

import psutil

from config import devpg

BACKOFF = (0.2, 5.0)  # seconds before the first restart and at most; doubled each time
STEADY = 10.0  # seconds of life after which a death counts as the first again
REMNANTS_GRACE = 2.0  # seconds between SIGTERM and SIGKILL for what the children left behind
FORCE_LIMIT = 10.0  # seconds SIGKILL may take: a process in a hung disk or network call can't be waited for
PAUSE = 0.05  # seconds between two looks at the children
SERVER_PORTS = range(10_000, 32_768)  # below those that Linux and macOS give to outgoing connections
QUOTED_LINES, QUOTED_BYTES = 3, 600  # of a log, in the message of a failure

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
LIBC = ctypes.CDLL(None)  # loaded here: between fork and exec is no place for it

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Say = Callable[[str], None]
Handler = Callable[[int, FrameType | None], None]


class StartError(RuntimeError):
    """Something can't start; the message is one line that says what and what to do."""


@dataclass
class Child:
    """A supervised program; while it is down, `due` is the (monotonic) time of its next start."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    process: subprocess.Popen[bytes]
    started: float
    delay: float
    due: float | None = None
    restarts: int = 0


def say_on_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")


class Supervisor:
    """Use it as a context manager; call `tick` (or `run`) often: nothing happens between.

    While it is entered, SIGINT raises KeyboardInterrupt, SIGTERM and SIGHUP raise SystemExit; a second one during the
    end cuts the grace short. Processes that this process had before, and the shared database, are left alone.
    """

    def __init__(self, logs: Path, *, grace: float = 10.0, say: Say = say_on_stderr) -> None:
        self.logs, self.grace, self.say = logs, grace, say
        self.children: dict[str, Child] = {}
        self._before = _descendants(set())
        self._handlers = contextlib.ExitStack()
        self._hurry = False

    def __enter__(self) -> Self:
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        self._handle(_interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle(self._hasten)
        with self._handlers:
            self._end_children()
            end_descendants(self._before, self.say)
            _prctl(PR_SET_CHILD_SUBREAPER, 0)

    def start(self, name: str, argv: Sequence[str], environment: Mapping[str, str], *, folder: Path = Path()) -> Child:
        """Start a program in `folder`; what it prints goes to `<logs>/<name>.log`, which is begun anew."""
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{name}.log"
        log.write_bytes(b"")
        process = _spawn(argv, environment, folder, log)
        self.children[name] = Child(name, argv, environment, folder, log, process, time.monotonic(), BACKOFF[0])
        return self.children[name]

    def tick(self) -> None:
        """Notice who died, start again who is due, collect dead orphans."""
        for child in self.children.values():
            if child.due is None and child.process.poll() is not None:
                self._bury(child)
            if child.due is not None and time.monotonic() >= child.due:
                self._restart(child)
        _reap({child.process.pid for child in self.children.values()} | {process.pid for process in self._before})

    def run(self, until: Callable[[], bool]) -> None:
        """Tick until `until()` is true."""
        while not until():
            self.tick()
            time.sleep(PAUSE)

    def wait_ready(self, name: str, ready: str | Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait until `ready` (a URL that answers below 400, or a function) holds; StartError if it doesn't in time."""
        child, deadline = self.children[name], time.monotonic() + seconds
        holds = ready if callable(ready) else lambda: answers(ready)
        while not holds():
            if (code := child.process.poll()) is not None:
                raise StartError(f"{name} ended ({_meaning(code)}) before it was ready: {_last_lines(child.log)}")
            if time.monotonic() > deadline:
                raise StartError(f"{name} was not ready within {seconds:g} s: {_last_lines(child.log)}")
            time.sleep(PAUSE)

    def _bury(self, child: Child) -> None:
        _signal_group(child.process.pid, signal.SIGKILL)
        if time.monotonic() - child.started > STEADY:
            child.delay = BACKOFF[0]
        child.due = time.monotonic() + child.delay
        code = _meaning(child.process.returncode)
        self.say(f"{child.name} ended ({code}), next start in {child.delay:g} s: {_last_lines(child.log)}")
        child.delay = min(child.delay * 2, BACKOFF[1])

    def _restart(self, child: Child) -> None:
        child.process = _spawn(child.argv, child.environment, child.folder, child.log)
        child.started, child.due = time.monotonic(), None
        child.restarts += 1

    def _end_children(self) -> None:
        """The children first, on their own: they may want the database and their scripts while they end."""
        deadline = time.monotonic() + self.grace
        for child in self.children.values():
            if child.process.poll() is None:
                child.process.terminate()
        while any(child.process.poll() is None for child in self.children.values()):
            if self._hurry or time.monotonic() > deadline:
                break
            time.sleep(PAUSE)
        for child in self.children.values():
            _signal_group(child.process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(FORCE_LIMIT)

    def _handle(self, handler: Handler) -> None:
        for number in SIGNALS:
            self._handlers.callback(signal.signal, number, signal.signal(number, handler))

    def _hasten(self, number: int, frame: FrameType | None) -> None:
        self._hurry = True


def guard() -> None:
    """Let everything end with this process even when it is killed with SIGKILL; call it first in a command.

    The process splits (on Linux). The child returns and goes on; the parent only passes signals on to it, ends whatever
    it left and exits with its code. If the parent is the one that is killed, the child gets SIGTERM.
    """
    if sys.platform != "linux":
        return
    before = _descendants(set())
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    if worker := os.fork():
        _stand_guard(worker, before)
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    os.setpgid(0, 0)  # so that Ctrl-C comes once, by the guard


def end_descendants(spared: set[psutil.Process], say: Say = say_on_stderr) -> None:
    """End every process below this one but the spared and shared databases: SIGTERM, after a grace SIGKILL."""
    begun, told = time.monotonic(), set[psutil.Process]()
    while left := _descendants(spared):
        elapsed = time.monotonic() - begun
        if elapsed > REMNANTS_GRACE + FORCE_LIMIT:
            say(f"these processes can't be ended: {', '.join(str(process.pid) for process in left)}")
            return
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                if elapsed > REMNANTS_GRACE:
                    process.kill()
                elif process not in told:
                    process.terminate()
        told |= left
        time.sleep(PAUSE / 5)
        _reap({process.pid for process in spared})
    _reap({process.pid for process in spared})  # who died after the last round was not seen as left


def answers(address: str) -> bool:
    """Whether an http address answers below 400; proxies of the environment are not asked."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=2)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status < 400
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    """A loopback port nobody listens on, and that no outgoing connection is given before its server has it."""
    for port in random.sample(SERVER_PORTS, 100):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise StartError(f"of 100 ports tried between {SERVER_PORTS[0]} and {SERVER_PORTS[-1]} none is free")


def require_port(port: int) -> int:
    """Return `port` if it can be listened on; StartError, naming who has it where that can be seen."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            raise StartError(f"port {port} is reserved for root: set PORT to one above 1023") from None
        except OSError:
            raise StartError(f"port {port} is busy: {_listener(port)}; end it or set PORT={free_port()}") from None
    return port


# -- details ---------------------------------------------------------------------------------------------------------


def _spawn(argv: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> subprocess.Popen[bytes]:
    parent = os.getpid()

    def die_with_parent() -> None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    with log.open("ab") as output:
        try:
            return subprocess.Popen(
                argv,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        except OSError as error:
            raise StartError(f"{argv[0]} can't be started in {folder.resolve()}: {error.strerror}") from None


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        LIBC.prctl(option, value, 0, 0, 0)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


def _stand_guard(worker: int, before: set[psutil.Process]) -> NoReturn:
    for number in SIGNALS:
        signal.signal(number, lambda number, frame: os.kill(worker, number))
    _, status = os.waitpid(worker, 0)
    code = os.waitstatus_to_exitcode(status)
    end_descendants(before)
    os._exit(code if code >= 0 else 128 - code)


def _descendants(spared: set[psutil.Process]) -> set[psutil.Process]:
    everyone = set(psutil.Process().children(recursive=True))
    for root in [process for process in everyone if process in spared or _is_shared(process)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            everyone -= {root, *root.children(recursive=True)}
    return {process for process in everyone if not _is_zombie(process)}


def _is_shared(process: psutil.Process) -> bool:
    try:
        return devpg.is_keeper(process.cmdline())
    except psutil.Error:
        return False


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _reap(others: set[int]) -> None:
    """Collect dead orphans this process has adopted; the dead among `others` are somebody's Popen's to collect."""
    with contextlib.suppress(ChildProcessError):
        while dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if dead.si_pid in others:
                _reap_behind(others)  # it would be named again and again
                break
            os.waitpid(dead.si_pid, 0)


def _reap_behind(others: set[int]) -> None:
    """The same by looking at every child: milliseconds, so only where somebody else's dead stands in the way."""
    for process in psutil.Process().children():
        if process.pid not in others and _is_zombie(process):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)


def _signal_group(leader: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS, when all are zombies
        os.killpg(leader, number)


def _meaning(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit {code}"


def _last_lines(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - QUOTED_BYTES))
        text = file.read().decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-QUOTED_LINES:]) or f"nothing in {log}"


def _listener(port: int) -> str:
    with contextlib.suppress(psutil.Error):  # macOS shows other people's connections to root only
        for connection in psutil.net_connections(kind="tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
            if listens and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid}) listens on it"
    return "another program listens on it"
