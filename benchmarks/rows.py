"""The tables of the claims and the pages measure: copies of one task and one take, claims of them, and the way back.

Needs Django set up.
"""

import re
import time
from collections.abc import Callable, Iterable
from typing import Any

from django.db import connection
from django.db.models import Model

from channels_app.models import Channel
from production import dispatch, flow, lifecycle, takes
from production.models import Cap, LedgerEntry, Provider, Take, Task
from production.recipes import Need, Recipe
from production.stages import PIECE, STAGE, Status, Verb

LANE = "images"
CHANNELS, SLOTS, PIECES = 50, 12, 20
MUCH = 1_000_000  # USD
NAIVE = """
    UPDATE production_take SET state = 'claimed', token = gen_random_uuid(), lease_until = now() WHERE id IN (
        SELECT take.id FROM production_take AS take JOIN production_task AS task ON task.id = take.task_id
        JOIN channels_channel AS channel ON channel.id = take.channel_id
        WHERE take.lane_id = 'images' AND take.state = 'waiting' AND take.due_at <= now() AND channel.active
        ORDER BY task.priority, task.created, take.position LIMIT %s FOR UPDATE OF take SKIP LOCKED
    ) RETURNING id
"""
BOOKS = (
    """INSERT INTO production_ledgerentry
        (take_id, attempt, channel_id, lane_id, state, intended_usd, actual_usd, simulated, note, at, settled_at)
    SELECT id, 1, channel_id, lane_id, 'settled', 0.0336, 0.0336, true, '', created, created FROM production_take
    WHERE state = 'done'""",
    """INSERT INTO production_statuschange (task_id, before, after, verb, stage, by, reason, is_error, at)
    SELECT id, 'queued', 'claimed', CASE n WHEN 1 THEN 'submit' WHEN 2 THEN 'approve' ELSE 'start' END, 'assets',
        'person ' || id % 7, '', false, status_since + n * interval '1 minute'
    FROM production_task, generate_series(1, 9) AS n""",
    """INSERT INTO production_tally (meter, key, since, simulated, usd, calls)
    SELECT 'video', id::text, '2000-01-01', true, 7.5, 0 FROM production_task""",
)
OWN = {"id", "task_id", "channel_id", "position", "number", "created", "due_at"}  # what a copy has of its own


