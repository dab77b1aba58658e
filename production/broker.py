"""The doorbell: a ring says "there may be work"; the rows say which.

The line is a table of ours (`Job`). A ring is an INSERT and a NOTIFY in the caller's transaction: PostgreSQL delivers
both at commit, or neither. Who takes a ring takes all equal ones that wait along with it: they were rung before it
looks. A unique index that refuses the second one would make callers wait for each other's transactions, and lose the
ring of one that commits after the first was taken.

A job belongs to the database session of the worker that took it, told by an advisory lock; however that worker ends,
its session does too, and the job is back in line. One that has ended so `max_attempts` times is buried as a failed job.
"""

import datetime as dt
import secrets
import uuid
from collections.abc import Sequence
from multiprocessing.connection import wait
from typing import Any

import psycopg
import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django_q.brokers import Broker, get_broker
from django_q.conf import Conf
from django_q.models import OrmQ, Task
from django_q.tasks import async_task
from psycopg import sql

from production.models import Job

log = structlog.get_logger(__name__)
LOCK = 7_310_002  # first half of the advisory locks that say which sessions live
Delivery = tuple[int, int]  # the job's number and the holder's
FALLBACK = 1.0  # seconds without a ring after which the line is looked at anyway, and dead holders are looked for

PLACE = """
WITH placed AS (
    INSERT INTO production_job (cluster, call, package, deliveries, created)
    VALUES (%(cluster)s, %(call)s, %(package)s, 0, %(now)s) RETURNING id)
SELECT id, pg_notify(%(channel)s, '') FROM placed"""

TAKE = """
WITH next AS (
    SELECT id, call FROM production_job WHERE cluster = %(cluster)s AND holder IS NULL
    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED),
equals AS (
    DELETE FROM production_job WHERE id = ANY (ARRAY(
        SELECT job.id FROM next JOIN production_job job ON job.call = next.call AND job.id > next.id
        WHERE job.cluster = %(cluster)s AND job.holder IS NULL AND job.call <> ''
        FOR UPDATE OF job SKIP LOCKED)))
UPDATE production_job job SET holder = %(holder)s, deliveries = deliveries + 1
FROM next WHERE job.id = next.id RETURNING job.id, job.package, job.deliveries"""

PUT_BACK = """
UPDATE production_job SET holder = NULL WHERE id = ANY (ARRAY(
    SELECT id FROM production_job WHERE holder IS NOT NULL AND holder NOT IN (
        SELECT objid::bigint FROM pg_locks JOIN pg_database ON pg_database.oid = database
        WHERE locktype = 'advisory' AND classid = %(lock)s AND datname = current_database())
    FOR UPDATE SKIP LOCKED))"""

# Forgetting, with a crash of the server, that a job was taken or done costs a doubled ring. Plans are made while the
# table is small. A host that vanished is noticed within a minute.
SESSION = """
SET synchronous_commit = off; SET enable_seqscan = off;
SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"""
OF_DJANGO = {"context", "cursor_factory", "prepare_threshold", "server_side_binding"}


def ring(job: str, *args: object, cluster: str = "") -> None:
    """Enqueue `job` (dotted address) with the running transaction: heard at its commit, never before.

    A lost ring costs a sweep's pause, a doubled one nothing: every job first asks the rows.
    """
    name = cluster or settings.CLUSTERS[0]
    if settings.QUEUE_BROKER == "orm":
        transaction.on_commit(lambda: async_task(job, *args, cluster=name, save=False))
    else:
        async_task(job, *args, cluster=name, save=False, broker=PostgresBroker(name, call=f"{job}{args}"))


def in_line(cluster: str) -> int:
    """How many jobs wait for the cluster."""
    return int(get_broker(cluster).queue_size())


def is_anybody_waiting(cluster: str) -> bool:
    """Whether a job stands in the cluster's line that no worker has taken yet."""
    if settings.QUEUE_BROKER == "orm":
        return bool(OrmQ.objects.filter(key=cluster, lock__lte=timezone.now()).exists())
    return Job.objects.filter(cluster=cluster, holder=None).exists()


def forget_stale(age: dt.timedelta) -> None:
    """Drop what nobody has worked on for so long, whichever broker has it: the sweep has rung again since."""
    before = timezone.now() - age
    Job.objects.filter(holder=None, created__lt=before).delete()
    OrmQ.objects.filter(lock__lt=before).delete()


