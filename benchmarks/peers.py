"""The queues that ours is measured beside, each set up as its manual says.

`python -m benchmarks.peers NAME DATABASE_URL` is one worker process of it.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

import asyncpg
import procrastinate
import psycopg
from pgqueuer import PgQueuer, Queries
from pgqueuer.db import SyncPsycopgDriver
from pgqueuer.models import Job
from pgqueuer.queries import SyncQueries
from procrastinate.types import JSONDict

from benchmarks import bell


class Procrastinate:
    """Async tasks (others cost a thread each), one at a time a process, done jobs deleted as ours are."""

    left = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"

    def __init__(self, url: str) -> None:
        self.app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=url))
        self.app.open()
        self.app.schema_manager.apply_schema()

    def strike(self, number: int, port: int) -> None:
        self.app.configure_task("strike").defer(number=number, port=port)

    def fill(self, numbers: Sequence[int]) -> None:
        self.app.configure_task("do_nothing").batch_defer(*_keywords(numbers))

    def close(self) -> None:
        self.app.close()

    @staticmethod
    async def work(url: str) -> None:
        app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))

        @app.task(name="strike")
        async def strike(number: int, port: int) -> None:
            bell.strike(number, port)

        @app.task(name="do_nothing")
        async def do_nothing(number: int) -> None:
            bell.do_nothing(number)

        async with app.open_async():
            await app.run_worker_async(concurrency=1, delete_jobs="successful")


class Pgqueuer:
    """Its default: ten jobs fetched at once over asyncpg; a done one moves to its log table."""

    left = "SELECT count(*) FROM pgqueuer"
    batch = 10

    def __init__(self, url: str) -> None:
        asyncio.run(_install(url))
        self.connection = psycopg.connect(url, autocommit=True)
        self.queries = SyncQueries(SyncPsycopgDriver(self.connection))

    def strike(self, number: int, port: int) -> None:
        self.queries.enqueue("strike", json.dumps([number, port]).encode())

    def fill(self, numbers: Sequence[int]) -> None:
        payloads: list[bytes | None] = [json.dumps([number]).encode() for number in numbers]
        self.queries.enqueue(["do_nothing"] * len(numbers), payloads, [0] * len(numbers))

    def close(self) -> None:
        self.connection.close()

    @classmethod
    async def work(cls, url: str) -> None:
        queuer = PgQueuer.from_asyncpg_connection(await asyncpg.connect(url))

        @queuer.entrypoint("strike")
        async def strike(job: Job) -> None:
            bell.strike(*_arguments(job))

        @queuer.entrypoint("do_nothing")
        async def do_nothing(job: Job) -> None:
            bell.do_nothing(*_arguments(job))

        await queuer.run(batch_size=cls.batch)


class PgqueuerSingly(Pgqueuer):
    """One job in hand a process, as ours."""

    batch = 1


PEERS: dict[str, type[Procrastinate | Pgqueuer]] = {
    "procrastinate": Procrastinate,
    "pgqueuer": Pgqueuer,
    "pgqueuer_singly": PgqueuerSingly,
}


def _keywords(numbers: Sequence[int]) -> list[JSONDict]:
    return [{"number": number} for number in numbers]


def _arguments(job: Job) -> Any:
    return json.loads(job.payload or b"[]")


async def _install(url: str) -> None:
    connection = await asyncpg.connect(url)
    await Queries.from_asyncpg_connection(connection).install()
    await connection.close()


if __name__ == "__main__":
    name, url = sys.argv[1:]
    asyncio.run(PEERS[name].work(url))
