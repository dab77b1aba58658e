"""`ratio` says how many times better ours is, whichever way is better."""

import pytest

from benchmarks.figures import higher_is_better, lower_is_better, percentile


def test_ratio_is_above_one_where_ours_is_better() -> None:
    assert lower_is_better("wait", "ms", 5.0, 10.0, peer="another")["ratio"] == 2.0
    assert higher_is_better("jobs", "a second", 300.0, 100.0)["ratio"] == 3.0


def test_ratio_without_a_peer() -> None:
    figure = lower_is_better("wait", "ms", 5.0, None, note="nothing like it")
    assert (figure["peer"], figure["ratio"], figure["details"]) == (None, None, {"note": "nothing like it"})


@pytest.mark.parametrize(("part", "value"), [(0.5, 50.0), (0.99, 99.0), (0.999, 99.9)])
def test_percentile(part: float, value: float) -> None:
    assert percentile([float(number) for number in range(101)], part) == pytest.approx(value)
    assert percentile([7.0], part) == 7.0
