"""Children stay up while they are wanted, and nothing of them stays afterwards."""

import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from config import devpg, supervisor
from config import supervisor as supervisor_module
from config.supervisor import StartError, Supervisor
from tests.config.processes import alive_with, python
from tests.waiting import eventually

SLEEP = "import sys, time; time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
# A child with a process beside it in its session, and one in a session of its own whose parent is gone.
LITTERING = f"""
import subprocess, sys, time
leaf = [sys.executable, '-c', {SLEEP!r}, sys.argv[1]]
subprocess.run([sys.executable, '-c',
    'import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True)', *leaf])
subprocess.Popen([*leaf, 'beside'])
print('up', flush=True)
time.sleep(600)
"""
SUPERVISED = f"""
import os, sys
from pathlib import Path
from config import supervisor
supervisor.guard()
with supervisor.Supervisor(Path(sys.argv[1])) as children:
    children.start("child", [sys.executable, "-c", {LITTERING!r}, sys.argv[2]], os.environ)
    children.wait_ready("child", lambda: "up" in Path(sys.argv[1], "child.log").read_text())
    print(os.getpid(), flush=True)
    children.run(lambda: False)
"""


@pytest.fixture
def mark() -> Iterator[str]:
    """A word in the command line of everything a test starts."""
    mark = f"mark-{uuid.uuid4()}"
    yield mark
    for process in alive_with(mark):
        process.kill()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def children(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    with Supervisor(tmp_path, grace=5, say=said.append) as children:
        yield children


def start(children: Supervisor, code: str, mark: str) -> supervisor.Child:
    return children.start("child", [sys.executable, "-c", code, mark], os.environ)


def up(child: supervisor.Child) -> bool:
    return "up" in child.log.read_text()


def test_tick_restarts_a_dead_child_and_says_so(children: Supervisor, mark: str, said: list[str]) -> None:
    child = start(children, SLEEP, mark)
    child.process.kill()
    children.run(lambda: child.restarts == 1)
    assert said == [f"child ended (SIGKILL), next start in 0.2 s: nothing in {child.log}"]
    assert len(alive_with(mark)) == 1


def test_tick_waits_longer_each_time(
    children: Supervisor, mark: str, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "BACKOFF", (0.01, 0.03))
    child = start(children, "print('no config'); raise SystemExit(4)", mark)
    children.run(lambda: len(said) == 4)
    assert child.restarts >= 3
    assert said[0] == "child ended (exit 4), next start in 0.01 s: no config"
    assert ["0.01 s" in said[0], "0.02 s" in said[1], "0.03 s" in said[2], "0.03 s" in said[3]] == [True] * 4


def test_tick_ends_the_session_of_a_dead_child_but_not_those_beyond(children: Supervisor, mark: str) -> None:
    child = start(children, LITTERING, mark)
    children.wait_ready("child", lambda: up(child) and len(alive_with(mark)) == 3)
    child.argv = [sys.executable, "-c", SLEEP, mark, "second"]
    child.process.kill()
    children.run(lambda: child.restarts == 1)
    assert not alive_with(f"{mark} beside")
    assert len(alive_with(mark)) == 2  # the new child and the process in a session of its own


def test_tick_collects_adopted_zombies(children: Supervisor, mark: str) -> None:
    child = start(children, LITTERING, mark)
    children.wait_ready("child", lambda: up(child))
    (orphan,) = [p for p in alive_with(mark) if p.ppid() == os.getpid() and p.pid != child.process.pid]
    orphan.kill()
    children.run(lambda: not orphan.is_running())


def test_tick_collects_zombies_behind_somebody_elses(children: Supervisor, mark: str) -> None:
    """The one that is named first is not ours to collect, and must not keep the others from being collected."""
    other = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    supervisor_module._reap({other.pid})
    dead = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
    supervisor_module._reap({other.pid})
    assert dead.pid not in {process.pid for process in psutil.Process().children()}
    assert other.wait() == 0
    dead.returncode = 0


def test_exit_ends_orphans_with_sessions_of_their_own(tmp_path: Path, mark: str) -> None:
    before = set(psutil.Process().children())  # what other tests of this process have left
    with Supervisor(tmp_path) as children:
        child = start(children, LITTERING, mark)
        children.wait_ready("child", lambda: up(child))
        assert len(alive_with(mark)) == 3
    assert not alive_with(mark)
    left = set(psutil.Process().children()) - before
    assert not [process for process in left if process.status() == psutil.STATUS_ZOMBIE]


def test_exit_kills_what_ignores_sigterm(tmp_path: Path, mark: str) -> None:
    with Supervisor(tmp_path, grace=0.1) as children:
        child = start(children, STUBBORN, mark)
        children.wait_ready("child", lambda: up(child))
    assert not alive_with(mark)
    assert child.process.returncode == -signal.SIGKILL


def test_exit_spares_what_was_there_before_and_the_shared_database(tmp_path: Path, mark: str) -> None:
    before = subprocess.Popen([sys.executable, "-c", SLEEP, mark])
    with Supervisor(tmp_path / "logs"):
        address = devpg.ensure(tmp_path / "pg", durable=False)
    assert before.poll() is None
    assert devpg.ensure(tmp_path / "pg") == address
    assert len([p for p in alive_with(tmp_path) if devpg.is_keeper(p.cmdline())]) == 1
    devpg.release(tmp_path / "pg")
    before.kill()
    before.wait()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signal_ends_everything(tmp_path: Path, mark: str, number: int, code: int) -> None:
    command = python(SUPERVISED, tmp_path, mark)
    command.stdout.readline()
    assert len(alive_with(mark)) >= 4
    command.send_signal(number)
    command.communicate()
    assert command.returncode == code
    assert not alive_with(mark)


def test_sigkill_of_the_supervisor_leaves_nothing(tmp_path: Path, mark: str) -> None:
    command = python(SUPERVISED, tmp_path, mark)
    os.kill(int(command.stdout.readline()), signal.SIGKILL)
    command.communicate()
    assert command.returncode == 128 + signal.SIGKILL
    assert not alive_with(mark)


def test_sigkill_of_the_guard_leaves_nothing(tmp_path: Path, mark: str) -> None:
    command = python(SUPERVISED, tmp_path, mark)
    command.stdout.readline()
    command.kill()
    command.communicate()
    eventually(lambda: not alive_with(mark))


def test_wait_ready_quotes_a_child_that_ended(children: Supervisor, mark: str) -> None:
    start(children, "print('one\\ntwo\\n\\nthree\\nno database'); raise SystemExit(3)", mark)
    with pytest.raises(StartError) as caught:
        children.wait_ready("child", "http://127.0.0.1:1/")
    assert str(caught.value) == "child ended (exit 3) before it was ready: two | three | no database"


def test_wait_ready_quotes_a_child_that_takes_too_long(children: Supervisor, mark: str) -> None:
    child = start(children, STUBBORN, mark)
    children.wait_ready("child", lambda: up(child))
    with pytest.raises(StartError, match=r"^child was not ready within 0\.1 s: up$"):
        children.wait_ready("child", lambda: False, 0.1)
    child.process.kill()


def test_wait_ready_asks_an_address_past_every_proxy(
    children: Supervisor, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    port = supervisor.free_port()
    children.start("web", [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"], os.environ)
    children.wait_ready("web", f"http://127.0.0.1:{port}/")
    assert not supervisor.answers(f"http://127.0.0.1:{port}/missing")


def test_start_of_a_missing_program_says_so(children: Supervisor) -> None:
    with pytest.raises(StartError, match=r"^nothing-here can't be started in .*: No such file or directory$"):
        children.start("child", ["nothing-here"], {})


def test_require_port_gives_back_a_free_one() -> None:
    port = supervisor.free_port()
    assert supervisor.require_port(port) == port


def test_require_port_names_who_has_it_and_another() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        expected = rf"^port {port} is busy: \S+ \(process {os.getpid()}\) listens on it; end it or set PORT=\d+$"
        with pytest.raises(StartError, match=expected):
            supervisor.require_port(port)
