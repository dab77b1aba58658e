"""The lower bound of the makespan: right where it can be told by hand, and never above a schedule that can be had."""

import heapq

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.bound import Video, Work, bound

LANES = ("images", "video", "ffmpeg")


@pytest.mark.parametrize(
    ("videos", "seconds"),
    [
        ([[Work("images", (2.0,)), Work("video", (12.0,))]], 14.0),
        ([[Work("images", (2.0, 2.0), in_a_row=2)]], 4.0),
        ([[Work("images", (2.0,) * 6), Work("video", (12.0,))]], 18.0),  # three rounds on two slots
        ([[Work("images", (2.0,)), Work("video", (12.0,) * 3), Work("ffmpeg", (3.0,))]] * 5, 2 + 8 * 12 + 3),
        ([[Work("ffmpeg", (3.0, 1.0))]] * 2, 4.0),
    ],
)
def test_bound_by_hand(videos: list[Video], seconds: float) -> None:
    assert max(bound(videos, dict.fromkeys(LANES, 2)).values()) == seconds


works = st.builds(
    Work,
    st.sampled_from(LANES),
    st.lists(st.integers(1, 9).map(float), min_size=1, max_size=5).map(tuple),
)


@given(
    st.lists(st.sampled_from(LANES), min_size=1, max_size=4).flatmap(
        lambda lanes: st.lists(
            st.tuples(*(works.map(lambda work, lane=lane: Work(lane, work.seconds)) for lane in lanes)).map(list),
            min_size=1,
            max_size=4,
        )
    ),
    st.fixed_dictionaries({lane: st.integers(1, 4) for lane in LANES}),
)
def test_bound_is_never_above_a_schedule(videos: list[Video], slots: dict[str, int]) -> None:
    assert max(bound(videos, slots).values()) <= scheduled(videos, slots) + 1e-9


def scheduled(videos: list[Video], slots: dict[str, int]) -> float:
    """The seconds of one possible schedule: stage by stage, each piece on the slot that is free first."""
    free = {lane: [0.0] * number for lane, number in slots.items()}
    ready = [0.0] * len(videos)
    for stage in range(len(videos[0])):
        for number, video in enumerate(videos):
            ends = [_book(free[video[stage].lane], ready[number], seconds) for seconds in video[stage].seconds]
            ready[number] = max(ends)
    return max(ready)


def _book(free: list[float], ready: float, seconds: float) -> float:
    end = max(heapq.heappop(free), ready) + seconds
    heapq.heappush(free, end)
    return end
