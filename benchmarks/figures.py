"""One measured figure: ours, a peer's from the same run, and how many times better ours is."""

import statistics
from collections.abc import Sequence
from typing import Any, TypedDict


class Figure(TypedDict):
    """`peer` is None where there is nothing to compare with; `details` names the peer in words under "peer"."""

    name: str
    unit: str
    ours: float
    peer: float | None
    ratio: float | None
    details: dict[str, Any]


def lower_is_better(name: str, unit: str, ours: float, peer: float | None, /, **details: Any) -> Figure:
    return _figure(name, unit, ours, peer, peer / ours if peer is not None and ours else None, details)


def higher_is_better(name: str, unit: str, ours: float, peer: float | None, /, **details: Any) -> Figure:
    return _figure(name, unit, ours, peer, ours / peer if peer else None, details)


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which `part` (0.99: ninety-nine of a hundred) of the values lie; of one value, that value."""
    if len(values) < 2:
        return values[0]
    return statistics.quantiles(values, n=1000, method="inclusive")[round(part * 1000) - 1]


def _figure(
    name: str, unit: str, ours: float, peer: float | None, ratio: float | None, details: dict[str, Any]
) -> Figure:
    return {
        "name": name,
        "unit": unit,
        "ours": _rounded(ours),
        "peer": None if peer is None else _rounded(peer),
        "ratio": None if ratio is None else _rounded(ratio),
        "details": details,
    }


def _rounded(value: float) -> float:
    """Four digits that mean something."""
    return float(f"{value:.4g}")
