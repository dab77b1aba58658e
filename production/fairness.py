"""Whose turn it is in a lane. Pure: `dispatch` brings the line from the database and claims what is picked here.

Priority first; inside a class the channel with the fewest slots in use against its share, then the one that has waited
longest for a turn; inside a channel the order of its line. One channel's High work uses at most half a lane while
another channel could use the rest.
"""

import datetime as dt
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from production.models import Priority

NEVER = dt.datetime.min.replace(tzinfo=dt.UTC)


def half(slots: int) -> int:
    """How many of a lane's slots one channel's High work may use while others wait."""
    return max(1, slots // 2)


@dataclass(frozen=True)
class Candidate:
    """A take in line; what one channel has in line comes oldest task first."""

    take: int
    task: int
    channel: int
    kind: str
    priority: int
    slots: int


@dataclass
class Standing:
    """How a channel stands in the lane."""

    share: int = 1
    served_at: dt.datetime | None = None
    used: int = 0  # slots, of all its takes
    used_high: int = 0  # ... of those with High priority


@dataclass
class Lane:
    """A lane's slots and who uses them. `pick` uses up what it gives away."""

    slots: int
    standings: dict[int, Standing] = field(default_factory=lambda: defaultdict(Standing))

    @property
    def free(self) -> int:
        return self.slots - sum(standing.used for standing in self.standings.values())

    def pick(self, line: Iterable[Candidate], most: int, now: dt.datetime) -> Iterator[Candidate]:
        """Up to `most` candidates, in the order of their turns. Stops at one that needs more slots than are free: it
        waits for them, or small ones would starve it for ever."""
        queues: dict[int, deque[Candidate]] = defaultdict(deque)
        for candidate in line:
            queues[candidate.channel].append(candidate)
        for _ in range(most):
            following = self._next([queue[0] for queue in queues.values() if queue])
            if following is None or not self._fits(following):
                return
            queues[following.channel].popleft()
            self._use(following)
            self.standings[following.channel].served_at = now
            yield following

    def _next(self, heads: list[Candidate]) -> Candidate | None:
        within = [head for head in heads if len(heads) == 1 or self._leaves_half(head)]
        return min(within or heads, key=self._rank, default=None)

    def _leaves_half(self, head: Candidate) -> bool:
        """Where every channel in line is at its half already, the slot is not left empty for that."""
        if head.priority != Priority.HIGH:
            return True
        return self.standings[head.channel].used_high + head.slots <= half(self.slots)

    def _rank(self, head: Candidate) -> tuple[int, float, dt.datetime, int]:
        standing = self.standings[head.channel]
        return head.priority, standing.used / standing.share, standing.served_at or NEVER, head.channel

    def _fits(self, candidate: Candidate) -> bool:
        """One that needs more slots than the lane has gets it alone."""
        return self.free > 0 and (candidate.slots <= self.free or self.free == self.slots)

    def _use(self, candidate: Candidate) -> None:
        standing = self.standings[candidate.channel]
        standing.used += candidate.slots
        standing.used_high += candidate.slots if candidate.priority == Priority.HIGH else 0
