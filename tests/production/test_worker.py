"""A real worker goes on, whoever of it dies; it ends when it is told to, after the job at hand, and leaves nothing."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest
from django.db import connection
from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.models import Failure, OrmQ
from django_q.tasks import async_task

from production.broker import PostgresBroker, in_line
from production.models import Heartbeat, Job
from tests.config.processes import LIMIT, ROOT, alive_with, database_url, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Call:
    """A job on the line: process `pid` is at it."""

    line: socket.socket
    pid: int

    def let_go(self) -> bytes:
        """What the job says at its end; nothing if it was killed before."""
        self.line.shutdown(socket.SHUT_WR)
        return self.last_words()

    def last_words(self) -> bytes:
        with self.line, suppress(ConnectionResetError):
            return self.line.recv(16)
        return b""


@dataclass
class Worker:
    """`manage.py worker`, the log it writes, and the telephone its jobs call."""

    process: subprocess.Popen[bytes]
    log: Path
    telephone: socket.socket

    def pool(self) -> list[psutil.Process]:
        """In the order of their start: the workers, the one that sweeps."""
        children = psutil.Process(self.process.pid).children()
        return sorted((child for child in children if child.is_running()), key=lambda process: process.pid)

    def enqueue(self, job: str, *args: object, cluster: str = "calls", **options: object) -> None:
        address = f"tests.production.worker_jobs.{job}"
        port = self.telephone.getsockname()[1]
        async_task(address, port, *args, cluster=cluster, save=False, **options)

    def answer(self) -> Call:
        line, _ = self.telephone.accept()
        line.settimeout(LIMIT)
        return Call(line, int(line.recv(16)))

    def do(self, job: str) -> int:
        """Have the job done and acknowledged; the process that was at it."""
        before = Job.objects.count()
        self.enqueue(job)
        call = self.answer()
        call.last_words()
        wait_until(lambda: Job.objects.count() <= before)  # what stood in line before may be done by then too
        return call.pid


@pytest.fixture
def hire(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """`hire()` starts one that has beaten once; whatever is left of it ends with the test."""
    hired = []
    with socket.create_server(("127.0.0.1", 0)) as telephone:
        telephone.settimeout(LIMIT)

        def start(*, workers: int = 1, cluster: str = "calls", **settings: str) -> Worker:
            log = tmp_path / "log"
            # The name of the cluster spares a second start: without it, the worker becomes itself once more.
            settings = {"Q_CLUSTER_NAME": cluster, "WORKERS": str(workers)} | settings
            hired.append(process := _start(tmp_path, log, cluster, **settings))
            wait_until(Heartbeat.objects.exists)
            return Worker(process, log, telephone)

        yield start
    for process in alive_with(tmp_path):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    for process in hired:
        process.wait()
    wait_until(lambda: not alive_with(tmp_path))


def _start(mark: Path, log: Path, cluster: str, **settings: str) -> subprocess.Popen[bytes]:
    """With `mark` in the command line of all its processes, in an option that changes nothing."""
    settings = {"DATABASE_URL": database_url(), "SWEEP_SECONDS": "0.2"} | settings
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"} | settings
    argv = [sys.executable, "manage.py", "worker", "--cluster", cluster, f"--pythonpath={mark}"]
    with log.open("wb") as stderr:
        return subprocess.Popen(argv, cwd=ROOT, env=environment, stderr=stderr, start_new_session=True)


def test_worker_does_the_jobs_of_its_cluster_only(hire: Callable[..., Worker]) -> None:
    worker = hire(cluster="cpu", Q_CLUSTER_NAME="")
    worker.enqueue("stay", cluster="calls")
    worker.enqueue("report", cluster="cpu")
    assert worker.answer().last_words() == b""
    wait_until(lambda: Job.objects.count() == 1)
    assert in_line("calls") == 1
    assert Heartbeat.objects.alive().get().cluster == "cpu"


def test_worker_works_for_the_stock_broker_too(hire: Callable[..., Worker]) -> None:
    worker = hire(QUEUE_BROKER="orm")
    worker.enqueue("report", broker=ORM("calls"))
    assert worker.answer().last_words() == b""
    wait_until(lambda: not OrmQ.objects.exists())


def test_worker_replaces_whoever_of_its_pool_is_killed(hire: Callable[..., Worker]) -> None:
    """And nobody else: one that waits for a job, one that is at it, the one that sweeps, all at once."""
    worker = hire(workers=2)
    worker.enqueue("stay")
    call = worker.answer()
    pool = worker.pool()
    for victim in pool:
        victim.kill()
    assert call.last_words() == b""
    assert worker.answer().let_go() == b"done"  # the job of the one that was at it
    wait_until(lambda: len(worker.pool()) == 3)
    assert not {*pool} & {*worker.pool()}
    wait_until(lambda: not Job.objects.exists())


def test_worker_buries_a_job_that_kills_each_who_takes_it(hire: Callable[..., Worker]) -> None:
    worker = hire(workers=2)
    worker.enqueue("die")
    calls = [worker.answer() for _ in range(3)]
    assert {call.last_words() for call in calls} == {b""}
    assert len({call.pid for call in calls}) == 3
    wait_until(Failure.objects.exists)
    assert Failure.objects.get().result.startswith("gave up after 3 deliveries")
    assert not Job.objects.exists()
    worker.do("report")


def test_worker_goes_on_beside_a_job_that_cannot_be_read(hire: Callable[..., Worker]) -> None:
    """Such as one enqueued before a deployment that took its class away."""

    class Gone:
        def __reduce__(self) -> tuple[type, tuple[str]]:
            return int, ("not a number",)

    worker = hire(workers=2)
    worker.enqueue("stay")
    call = worker.answer()
    worker.enqueue("report", Gone())
    worker.enqueue("report")
    assert worker.answer().last_words() == b""
    wait_until(Failure.objects.exists)
    assert call.let_go() == b"done"
    wait_until(lambda: not Job.objects.exists())


def test_worker_refuses_a_job_that_somebody_else_signed(hire: Callable[..., Worker]) -> None:
    PostgresBroker("calls").enqueue("no package of ours")
    worker = hire()
    worker.do("report")
    wait_until(lambda: "job_refused" in worker.log.read_text())


def test_worker_ends_jobs_at_their_time_limit(hire: Callable[..., Worker], tmp_path: Path) -> None:
    """Those that heed it are acknowledged as failed; the last has to be killed, whoever takes it."""
    worker = hire(workers=11)
    for job in ["stay"] * 10 + ["stay_deaf"]:
        worker.enqueue(job, timeout=1)
    for call in [worker.answer() for _ in range(11)]:
        assert call.last_words() == b""
        wait_until(lambda call=call: call.pid not in [process.pid for process in alive_with(tmp_path)])
    for _ in range(2):
        assert worker.answer().last_words() == b""
    wait_until(lambda: not Job.objects.exists())
    assert sum("maximum timeout" in failure.result for failure in Failure.objects.all()) == 10
    assert Failure.objects.filter(name="").get().result.startswith("gave up")
    worker.do("report")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_worker_told_to_end_finishes_the_job_at_hand(
    hire: Callable[..., Worker], tmp_path: Path, number: signal.Signals
) -> None:
    """Told to the whole group, as a terminal and many supervisors do."""
    worker = hire()
    worker.enqueue("stay")
    call = worker.answer()
    *_, sweeper = worker.pool()
    os.killpg(worker.process.pid, number)
    wait_until(lambda: not sweeper.is_running())
    assert call.let_go() == b"done"
    assert worker.process.wait(LIMIT) == 0
    assert not Job.objects.exists()
    assert not alive_with(tmp_path)


def test_worker_killed_leaves_no_process_and_loses_no_job(hire: Callable[..., Worker], tmp_path: Path) -> None:
    worker = hire()
    worker.enqueue("stay")
    call = worker.answer()
    worker.process.kill()
    assert call.last_words() == b""
    worker.process.wait(LIMIT)
    wait_until(lambda: not alive_with(tmp_path))
    assert hire().answer().let_go() == b"done"


def test_worker_outlasts_a_database_that_is_away(hire: Callable[..., Worker]) -> None:
    """Nobody of it ends, one line says so, and what was at work meanwhile is done once more."""
    worker = hire(workers=2)
    worker.enqueue("stay")
    call = worker.answer()
    pool = worker.pool()
    with away():
        wait_until(lambda: "database_unreachable" in worker.log.read_text())
        assert call.let_go() == b"done"
    back = timezone.now()
    assert worker.answer().let_go() == b"done"
    wait_until(lambda: not Job.objects.exists())
    worker.do("report")
    wait_until(Heartbeat.objects.filter(name__endswith=f":{worker.process.pid}", beat__gt=back).exists)
    assert worker.pool() == pool
    assert worker.log.read_text().count("database_unreachable") == 1


def test_worker_told_to_end_while_the_database_is_away_ends(hire: Callable[..., Worker]) -> None:
    worker = hire()
    with away():
        worker.process.terminate()
        assert worker.process.wait(LIMIT) == 0


@contextmanager
def away() -> Iterator[None]:
    """The test's database throws everybody out and lets nobody in."""
    name = connection.settings_dict["NAME"]
    connection.close()
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        try:
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            yield
        finally:
            server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def test_worker_without_a_database_says_what_to_do(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert _start(tmp_path, log, "calls", DATABASE_URL=f"postgres://app@/app?host={tmp_path}").wait(LIMIT) == 1
    said = log.read_text()
    assert "\nCommandError: The database can't be reached: " in said
    assert said.endswith("Start it, or mend DATABASE_URL.\n")
    assert "Traceback" not in said
