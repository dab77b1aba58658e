"""The least time in which so many videos can be made: no scheduler, however clever, is faster.

A stage begins when the one before it has ended (that is what the 26 statuses mean), and a piece takes its provider's
time or its seconds of a core. Two things then bound the whole from below, and the larger one is the bound:

- the critical path: the stages of one video one after the other, each as long as its longest chain of pieces (an image
  waits for the one it refers to) and no shorter than its own pieces need on all of the lane's slots;
- each lane's work: the pieces of all videos that go through it, on all its slots, after the shortest time in which any
  video can reach the lane and before the shortest time that any video needs after it. Pieces that last equally long
  fill whole rounds: 30 renders on 8 slots are 4 rounds, not 3.75.

The lane of work on this machine has a slot for each core, so the cores are counted like the providers' slots. What the
product itself needs (starting a script, a commit, a ring) is in no bound: it is what is measured.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain


@dataclass(frozen=True)
class Work:
    """The pieces of one stage of one video: seconds each, and how many wait for one another in a row at most."""

    lane: str
    seconds: tuple[float, ...]
    in_a_row: int = 1

    def least(self, slots: int) -> float:
        """Seconds, on an otherwise idle lane."""
        return max(self.in_a_row * max(self.seconds), _rounds(self.seconds, slots))


Video = list[Work]  # its stages, in order


def bound(videos: list[Video], slots: dict[str, int]) -> dict[str, float]:
    """Seconds by what they come from: "critical path", or a lane's name. The largest of them is the lower bound."""
    path = max(sum(work.least(slots[work.lane]) for work in video) for video in videos)
    lanes = {work.lane for video in videos for work in video}
    return {"critical path": path} | {lane: _lane(videos, slots, lane) for lane in sorted(lanes)}


def _lane(videos: list[Video], slots: dict[str, int], lane: str) -> float:
    """The lane as a whole, or only what one stage brings to it: whichever takes longer."""
    places = sorted({place for video in videos for place, work in enumerate(video) if work.lane == lane})
    return max(_stages(videos, slots, first, last) for first in places for last in places if first <= last)


def _stages(videos: list[Video], slots: dict[str, int], first: int, last: int) -> float:
    lane = videos[0][first].lane
    seconds = chain.from_iterable(
        work.seconds for video in videos for work in video[first : last + 1] if work.lane == lane
    )
    before = min(_sum(video[:first], slots) for video in videos)
    after = min(_sum(video[last + 1 :], slots) for video in videos)
    return before + _rounds(tuple(seconds), slots[lane]) + after


def _sum(works: Iterable[Work], slots: dict[str, int]) -> float:
    return sum(work.least(slots[work.lane]) for work in works)


def _rounds(seconds: tuple[float, ...], slots: int) -> float:
    if len(set(seconds)) == 1:
        return math.ceil(len(seconds) / slots) * seconds[0]
    return sum(seconds) / slots
