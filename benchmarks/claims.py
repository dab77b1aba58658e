"""How long a claim takes with 100, 10,000 and 100,000 takes waiting over 50 channels, beside 1,000,000 finished ones.

The rows are copies of one task and one take that the product itself has planned: `INSERT … SELECT` of every column
there is, with only its own ones changed, so a column added tomorrow is filled as the product fills it. Copies are what
the database's triggers refuse; those are off while the rows are filled in.

A round claims with `dispatch.claim`; then, untimed, the takes are put back, so each round finds the same number
waiting and half the lane in flight. The peer is the claim one would write first: the lane's takes joined with their
tasks, ordered, locked with SKIP LOCKED. Both commit durably.
"""

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks.bench import Bench
from benchmarks.figures import Figure, lower_is_better, percentile

if TYPE_CHECKING:
    from production.models import Take

CHANNELS, SLOTS, IN_FLIGHT, PIECES = 50, 12, 6, 20
PEER = "the naive claim: takes joined with tasks, ordered, FOR UPDATE SKIP LOCKED"
NAIVE = """
    UPDATE production_take SET state = 'claimed', token = gen_random_uuid(), lease_until = now() WHERE id IN (
        SELECT take.id FROM production_take AS take JOIN production_task AS task ON task.id = take.task_id
        JOIN channels_channel AS channel ON channel.id = take.channel_id
        WHERE take.lane_id = 'images' AND take.state = 'waiting' AND take.due_at <= now() AND channel.active
        ORDER BY task.priority, task.created, take.position LIMIT %s FOR UPDATE OF take SKIP LOCKED
    ) RETURNING id
"""
OWN = {"id", "task_id", "channel_id", "position", "number", "created", "due_at"}  # what a copy has of its own
Times = dict[str, list[float]]


def measure(bench: Bench) -> list[Figure]:
    bench.set_up_django(bench.database("claims"))
    sizes = bench.amount((100, 10_000, 100_000), (100, 1000))
    rows = _Rows()
    rows.add_finished(bench.amount(1_000_000, 10_000))
    times: dict[int, Times] = {}
    for waiting in sizes:
        rows.set_waiting(waiting)
        times[waiting] = _rounds(rows, bench.amount(300, 30), bench.amount(100, 10))
    return [*_figures(times, sizes[0], sizes[-1], rows.plans())]


def _figures(times: dict[int, Times], few: int, many: int, plans: list[dict[str, Any]]) -> list[Figure]:
    def p99(waiting: int, who: str) -> float:
        return percentile(times[waiting][who], 0.99)

    told = {str(waiting): {who: _told(ms) for who, ms in by_who.items()} for waiting, by_who in times.items()}
    return [
        lower_is_better(
            "claim_p99",
            f"ms for one take with {many:,} waiting",
            p99(many, "ours"),
            p99(many, "naive"),
            peer=PEER,
            aim="5 ms",
            waiting=told,
            statements=plans,
        ),
        lower_is_better(
            "claim_growth",
            f"times the p99 with {few} waiting that {many:,} take",
            p99(many, "ours") / p99(few, "ours"),
            p99(many, "naive") / p99(few, "naive"),
            peer=PEER,
            aim="1.2",
            medians=[percentile(times[many][who], 0.5) / percentile(times[few][who], 0.5) for who in ("ours", "naive")],
        ),
    ]


def _told(milliseconds: list[float]) -> dict[str, float]:
    return {f"p{part * 100:g}_ms": round(percentile(milliseconds, part), 3) for part in (0.5, 0.9, 0.99)}


def _rounds(rows: "_Rows", one: int, four: int) -> Times:
    """Milliseconds of each claim; ours and the peer's take turns, so a noisy moment meets both."""
    from production import dispatch

    times: Times = {"ours": [], "naive": [], "ours_four_at_once": []}
    standing = dispatch.claim("images", IN_FLIGHT)
    for who, claim in {"ours": lambda: _ids(dispatch.claim("images", 1)), "naive": rows.claim_naively}.items():
        rows.put_back(claim())  # plans are prepared, pages read
    for _ in range(one):
        times["ours"].append(rows.timed(lambda: _ids(dispatch.claim("images", 1))))
        times["naive"].append(rows.timed(rows.claim_naively))
    for _ in range(four):
        times["ours_four_at_once"].append(rows.timed(lambda: _ids(dispatch.claim("images", 4))))
    rows.put_back(_ids(standing))
    return times


def _ids(takes: "list[Take]") -> list[int]:
    return [take.pk for take in takes]


