"""How soon Notion shows a status: 40 tasks change theirs at the pace of a busy studio, over the running workers.

Each change is a person's or the system's verb, in the database; the sweep finds it, a worker reads the row, counts both
requests in the budget of 180 a minute, and writes. The clock stops when the sandbox's Notion shows the new status. The
peer knows the row and the word and sends them with the same client, one after the other: no task, no budget, no look
at what a person has set meanwhile. Forty changes at once stand in the details.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from notion_client import Client

from benchmarks.bench import Bench
from benchmarks.board import make_board
from benchmarks.figures import Figure, lower_is_better, percentile
from config.stack import Stack
from config.supervisor import StartError, Supervisor, free_port

if TYPE_CHECKING:
    from production.models import Task
    from sandbox.client import SandboxClient

Seen = tuple[str, str]  # the page that shows a change, and the status that it shows then
PEER = "a plain loop of notion-client that sends each change as it comes"
GAP = 1.5  # seconds between two changes at the mean: 40 a minute, 80 requests
LOOK = 0.02  # seconds between two looks at the rows that wait
PATIENCE = 120.0
SEED = 11


def measure(bench: Bench) -> list[Figure]:
    with Supervisor(bench.folder / "logs") as supervisor:
        stack = Stack(bench.folder, free_port(), supervisor)
        stack.start()
        rows = _Rows(stack, bench.amount(40, 4))
        changes, gap = bench.amount(80, 4), bench.amount(GAP, 0.2)
        ours = rows.change(changes, gap, rows.decide)
        at_once = rows.change(len(rows.tasks), 0, rows.decide)
        theirs = rows.change(changes, gap, rows.patch)
        theirs_at_once = rows.change(len(rows.tasks), 0, rows.patch)
    return [
        lower_is_better(
            "told_p95",
            "s from a change of status to its being in Notion",
            percentile(ours, 0.95),
            percentile(theirs, 0.95),
            peer=PEER,
            aim="5 s within 180 requests a minute",
            ours=_told(ours),
            bare=_told(theirs),
            at_once=_told(at_once),
            bare_at_once=_told(theirs_at_once),
        )
    ]


@dataclass
class _Rows:
    """Tasks of a channel in which nothing is made, with their rows; each is queued and taken back in turn."""

    stack: Stack
    number: int
    tasks: "list[Task]" = field(init=False)
    control: "SandboxClient" = field(init=False)
    client: Client = field(init=False)
    bare: dict[int, list[str]] = field(default_factory=dict)  # the peer's row for each task, and what it says

    def __post_init__(self) -> None:
        from django.conf import settings

        self.control = self.stack.control
        self.client = Client(auth=settings.NOTION_API_KEY, base_url=settings.ADDRESSES["NOTION_BASE_URL"])
        self.tasks = list(self._make())

    def _make(self) -> "Iterator[Task]":
        from channels_app.models import Channel
        from production.models import Task

        channel = Channel.objects.create(slug="still", name="Still", active=False)
        board = make_board(self.stack, [channel.name])
        self._listen(board)
        foreign = make_board(self.stack, [channel.name])  # nobody heeds it
        for number in range(self.number):
            row = {"Title": f"Video {number}", "Channel": channel.name, "Status": "Draft"}
            page = self.control.create_page(board, row)["id"]
            words = {"title": row["Title"], "topic": "Bees", "row_status": "Draft"}
            task = Task.objects.create(channel=channel, page_id=page, **words)
            self.bare[task.pk] = [self.control.create_page(foreign, row)["id"], "Draft"]
            yield task

    def _listen(self, board: str) -> None:
        """Our own writes come back as events, and the poll takes its share of the budget, as they do for real."""
        from production import reception
        from production.models import NotionBoard

        NotionBoard.objects.create(data_source_id=board)
        token, _ = self.control.subscribe(f"{self.stack.url}/webhook/notion")
        reception.confirm(NotionBoard.objects.get(), by="bench")
        self.control.verify(token)

    def change(self, changes: int, gap: float, act: "Callable[[Task], Seen]") -> list[float]:
        """Seconds that each change took to be seen in Notion; `act` makes it and says where. One that is late in being
        made counts from when it was due."""
        due, seconds = list(_moments(changes, gap)), list[float]()
        waiting: list[tuple[float, Seen]] = []
        began = time.monotonic()
        while due or waiting:
            now = time.monotonic() - began
            if now > PATIENCE + changes * gap:
                raise StartError(f"not in Notion within {PATIENCE:g} s: {waiting}")
            if due and due[0] <= now:
                task = self.tasks[len(due) % len(self.tasks)]
                waiting.append((due.pop(0), act(task)))
                continue
            seen = [each for each in waiting if self._shows(*each[1])]
            seconds += [time.monotonic() - began - since for since, _ in seen]
            waiting = [each for each in waiting if each not in seen]
            self.stack.supervisor.tick()
            time.sleep(LOOK)
        return seconds

    def _shows(self, page: str, label: str) -> bool:
        return bool(self.control.page(page)["properties"]["Status"] == label)

    def decide(self, task: "Task") -> Seen:
        from production import decisions
        from production.stages import Status

        task.refresh_from_db()
        if task.status == Status.DRAFT:
            decisions.submit(task, by="bench")
            return task.page_id, Status.QUEUED.label
        decisions.cancel(task, by="bench")
        return task.page_id, Status.DRAFT.label

    def patch(self, task: "Task") -> Seen:
        page, shown = self.bare[task.pk]
        label = "Queued" if shown == "Draft" else "Draft"
        self.client.pages.update(page_id=page, properties={"Status": {"select": {"name": label}}})
        self.bare[task.pk][1] = label
        return page, label


def _moments(changes: int, gap: float) -> Iterator[float]:
    """As independent tasks make them: often close together, sometimes far apart; the same in every run."""
    dice, at = random.Random(SEED), 0.0  # noqa: S311 - a pace, no secret
    for _ in range(changes):
        yield at
        at += dice.expovariate(1 / gap) if gap else 0


def _told(seconds: list[float]) -> dict[str, Any]:
    parts = {"p50": 0.5, "p95": 0.95, "most": 0.999}
    return {"changes": len(seconds)} | {name: round(percentile(seconds, part), 3) for name, part in parts.items()}
