"""The worker: processes that take jobs for themselves, one that sweeps, and this one, which only keeps them whole.

A process of the pool runs django-q2's own worker function. Stock django-q2 hands it jobs through a pusher, two queues
and a monitor; whoever was killed with a queue's lock in its hands hung all others. Here each asks the broker itself,
no lock is shared that could be taken to the grave, and the job of a dead one is the next one's.
"""

import argparse
import ctypes
import math
import os
import queue
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.sharedctypes import RawValue
from types import FrameType
from typing import Any, TypeVar

import structlog
from django.conf import settings
from django.core.management import BaseCommand, CommandError
from django.db import Error as DatabaseTrouble
from django.db import OperationalError, close_old_connections, connection, connections
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.monitor import monitor
from django_q.signing import BadSignature, SignedPackage
from django_q.worker import worker

from production import holders, sweep

log = structlog.get_logger(__name__)
fork = get_context("fork")
Answer = TypeVar("Answer")
PR_SET_PDEATHSIG = 1
ENDING = (signal.SIGTERM, signal.SIGINT)
LOOK = 0.2  # seconds between two looks at time limits, and at whether to end
BREATH = 1.0  # seconds from a process's start to the next one in its place, should it die before
SWEEP_LIMIT = 300.0  # seconds after which a round of the sweep counts as hung
RETRY = 0.25  # seconds between two tries to reach the database
SAY = 5.0  # seconds between two lines that say that it is away


class Timer:
    """A time limit that its process sets and the pool heeds: a moment in shared memory, without a lock.

    To django-q2's worker function `value` is the seconds that are left; negative: no limit.
    """

    def __init__(self) -> None:
        self._until = RawValue("d", math.inf)

    @property
    def value(self) -> float:
        return -1 if math.isinf(self._until.value) else self._until.value - time.monotonic()

    @value.setter
    def value(self, seconds: float) -> None:
        self._until.value = time.monotonic() + seconds if seconds >= 0 else math.inf

    def get_lock(self) -> AbstractContextManager[None]:
        return nullcontext()

    @property
    def has_run_out(self) -> bool:
        return time.monotonic() > float(self._until.value)


class Complaint:
    """All processes of the pool share one breath to say that the database is away."""

    def __init__(self) -> None:
        self._said = RawValue("d", -math.inf)

    def say(self, error: DatabaseTrouble) -> None:
        if time.monotonic() - self._said.value > SAY:
            self._said.value = time.monotonic()
            log.warning("database_unreachable", reason=str(error).partition("\n")[0])


class Line:
    """What django-q2's worker function takes for its two queues: jobs come from the broker, results go to it.

    While the database is away it waits; `stop` ends the waiting.
    """

    def __init__(self, stop: Connection, timer: Timer, complaint: Complaint) -> None:
        self.broker = get_broker()
        self.broker.beside = [stop]
        self.stop, self.timer, self.complaint = stop, timer, complaint

    def get(self) -> dict[str, Any] | str:
        while not self.stop.poll():
            for ack_id, package in self._patiently(self.broker.dequeue) or ():
                try:
                    return {**SignedPackage.loads(package), "cluster": Conf.CLUSTER_NAME, "ack_id": ack_id}
                except BadSignature:
                    log.exception("job_refused", job=ack_id)  # enqueued before SECRET_KEY changed
                    self.broker.fail(ack_id)
        return "STOP"

    def put(self, done: dict[str, Any]) -> None:
        self.timer.value = -1  # a database that is away is no reason to kill the one who waits for it
        if not done["success"]:
            self._patiently(self.broker.ping)  # what the stock monitor can't save, it forgets
        self._patiently(lambda: self._settle(done.copy()))

    def _settle(self, done: dict[str, Any]) -> None:
        """Save a failure and acknowledge, as the stock monitor does."""
        results: queue.SimpleQueue[object] = queue.SimpleQueue()
        results.put(done)
        results.put("STOP")
        monitor(results, self.broker)

    def _patiently(self, act: Callable[[], Answer]) -> Answer | None:
        """What `act` answers once the database does; None where the pool is to end before."""
        while True:
            try:
                return act()
            except DatabaseTrouble as error:
                self.complaint.say(error)
                connections.close_all()
                if self.stop.poll(RETRY):
                    return None