class _Rows:
    """The tables, filled with copies of one task and one take."""

    def __init__(self) -> None:
        from production.models import Provider, Take, Task

        Provider.objects.filter(pk="images").update(concurrency=SLOTS)
        self.channels = _channels()
        self.take = _planned(self.channels[0])
        self.columns = {model: [field.column for field in model._meta.concrete_fields] for model in (Take, Task)}  # noqa: SLF001

    def add_finished(self, number: int) -> None:
        """Finished takes of published tasks."""
        self._copy_tasks(number // PIECES, status="'published'")
        self._copy_takes("published", PIECES, state="'done'", selected="true", finished="now()", attempt="1")

    def set_waiting(self, number: int) -> None:
        """So many takes of running tasks wait, spread evenly over the channels; nothing else does."""
        pieces = min(PIECES, number // CHANNELS)
        self._execute("DELETE FROM production_take WHERE state = 'waiting'")
        self._execute("DELETE FROM production_task WHERE status = %s AND id <> %s", self.take.task.status, self.take.task_id)
        self._copy_tasks(number // pieces)
        self._copy_takes(self.take.task.status, pieces, state="'waiting'")
        self._execute("VACUUM ANALYZE")

    def timed(self, claim: Callable[[], list[int]]) -> float:
        """Milliseconds of one claim, which is undone afterwards."""
        began = time.perf_counter()
        claimed = claim()
        spent = (time.perf_counter() - began) * 1000
        assert claimed, "nothing was claimed"
        self.put_back(claimed)
        return spent

    def put_back(self, claimed: list[int]) -> None:
        """As the takes were before their claim, in every column."""
        from production.models import LedgerEntry, Take

        LedgerEntry.objects.filter(take__in=claimed).delete()
        names = [name for name in self.columns[Take] if name not in OWN | {"state"}]
        kept = ", ".join(f"{name} = planned.{name}" for name in names)
        self._execute(
            f"UPDATE production_take AS take SET state = 'waiting', {kept} FROM production_take AS planned"  # noqa: S608
            " WHERE take.id = ANY(%s) AND planned.id = %s",
            claimed,
            self.take.pk,
        )

    def claim_naively(self) -> list[int]:
        return [row[0] for row in self._execute(NAIVE, 1)]

    def plans(self) -> list[dict[str, Any]]:
        """What `dispatch.claim` reads and by which indexes."""
        from django.db import connection

        from production import dispatch

        said: list[tuple[str, Any]] = []

        def listen(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 - Django's
            said.append((sql, params))
            return execute(sql, params, many, context)

        with connection.execute_wrapper(listen):
            claimed = dispatch.claim("images", 1)
        self.put_back(_ids(claimed))
        return [self._plan(sql, params) for sql, params in said if re.match(r"\s*(SELECT|WITH)", sql)]

    def _plan(self, sql: str, params: Any) -> dict[str, Any]:
        plan = "\n".join(row[0] for row in self._execute(f"EXPLAIN {sql}", *(params or ())))
        indexes = re.findall(r"using (\S+)|Bitmap Index Scan on (\S+)", plan)
        return {
            "sql": " ".join(sql.split())[:400],
            "indexes": sorted({name for pair in indexes for name in pair if name}),
            "reads_whole_tables": re.findall(r"Seq Scan on (\S+)", plan),
            "plan": plan.splitlines(),
        }

    def _copy_tasks(self, number: int, **changed: str) -> None:
        from production.models import Task

        own = {
            "channel_id": "(%s::bigint[])[1 + n %% %s]",
            "page_id": "gen_random_uuid()",
            "created": "now() - n * interval '1 second'",
        } | changed
        self._copy(Task, own, "generate_series(1, %s) AS n", [self.channels, CHANNELS], [number], self.take.task_id)

    def _copy_takes(self, status: str, pieces: int, **changed: str) -> None:
        """So many takes for each copied task with that status."""
        from production.models import Take

        own = {"task_id": "task.id", "channel_id": "task.channel_id", "position": "n", "created": "task.created"}
        source = "production_task AS task, generate_series(1, %s) AS n WHERE task.status = %s AND task.id <> %s"
        self._copy(Take, own | changed, source, [], [pieces, status, self.take.task_id], self.take.pk)

    def _copy(
        self, model: Any, own: dict[str, str], source: str, before: list[Any], after: list[Any], planned: int
    ) -> None:
        names = [name for name in self.columns[model] if name != "id"]
        values = ", ".join(own.get(name, f"planned.{name}") for name in names)
        origin, _, where = source.partition(" WHERE ")
        table = model._meta.db_table  # noqa: SLF001
        self._execute("SET session_replication_role = replica")  # no triggers, no foreign keys
        self._execute(
            f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {table} AS planned, {origin}"  # noqa: S608
            f" WHERE planned.id = %s{' AND ' + where if where else ''}",
            *before,
            *after[:1],
            planned,
            *after[1:],
        )
        self._execute("SET session_replication_role = DEFAULT")

    def _execute(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute(sql, params or None)
            return cursor.fetchall() if cursor.description else []


def _channels() -> list[int]:
    from channels_app.models import Channel

    return [Channel.objects.create(slug=f"c{n}", name=f"Channel {n}").pk for n in range(CHANNELS)]


def _planned(channel_id: int) -> "Take":
    """One image take as the product plans it, of a task whose images are being made; it does not wait itself."""
    from production import flow, lifecycle, takes
    from production.models import Task
    from production.recipes import Need, Recipe
    from production.stages import PIECE, STAGE, Verb

    task = Task.objects.create(channel_id=channel_id, page_id="planned", title="The deepest lake", topic="Lakes")
    for verb, stage in ((Verb.SUBMIT, None), (Verb.CLAIM, None), (Verb.START, STAGE["assets"])):
        lifecycle.move(task, verb, by="bench", stage=stage)
    prompt = "A brass lantern on wet stone, soft light from the left. " * 5
    flow.plan(task, Need(PIECE["image"], 1, Recipe("image", prompt, ["--prompt", prompt])))
    take = task.takes.get()
    takes.cancel([take])
    return take