class PostgresBroker(Broker):  # type: ignore[misc]
    """Wakes within a millisecond, hands each job to one worker, and takes it back from a dead one."""

    def __init__(self, list_key: str | None = None, call: str = "") -> None:
        super().__init__(list_key)
        self.call = call
        self.beside: Sequence[Any] = ()  # pipes that also end a wait for rings
        self._session: psycopg.Connection | None = None
        self._holder = 0
        self._rung = False

    @property
    def channel(self) -> str:
        return f"production_{self.list_key}"

    def enqueue(self, task: str) -> int:
        job = {"cluster": self.list_key, "call": self.call, "package": task, "now": timezone.now()}
        with connection.cursor() as cursor:
            cursor.execute(PLACE, job | {"channel": self.channel})
            return int(cursor.fetchone()[0])

    def dequeue(self) -> list[tuple[Delivery, str]]:
        """The next job, if any; after a ring or a wait in vain nothing: look again."""
        with connection.wrap_database_errors:
            session = self._line()
            self._rung = False
            taken = session.execute(TAKE, {"cluster": self.list_key, "holder": self._holder}).fetchone()
            if taken:
                return self._hand_out(*taken)
            # A ring that came along with the answer is not in it.
            if not self._rung and not wait([session.fileno(), *self.beside], FALLBACK):
                session.execute(PUT_BACK, {"lock": LOCK})
        return []

    def acknowledge(self, task_id: Delivery) -> None:
        """The job is done. One whose session has ended may be somebody else's by now, and then stays."""
        with connection.wrap_database_errors:
            self._line().execute("DELETE FROM production_job WHERE id = %s AND holder = %s", task_id)

    def fail(self, task_id: Delivery) -> None:
        self.acknowledge(task_id)

    def delete(self, task_id: Delivery) -> None:
        self.acknowledge(task_id)

    def queue_size(self) -> int:
        return Job.objects.filter(cluster=self.list_key, holder=None).count()

    def lock_size(self) -> int:
        return Job.objects.filter(cluster=self.list_key).exclude(holder=None).count()

    def purge_queue(self) -> None:
        Job.objects.filter(cluster=self.list_key).delete()

    def delete_queue(self) -> None:
        self.purge_queue()

    def ping(self) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return True

    def info(self) -> str:
        return "PostgreSQL"

    def _hand_out(self, pk: int, package: str, deliveries: int) -> list[tuple[Delivery, str]]:
        if deliveries <= Conf.MAX_ATTEMPTS:
            return [((pk, self._holder), package)]
        _bury(pk)
        return []

    def _line(self) -> psycopg.Connection:
        """This process's session for nothing but the line; a new one where the old one is gone."""
        if self._session is None or self._session.closed:
            session = _connect()
            session.add_notify_handler(self._hear)
            self._holder = secrets.randbelow(2**31)
            session.execute(SESSION)
            session.execute("SELECT pg_advisory_lock(%s, %s)", [LOCK, self._holder])
            session.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self.channel)))
            session.execute(PUT_BACK, {"lock": LOCK})
            self._session = session
        return self._session

    def _hear(self, notify: psycopg.Notify) -> None:
        self._rung = True


def _connect() -> psycopg.Connection:
    address: dict[str, Any] = {"conninfo": settings.LISTEN_DATABASE_URL, **settings.DATABASE_PATIENCE}
    if not settings.LISTEN_DATABASE_URL:
        address = {key: value for key, value in connection.get_connection_params().items() if key not in OF_DJANGO}
    return psycopg.connect(**address, autocommit=True)


def _bury(pk: int) -> None:
    """A job whose every delivery ended its worker tells nobody what went wrong; a failed job says so in its place."""
    with transaction.atomic():
        job = Job.objects.get(pk=pk)
        why = f"gave up after {Conf.MAX_ATTEMPTS} deliveries, each of which ended its worker : see the worker's log"
        Task.objects.create(
            id=uuid.uuid4().hex,
            name=job.call[:100],
            func=job.call[:256],
            cluster=job.cluster,
            started=job.created,
            stopped=timezone.now(),
            result=why,
            success=False,
            attempt_count=Conf.MAX_ATTEMPTS,
        )
        job.delete()
    log.error("job_buried", job=job.call, deliveries=Conf.MAX_ATTEMPTS)
