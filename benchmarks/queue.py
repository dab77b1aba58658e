"""From a ring to the start of its job, and no-op jobs a second: ours, stock django-q2, procrastinate, pgqueuer.

All on the same durable PostgreSQL, each in a database of its own and with two worker processes, one after another, so
that nobody else is at work. Latency: single rings on an idle system with random pauses, from the call of ring to the
first line of the job. Throughput: from the commit of so many rings until the last one is acknowledged.
"""

import os
import random
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import psycopg

from benchmarks import bell
from benchmarks.bench import Bench
from benchmarks.figures import Figure, higher_is_better, lower_is_better, percentile
from benchmarks.peers import PEERS
from config.stack import ROOT
from config.supervisor import StartError, Supervisor

PROCESSES = 2
WARM_UP = 20  # rings that are not counted: everybody has imported and prepared what they need
PAUSE = (0.02, 0.12)  # seconds; longer than any of them is busy, and no multiple of a polling interval
LIMIT = 60.0  # seconds for a job to begin, or for all to end
PEER = "the fastest of django-q2's stock ORM broker (poll 0.1 s), procrastinate, pgqueuer"


class Queue(Protocol):
    """How one of them is rung; `left` counts the jobs that are not acknowledged."""

    @property
    def left(self) -> str: ...
    def strike(self, number: int, port: int) -> None: ...
    def fill(self, numbers: Sequence[int]) -> None: ...
    def close(self) -> None: ...


def measure(bench: Bench) -> list[Figure]:
    bench.set_up_django(bench.database("queue"))
    rings, jobs = bench.amount(150, 5), bench.amount(5000, 50)
    found = {name: _measured(bench, name, rings, jobs) for name in ("ours", "stock", *PEERS)}
    times = {name: times for name, (times, _) in found.items()}
    return [latency(times), throughput({name: rate for name, (_, rate) in found.items()})]


def latency(times: dict[str, list[float]]) -> Figure:
    """`times`: the milliseconds of each ring, by whose it was."""
    told = {who: {"p50_ms": percentile(ms, 0.5), "p95_ms": percentile(ms, 0.95)} for who, ms in times.items()}
    medians = {who: each["p50_ms"] for who, each in told.items()}
    ours = medians.pop("ours")
    name, unit = "ring_latency", "ms from a ring to the start of its job, median"
    return lower_is_better(name, unit, ours, min(medians.values()), peer=PEER, aim="the peer's", queues=told)


def throughput(rates: dict[str, float]) -> Figure:
    """`rates`: jobs a second, by whose they were."""
    best = max(rate for who, rate in rates.items() if who != "ours")
    name, unit = "queue_throughput", f"no-op jobs a second, {PROCESSES} processes"
    return higher_is_better(name, unit, rates["ours"], best, peer=PEER, queues=rates)


@dataclass
class _Django:
    """Ours, through `ring`; or stock, through django-q2's own ORM broker."""

    stock: bool

    @property
    def left(self) -> str:
        return "SELECT count(*) FROM django_q_ormq" if self.stock else "SELECT count(*) FROM production_job"

    def strike(self, number: int, port: int) -> None:
        self._ring("benchmarks.bell.strike", number, port)

    def fill(self, numbers: Sequence[int]) -> None:
        from django.db import transaction

        with transaction.atomic():
            for number in numbers:
                self._ring("benchmarks.bell.do_nothing", number)

    def close(self) -> None:
        from django.db import connection

        connection.close()

    def _ring(self, job: str, *args: object) -> None:
        from django_q.brokers.orm import ORM
        from django_q.tasks import async_task

        from production.broker import ring

        if self.stock:
            async_task(job, *args, save=False, broker=ORM("calls"))
        else:
            ring(job, *args)


def _measured(bench: Bench, name: str, rings: int, jobs: int) -> tuple[list[float], float]:
    """Milliseconds of each ring; jobs a second."""
    url = bench.database("queue" if name in ("ours", "stock") else f"queue_{name}")
    queue: Queue = PEERS[name](url) if name in PEERS else _Django(stock=name == "stock")
    with _at_work(bench, name, url), _Ear() as ear:
        for _ in range(WARM_UP):
            ear.time(queue)
        times = [ear.time(queue) for _ in range(rings)]
        rate = jobs / _seconds_for(queue, url, jobs)
    queue.close()
    return times, rate


@contextmanager
def _at_work(bench: Bench, name: str, url: str) -> Iterator[None]:
    """Two worker processes: of a cluster that has two, or two of one."""
    environment = os.environ | {"WORKERS": str(PROCESSES), "Q_CLUSTER_NAME": "calls"}
    with Supervisor(bench.folder / "logs") as supervisor:
        if name == "ours":
            supervisor.start(name, [sys.executable, "manage.py", "worker"], environment, folder=ROOT)
        elif name == "stock":
            argv = [sys.executable, "manage.py", "qcluster"]
            supervisor.start(name, argv, environment | {"QUEUE_BROKER": "orm"}, folder=ROOT)
        else:
            for number in range(PROCESSES):
                argv = [sys.executable, "-m", "benchmarks.peers", name, url]
                supervisor.start(f"{name}_{number}", argv, environment, folder=ROOT)
        yield


@dataclass
class _Ear:
    """Hears jobs strike."""

    line: socket.socket = field(default_factory=lambda: socket.socket(type=socket.SOCK_DGRAM))
    number: int = 0

    def __enter__(self) -> "_Ear":
        self.line.bind(("127.0.0.1", 0))
        self.line.settimeout(LIMIT)
        return self

    def __exit__(self, *_: object) -> None:
        self.line.close()

    def time(self, queue: Queue) -> float:
        """Milliseconds from a ring after a pause to the start of its job; StartError if it doesn't start."""
        time.sleep(random.uniform(*PAUSE))  # noqa: S311 - no secret
        self.number += 1
        rung = time.monotonic()
        queue.strike(self.number, self.line.getsockname()[1])
        try:
            while (said := bell.STRUCK.unpack(self.line.recv(bell.STRUCK.size)))[0] != self.number:
                pass  # one of before, delivered twice
        except TimeoutError as error:
            raise StartError(f"no job began within {LIMIT:g} s") from error
        return float(said[1] - rung) * 1000


def _seconds_for(queue: Queue, url: str, jobs: int) -> float:
    with psycopg.connect(url, autocommit=True) as database:
        queue.fill(range(jobs))
        began = time.monotonic()
        while (row := database.execute(queue.left).fetchone()) and row[0]:
            if time.monotonic() - began > LIMIT:
                raise StartError(f"{row[0]} of {jobs} jobs are left after {LIMIT:g} s")
            time.sleep(0.02)
        return time.monotonic() - began