class Seat:
    """A place in the pool: somebody sits in it until the pool ends."""

    def __init__(self, sit: Callable[[Timer], None]) -> None:
        self.sit, self.timer = sit, Timer()
        self.begun = -math.inf
        self.process = fork.Process(target=sit)  # not started yet

    def start(self) -> None:
        self.timer.value = -1
        self.begun = time.monotonic()
        self.process = fork.Process(target=self.sit, args=[self.timer])
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # until the child ignores them
        self.process.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)

    @property
    def is_taken(self) -> bool:
        return self.process.pid is not None and self.process.is_alive()

    @property
    def may_start(self) -> bool:
        return self.process.exitcode == 0 or time.monotonic() - self.begun > BREATH


class Pool:
    """The processes of one cluster, each replaced as soon as it is gone; this one touches no database.

    Whoever holds the reading end of a pipe whose writing end only the pool has, learns of its end however it comes.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.beat = holders.me()
        self.complaint = Complaint()
        self.is_ending = False
        self.stop, self._open = Pipe(duplex=False)
        self.seats = [*(Seat(self._work) for _ in range(Conf.WORKERS)), Seat(self._sweep)]

    def run(self) -> None:
        for number in ENDING:
            signal.signal(number, self._heed)
        try:
            while self._keep_whole():
                wait([seat.process.sentinel for seat in self.seats if seat.is_taken], LOOK)
        finally:
            self._open.close()

    def _heed(self, signum: int, frame: FrameType | None) -> None:
        self.is_ending = True

    def _keep_whole(self) -> bool:
        """False when all are gone that were to go."""
        if self.is_ending:
            self._open.close()
        for seat in self.seats:
            if seat.is_taken:
                if seat.timer.has_run_out:
                    seat.process.kill()  # deaf to its time limit
            elif not self.is_ending and seat.may_start:
                if seat.process.exitcode:
                    log.warning("worker_replaced", cluster=self.name, pid=seat.process.pid, exit=seat.process.exitcode)
                seat.start()
        return not self.is_ending or any(seat.is_taken for seat in self.seats)

    def _begin(self) -> None:
        """In the child: die with the parent, hear its end, ignore what a terminal tells the whole group."""
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        self._open.close()

    def _work(self, timer: Timer) -> None:
        self._begin()
        line = Line(self.stop, timer, self.complaint)
        worker(line, line, timer, Conf.TIMEOUT)

    def _sweep(self, timer: Timer) -> None:
        self._begin()
        while True:
            timer.value = SWEEP_LIMIT
            self._sweep_once()
            if self.stop.poll(settings.SWEEP_SECONDS):
                return

    def _sweep_once(self) -> None:
        """A database that is away for a moment ends no worker: the next round finds everything still there."""
        try:
            close_old_connections()
            sweep.beat(self.beat, self.name)
            sweep.tick()
        except DatabaseTrouble as error:
            self.complaint.say(error)
            connections.close_all()


class Command(BaseCommand):
    help = "Runs a worker cluster: calls (images, video, voice, Notion, alerts) or cpu (plans, ffmpeg, uploads)."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        says = f"which of the two; an installation needs both; by default {settings.CLUSTERS[0]}"
        parser.add_argument("--cluster", choices=settings.CLUSTERS, default=settings.CLUSTERS[0], help=says)

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["cluster"]
        if os.environ.get("Q_CLUSTER_NAME") != name:  # django-q2 reads it while it is imported
            os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"Q_CLUSTER_NAME": name})  # noqa: S606
        _reach_database()
        connections.close_all()  # nothing that was opened here may be shared across the fork
        log.info("worker_cluster_started", cluster=name, pid=os.getpid())
        Pool(name).run()


def _reach_database() -> None:
    try:
        connection.ensure_connection()
    except OperationalError as error:
        why = str(error).splitlines()[0]
        raise CommandError(f"The database can't be reached: {why}. Start it, or mend DATABASE_URL.") from error
