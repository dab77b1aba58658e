"""The live view of a task in the terminal: stages, pieces, money. Reads the rows, shows them with rich."""

import time
from collections import Counter
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from production import outbox
from production.models import Take, Task
from production.stages import ERRORS, REVIEWS, RUNNING, STAGES, Status

State = Take.State
COLOURS = {
    State.DONE: "green",
    State.FAILED: "red",
    State.UNKNOWN: "red",
    State.CLAIMED: "cyan",
    State.SUBMITTED: "blue",
}
MARKS = {State.DONE: "●", State.FAILED: "✗", State.UNKNOWN: "?", State.CLAIMED: "◐", State.SUBMITTED: "◑"}


class View:
    """Rendered anew with every refresh; `task` may still be None while its row is on the way."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.began = time.monotonic()
        self.task: Task | None = None
        self.notes: list[str] = []

    def say(self, line: str) -> None:
        self.notes = [*self.notes, line][-4:]

    def __rich__(self) -> RenderableType:
        status = Text(self._status(), style=self._colour())
        head = Table.grid(expand=True)
        head.add_column(ratio=1)
        head.add_column(justify="right")
        head.add_row(status, f"{self._cost():.2f} USD   {time.monotonic() - self.began:4.0f} s")
        return Panel(Group(head, Text(""), self._stages(), *map(Text, self.notes)), title=self.title, padding=(1, 2))

    def _status(self) -> str:
        return Status(self.task.status).label if self.task else "Waiting for Notion's webhook"

    def _colour(self) -> str:
        status = self.task.status if self.task else None
        return "bold red" if status in ERRORS else "bold yellow" if status in REVIEWS else "bold cyan"

    def _cost(self) -> Decimal:
        return outbox.cost(self.task) if self.task else Decimal(0)

    def _stages(self) -> Table:
        takes = list(self.task.takes.exclude(state=State.CANCELLED)) if self.task else []
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(width=12)
        table.add_column(ratio=1)
        table.add_column(width=24)
        table.add_column(width=8, justify="right")
        for stage in STAGES:
            kinds = stage.kinds
            ours = [take for take in takes if take.kind in kinds]
            done = sum(take.state == State.DONE for take in ours)
            running = self.task is not None and RUNNING.get(Status(self.task.status)) == stage
            table.add_row(
                Text(stage.title, style="bold cyan" if running else "green" if ours and done == len(ours) else "dim"),
                _marks(ours),
                ProgressBar(total=max(len(ours), 1), completed=done),
                f"{done}/{len(ours)}" if ours else "",
            )
        return table


def _marks(takes: list[Take]) -> Text:
    text = Text()
    for take in takes:
        text.append(MARKS.get(State(take.state), "○"), style=COLOURS.get(State(take.state), "dim"))
    return text


def counts(task: Task) -> dict[str, int]:
    """How many takes of each kind were made."""
    return dict(Counter(task.takes.filter(state=State.DONE).values_list("kind", flat=True)))
