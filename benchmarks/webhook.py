"""`POST /webhook/notion` on the stack's own web server and a durable PostgreSQL, beside a bare view (`bare`).

Three questions, each asked of both: the 99th percentile at 100 events a second, the time until the last of 500 sent at
once is answered, and how many a second are answered at most. Every event is another one and properly signed; whether
one was lost is counted in the rows. Connections are new for each event, as a sender behind many addresses makes them;
the same with kept ones stands in the details.
"""

import json
import secrets
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.bench import Bench
from benchmarks.figures import Figure, higher_is_better, lower_is_better, percentile
from benchmarks.load import Order, Result
from config.stack import ROOT, Stack, gunicorn
from config.supervisor import Supervisor, free_port

PEER = "a bare Django view that only checks the HMAC, same gunicorn"
LINES = 16  # connections that always have a request under way: one for each thread of the web server
SECRET = secrets.token_urlsafe(32)


@dataclass(frozen=True)
class Server:
    """A web server under load."""

    port: int

    def bear(self, requests: int, **words: Any) -> Result:
        """Errors: CalledProcessError where the load generator failed."""
        order = Order(port=self.port, secret=SECRET, requests=requests, **words)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.load"],
            input=json.dumps(asdict(order)),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd=ROOT,
        )
        return Result(**json.loads(done.stdout))


def measure(bench: Bench) -> list[Figure]:
    with Supervisor(bench.folder / "logs") as supervisor:
        stack = Stack(bench.folder, free_port(), supervisor)
        stack.begin()
        stack.migrate()
        _activate()
        stack.start_web()
        supervisor.wait_ready("web", f"{stack.url}/health")
        ours, peer = Server(stack.port), _start_peer(supervisor, stack)
        for server in (ours, peer):
            server.bear(100, lines=LINES)  # every process and thread has done it once
        figures = [_steady(bench, ours, peer), _at_once(bench, ours, peer), _at_most(bench, ours, peer)]
        stack.start_workers()
        supervisor.wait_ready("web", f"{stack.url}/ready")
        figures[0]["details"]["with_workers"] = _told(ours.bear(bench.amount(1000, 100), rate=100))
    return figures


def _activate() -> None:
    from production.models import NotionBoard  # only now is Django set up

    board = NotionBoard.objects.first_or_new()
    board.active_token = SECRET
    board.save()


def _start_peer(supervisor: Supervisor, stack: Stack) -> Server:
    port = free_port()
    environment = stack.environment | {"BARE_SECRET": SECRET}
    supervisor.start("peer", gunicorn("benchmarks.bare", port), environment, folder=ROOT)
    supervisor.wait_ready("peer", f"http://127.0.0.1:{port}/health")
    return Server(port)


def _steady(bench: Bench, ours: Server, peer: Server) -> Figure:
    requests = bench.amount(2000, 100)
    before = _events()
    fresh, kept = [ours.bear(requests, rate=100, keep_alive=keep_alive) for keep_alive in (False, True)]
    stored = _events() - before
    theirs = peer.bear(requests, rate=100)
    return lower_is_better(
        "webhook_p99",
        "ms at 100 a second",
        percentile(fresh.milliseconds, 0.99),
        percentile(theirs.milliseconds, 0.99),
        peer=PEER,
        aim="50 ms",
        ours=_told(fresh),
        kept_connections=_told(kept),
        bare=_told(theirs),
        lost=2 * requests - stored,
    )


def _at_once(bench: Bench, ours: Server, peer: Server) -> Figure:
    requests, rounds = bench.amount(500, 50), bench.amount(5, 1)
    before = _events()
    bursts = [ours.bear(requests, lines=requests) for _ in range(rounds)]
    stored = _events() - before
    theirs = [peer.bear(requests, lines=requests) for _ in range(rounds)]
    return lower_is_better(
        "webhook_burst",
        f"s until the last of {requests} sent at once is answered",
        max(burst.seconds for burst in bursts),
        max(burst.seconds for burst in theirs),
        peer=PEER,
        aim="1 s, none lost",
        rounds=[_told(burst) for burst in bursts],
        bare=[_told(burst) for burst in theirs],
        lost=rounds * requests - stored,
    )


def _at_most(bench: Bench, ours: Server, peer: Server) -> Figure:
    requests = bench.amount(5000, 200)
    found = {
        keep_alive: [server.bear(requests, lines=LINES, keep_alive=keep_alive) for server in (ours, peer)]
        for keep_alive in (False, True)
    }
    fresh, bare = [_a_second(result) for result in found[False]]
    return higher_is_better(
        "webhook_throughput",
        "events a second",
        fresh,
        bare,
        peer=PEER,
        aim="as near to 1 as storing an event allows",
        kept_connections=dict(zip(("ours", "bare"), map(_a_second, found[True]), strict=True)),
        ours=_told(found[False][0]),
        bare=_told(found[False][1]),
    )


def _events() -> int:
    from production.models import NotionEvent

    return NotionEvent.objects.count()


def _a_second(result: Result) -> float:
    return round(len(result.milliseconds) / result.seconds, 1)


def _told(result: Result) -> dict[str, Any]:
    parts = {"p50_ms": 0.5, "p99_ms": 0.99, "most_ms": 1.0}
    return {
        "answers": result.answers,
        "lost": result.lost,
        "seconds": round(result.seconds, 3),
        **{name: round(percentile(sorted(result.milliseconds), min(part, 0.999)), 2) for name, part in parts.items()},
        "generator_cpu_share": round(result.own_cpu_seconds / result.seconds, 3),
    }