class Rows:
    """The tables, filled with copies of one task and one take."""

    def __init__(self) -> None:
        Provider.objects.filter(pk=LANE).update(concurrency=SLOTS)
        self.channels = _channels()
        self.take = _planned(self.channels[0])
        self.columns = {model: _columns(model) for model in (Take, Task)}

    def add_finished(self, number: int, pieces: int = PIECES) -> None:
        """Finished takes of published tasks."""
        self._copy_tasks(number // pieces, status="'published'", status_since="now() - n * interval '10 minutes'")
        self._copy_takes("published", pieces, state="'done'", selected="true", finished="now()", attempt="1")

    def add_in_every_status(self, each: int, pieces: int) -> None:
        """So many tasks in each status but Published; those whose images are looked at have them, and a plan."""
        for status in sorted(set(Status) - {Status.PUBLISHED}):
            self._copy_tasks(each, status=f"'{status}'", status_since="now() - n * interval '7 minutes'")
        self._copy_takes(Status.ASSETS_READY, pieces, state="'done'", selected="true", finished="now()", attempt="1")

    def add_books(self) -> None:
        """A ledger line for each finished take, nine lines of history and a tally for each task."""
        self._execute("SET session_replication_role = replica")
        for statement in BOOKS:
            self._execute(statement)
        self._execute("SET session_replication_role = DEFAULT")
        self._execute("VACUUM ANALYZE")

    def set_waiting(self, number: int) -> None:
        """So many takes of running tasks wait, spread evenly over the channels; nothing else does."""
        pieces = min(PIECES, number // CHANNELS)
        self._execute("DELETE FROM production_take WHERE state = 'waiting'")
        status, planned = self.take.task.status, self.take.task_id
        self._execute("DELETE FROM production_task WHERE status = %s AND id <> %s", [status, planned])
        self._copy_tasks(number // pieces)
        self._copy_takes(status, pieces, state="'waiting'")
        self._execute("VACUUM ANALYZE")
        self._execute("CHECKPOINT")  # or that of the filling, which is larger with more, goes on through the rounds

    def timed(self, claim: Callable[[], list[int]]) -> float:
        """Milliseconds of one claim, which is undone afterwards."""
        began = time.perf_counter()
        claimed = claim()
        spent = (time.perf_counter() - began) * 1000
        assert claimed, "nothing was claimed"
        self.put_back(claimed)
        return spent

    def timed_below(self, meters: Iterable[str]) -> float:
        """Milliseconds of a claim where each of these meters has a cap that holds nothing."""
        caps = Cap.objects.bulk_create(Cap(meter=meter, usd=MUCH) for meter in meters)
        spent = self.timed(self.claim)
        Cap.objects.filter(pk__in=[cap.pk for cap in caps]).delete()
        return spent

    def closed(self, meter: str) -> float:
        """Milliseconds of a claim that finds every take held by a cap of that kind."""
        cap = Cap.objects.create(meter=meter, usd=0)
        began = time.perf_counter()
        claimed = self.claim()
        spent = (time.perf_counter() - began) * 1000
        cap.delete()
        assert not claimed, "a cap of nothing held nothing"
        return spent

    def put_back(self, claimed: list[int]) -> None:
        """As the takes were before their claim, in every column."""
        LedgerEntry.objects.filter(take__in=claimed).delete()
        names = [name for name in self.columns[Take] if name not in OWN | {"state"}]
        kept = ", ".join(f"{name} = planned.{name}" for name in names)
        self._execute(
            f"UPDATE production_take AS take SET state = 'waiting', {kept} FROM production_take AS planned"  # noqa: S608
            " WHERE take.id = ANY(%s) AND planned.id = %s",
            [claimed, self.take.pk],
        )

    def claim(self, most: int = 1) -> list[int]:
        return [take.pk for take in dispatch.claim(LANE, most)]

    def claim_naively(self) -> list[int]:
        return [row[0] for row in self._execute(NAIVE, [1])]

    def plans(self) -> list[dict[str, Any]]:
        """What `dispatch.claim` reads and by which indexes."""
        said: list[tuple[str, Any]] = []

        def listen(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 - Django's
            said.append((sql, params))
            return execute(sql, params, many, context)

        with connection.execute_wrapper(listen):
            self.put_back(self.claim())
        return [self._plan(sql, params) for sql, params in said if re.match(r"\s*(SELECT|WITH)", sql)]

    def _plan(self, sql: str, params: Any) -> dict[str, Any]:
        plan = "\n".join(row[0] for row in self._execute(f"EXPLAIN {sql}", params))
        indexes = re.findall(r"(?:using|Bitmap Index Scan on) (\S+)", plan)
        return {
            "sql": " ".join(sql.split())[:400],
            "indexes": sorted(set(indexes)),
            "reads_whole_tables": re.findall(r"Seq Scan on (\S+)", plan),
            "plan": plan.splitlines(),
        }

    def _copy_tasks(self, number: int, **changed: str) -> None:
        own = {
            "channel_id": "(%(channels)s::bigint[])[1 + n %% cardinality(%(channels)s::bigint[])]",
            "page_id": "gen_random_uuid()",
            "created": "now() - n * interval '1 second'",
        }
        source = "generate_series(1, %(number)s) AS n WHERE true"
        self._copy(self.take.task, own | changed, source, number=number, channels=self.channels)

    def _copy_takes(self, status: str, pieces: int, **changed: str) -> None:
        """So many takes for each copied task with that status."""
        own = {"task_id": "task.id", "channel_id": "task.channel_id", "position": "n", "created": "task.created"}
        source = """production_task AS task, generate_series(1, %(pieces)s) AS n
            WHERE task.status = %(status)s AND task.id <> %(template)s"""
        template = self.take.task_id
        self._copy(self.take, own | changed, source, pieces=pieces, status=status, template=template)

    def _copy(self, row: Take | Task, own: dict[str, str], source: str, **params: Any) -> None:
        """Insert copies of the row, one for each row of `source`, with columns of their `own`."""
        table, names = row._meta.db_table, [name for name in self.columns[type(row)] if name != "id"]  # noqa: SLF001
        values = ", ".join(own.get(name, f"planned.{name}") for name in names)
        self._execute("SET session_replication_role = replica")  # no triggers, no foreign keys
        self._execute(
            f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {table} AS planned, {source}"  # noqa: S608
            " AND planned.id = %(planned)s",
            params | {"planned": row.pk},
        )
        self._execute("SET session_replication_role = DEFAULT")

    def _execute(self, sql: str, params: Any = None) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            return cursor.fetchall() if cursor.description else []


def _columns(model: type[Model]) -> list[str]:
    return [str(field.column) for field in model._meta.concrete_fields]  # noqa: SLF001 - Django's documented way


def _channels() -> list[int]:
    return [Channel.objects.create(slug=f"c{n}", name=f"Channel {n}").pk for n in range(CHANNELS)]


def _planned(channel_id: int) -> Take:
    """One image take as the product plans it, of a task whose images are being made; it does not wait itself."""
    task = Task.objects.create(channel_id=channel_id, page_id="planned", title="The deepest lake", topic="Lakes")
    for verb, stage in ((Verb.SUBMIT, None), (Verb.CLAIM, None), (Verb.START, STAGE["assets"])):
        lifecycle.move(task, verb, by="bench", stage=stage)
    prompt = "A brass lantern on wet stone, soft light from the left. " * 5
    flow.plan(task, Need(PIECE["image"], 1, Recipe("image", prompt, ["--prompt", prompt])))
    take = task.takes.get()
    takes.cancel([take])
    return take
