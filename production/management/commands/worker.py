"""The worker: a django-q2 cluster that survives what the stock one does not, and the sweep's timer.

Seen with `qcluster` 1.11: killed idle workers hang the cluster, a killed monitor acknowledges nothing again, a killed
sentinel leaves working orphans, a SIGTERM to the group kills running jobs. Here every process dies with its parent, a
pool process that is killed outside a job takes the whole pool along, and only this process heeds SIGTERM.
"""

import argparse
import ctypes
import os
import signal
import sys
import time
from multiprocessing import Process
from types import FrameType
from typing import Any

import structlog
from django.conf import settings
from django.core.management import BaseCommand, CommandError
from django.db import Error as DatabaseTrouble
from django.db import OperationalError, close_old_connections, connection, connections
from django_q import cluster

from production import dispatch, sweep

log = structlog.get_logger(__name__)
PR_SET_PDEATHSIG = 1
POOL_BROKEN = 70  # exit code of a sentinel that wants its whole pool replaced
FAREWELL = 3.0  # seconds; who heeds its time limit still hands in its result, holding a queue's lock for a moment


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class SafeSentinel(cluster.Sentinel):  # type: ignore[misc]
    """Replaces the pool where stock django-q2 would go on with a broken one."""

    def start(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # inherited by the pool: a group-wide SIGTERM ends no job
        super().start()

    def reincarnate(self, process: Process) -> None:
        timer = getattr(process, "timer", None)  # pusher and monitor have none
        if (process.exitcode or 0) < 0 and (timer is None or timer.value == -1):
            # It may have been killed with a queue's lock in its hands, and then the pool hangs for good.
            log.critical("worker_pool_broken", pid=process.pid, exit=process.exitcode)
            os._exit(POOL_BROKEN)
        if timer and timer.value == 0:  # timed out
            process.join(FAREWELL)
            process.kill()  # deaf to SIGTERM, and to its time limit
        super().reincarnate(process)


class Command(BaseCommand):
    help = "Runs a worker cluster: calls (planning, images, video, voice, Notion) or cpu (ffmpeg, upload)."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--cluster", choices=settings.CLUSTERS, default=settings.CLUSTERS[0])

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["cluster"]
        if os.environ.get("Q_CLUSTER_NAME") != name:  # django-q2 reads it while it is imported
            os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"Q_CLUSTER_NAME": name})  # noqa: S606
        os.register_at_fork(after_in_child=_die_with_parent)
        _reach_database()
        cluster.Sentinel = SafeSentinel
        while (code := _run_pool(name)) == POOL_BROKEN:
            log.warning("worker_pool_restarted", cluster=name)
        sys.exit(code)


def _reach_database() -> None:
    try:
        connection.ensure_connection()
    except OperationalError as error:
        why = str(error).splitlines()[0]
        raise CommandError(f"The database can't be reached: {why}. Start it, or mend DATABASE_URL.") from error


def _run_pool(name: str) -> int:
    """Run one pool until it stops. 0: it was asked to; else the sentinel's exit code."""
    connections.close_all()  # nothing that was opened here may be shared across the fork
    pool = cluster.Cluster()
    pool.start()

    def stop(signum: int, frame: FrameType | None) -> None:
        if pool.stop_event:
            pool.stop_event.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    log.info("worker_cluster_started", cluster=name, pid=os.getpid())
    due = 0.0
    while pool.sentinel.is_alive():
        pool.sentinel.join(0.2)
        if time.monotonic() >= due:
            _sweep(name)
            due = time.monotonic() + settings.SWEEP_SECONDS
    return int(pool.sentinel.exitcode or 0)


def _sweep(name: str) -> None:
    """A database that is away for a moment ends no worker: the next round finds everything still there."""
    try:
        close_old_connections()
        sweep.beat(dispatch.holder(), name)
        sweep.tick()
    except DatabaseTrouble as error:
        log.warning("sweep_round_failed", reason=str(error))
        connections.close_all()
