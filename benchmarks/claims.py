"""How long a claim takes with 100, 10,000 and 100,000 takes waiting over 50 channels, beside 1,000,000 finished ones.

The rows are copies of one task and one take that the product itself has planned: `INSERT … SELECT` of every column
there is, with only its own ones changed, so a column added tomorrow is filled as the product fills it. Copies are what
the database's triggers refuse; those are off while the rows are filled in.

A round claims with `dispatch.claim`; then, untimed, the takes are put back, so each round finds the same number
waiting and half the lane in flight. The peer is the claim one would write first: the lane's takes joined with their
tasks, ordered, locked with SKIP LOCKED. Both commit durably.
"""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from benchmarks.bench import Bench
from benchmarks.figures import Figure, lower_is_better, percentile

if TYPE_CHECKING:
    from benchmarks.rows import Rows

CAPS = ("channel_day", "channel_month", "lane_day", "video")
CLOSED = ("lane_day", "channel_day", "video")  # caps; what they hold is looked for all the same
IN_FLIGHT = 6  # of the lane's twelve slots
MOST_SECONDS = 60.0  # a claim that reads every waiting take would keep the bench for ten minutes
PEER = "the naive claim: takes joined with tasks, ordered, FOR UPDATE SKIP LOCKED"
Times = dict[str, list[float]]


def measure(bench: Bench) -> list[Figure]:
    bench.set_up_django(bench.database("claims"))
    sizes = bench.amount((100, 10_000, 100_000), (100, 1000))
    from benchmarks.rows import Rows  # only now is Django set up

    rows = Rows()
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
    return {"claims": len(milliseconds)} | {
        f"p{part * 100:g}_ms": round(percentile(milliseconds, part), 3) for part in (0.5, 0.9, 0.99)
    }


def _rounds(rows: "Rows", one: int, four: int) -> Times:
    """Milliseconds of each claim; ours and the peer's take turns, so a noisy moment meets both. Each is timed after an
    untimed one of its own: what the peer, which reads all that waits, pushes out of the caches is not ours to pay.
    """
    times: Times = {"ours": [], "naive": [], "ours_four_at_once": []}
    standing = rows.claim(IN_FLIGHT)
    for _ in _rounds_of(one):
        for who, claim in (("ours", rows.claim), ("naive", rows.claim_naively)):
            rows.put_back(claim())
            times[who].append(rows.timed(claim))
    for _ in _rounds_of(four):
        times["ours_four_at_once"].append(rows.timed(lambda: rows.claim(4)))
    times["ours_below_caps"] = [rows.timed_below(CAPS) for _ in _rounds_of(four)]
    for meter in CLOSED:
        times[f"ours_with_every_{meter}_full"] = [rows.closed(meter) for _ in _rounds_of(four)]
    rows.put_back(standing)
    return times


def _rounds_of(most: int) -> Iterator[int]:
    """So many rounds, or as many as a minute has room for."""
    until = time.monotonic() + MOST_SECONDS
    for number in range(most):
        if number and time.monotonic() > until:
            return
        yield number
