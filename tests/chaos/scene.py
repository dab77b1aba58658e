"""The stack that is killed, its channels and rows, and the person who decides what is left to one."""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from config.stack import Stack
from production.errors import Kind
from production.stages import ERRORS, PIECE, REVIEWS, Status

if TYPE_CHECKING:
    from config.rehearsal import Rehearsal
    from production.models import Take, Task

Answer = TypeVar("Answer")
LEASE = 2  # seconds; the real 30 would make a run an hour long
QUICK = {
    "LEASE_SECONDS": str(LEASE),
    "SWEEP_SECONDS": "0.5",
    "ASK_SECONDS": "1",
    "RETRY_MINUTES": "0.02,0.03,0.05,0.1",
    "UNKNOWN_LIMIT_SECONDS": "10",
    "JOB_SECONDS": "60",
    "ALERT_GATHER_SECONDS": "1",
}
TOPICS = ("bridges", "clocks", "kettles", "lighthouses", "maps", "moss", "paper", "salt", "tides", "wheels")
LOST_AFTER = 12  # seconds without a task after which a creator sets the row to Queued again
WORDS = "A plain brass lantern on a wooden table, soft light"  # in place of what moderation refused


@dataclass
class Scene:
    """Rows in Notion and what became of them. Needs Django set up."""

    stack: Stack
    rehearsals: "list[Rehearsal]"
    chance: random.Random
    wanted: int
    pages: dict[str, float] = field(default_factory=dict)  # page id -> when its row was last set to Queued
    decided: Counter[str] = field(default_factory=Counter)
    queued_again: int = 0

    def queue_next(self) -> None:
        number = len(self.pages) + 1
        rehearsal = self.rehearsals[number % len(self.rehearsals)]
        title = f"Chaos {number}: {TOPICS[number % len(TOPICS)]}"
        page_id = rehearsal.queue(title, f"{title}, seen by somebody for the {number}th time")
        self.pages[page_id] = time.monotonic()

    def tasks(self) -> "list[Task]":
        from production.models import Task

        return list(Task.objects.select_related("channel").filter(page_id__in=self.pages))

    def look(self) -> bool:
        """One look of the people: what waits is decided, rows that nobody heard of are queued again. True when every
        video is published and Notion has heard of it."""
        tasks = self.tasks()
        for task in tasks:
            self._decide(task)
        self._queue_again(set(self.pages) - {task.page_id for task in tasks if task.status != Status.DRAFT})
        done = [task for task in tasks if task.status == Status.PUBLISHED and task.tell_at is None]
        return len(done) == self.wanted

    def _queue_again(self, unheard: set[str]) -> None:
        for page_id in unheard:
            if time.monotonic() - self.pages[page_id] > LOST_AFTER:
                for status in (Status.DRAFT, Status.QUEUED):  # the same value again would be no event
                    self.rehearsals[0].sandbox.edit_page(page_id, {"Status": status.label})
                self.pages[page_id] = time.monotonic()
                self.queued_again += 1

    def _decide(self, task: "Task") -> None:
        from production import decisions, gates

        gate = REVIEWS.get(Status(task.status))
        if gate and gates.is_gate_open(task, gate):
            decisions.approve(task, by="reviewer")
            self.decided["approve"] += 1
        elif task.status in ERRORS:
            self._mend(task)

    def _mend(self, task: "Task") -> None:
        """Other words for what was refused, another try for everything else."""
        from production import decisions
        from production.models import Take

        failed = list(task.takes.filter(state=Take.State.FAILED).order_by("pk"))
        refused = next((take for take in failed if take.error_kind == Kind.REFUSED and PIECE[take.kind].words), None)
        if refused and len(failed) == 1:
            decisions.redo(task, [(refused.kind, refused.position)], by="reviewer", words=f"{WORDS}, {task.pk}")
            self.decided["redo with other words"] += 1
        else:
            decisions.retry(task, by="reviewer")
            self.decided[f"retry: {_kind(failed)}"] += 1

    def unfinished(self) -> dict[str, str]:
        """What each video that is not published waits for."""
        from production import explain

        return {
            f"{task} ({task.get_status_display()})": str(explain.why(task))
            for task in self.tasks()
            if task.status != Status.PUBLISHED
        }


def _kind(failed: "list[Take]") -> str:
    return failed[0].error_kind if failed else "stage"


def safely(act: Callable[[], Answer]) -> Answer | None:
    """The people's own connection dies with PostgreSQL too, and what they saw has moved on: they look again."""
    from django.db import Error, connections

    from production.errors import IllegalMoveError, StaleError

    try:
        return act()
    except (IllegalMoveError, StaleError):
        return None
    except Error:
        connections.close_all()
        return None


def prepare(stack: Stack, *, channels: int, clips: int, videos: int, chance: random.Random) -> Scene:
    """Set the stage of a started stack."""
    from config import rehearsal

    stages = [
        rehearsal.prepare(stack.control, stack.url, clips=clips, password="chaos", name=f"Channel {number}")
        for number in range(1, channels + 1)
    ]
    return Scene(stack, stages, chance, videos)
