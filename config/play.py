"""Plays rehearsals: watches a task, says yes at its gates, and tells how it ended. Needs Django set up."""

import time
from typing import Any

from rich.console import Console
from rich.live import Live

from config.rehearsal import Rehearsal
from config.stack import Stack
from config.view import View, counts
from production import decisions, gates, outbox, workspace
from production.models import Task
from production.stages import ERRORS, REVIEWS, Status

REVIEWER = "demo reviewer"
LOOK = 0.1  # seconds between two looks


def to_the_end(stack: Stack, stage: Rehearsal, console: Console, *, topic: str, seconds: float) -> dict[str, Any]:
    """Queue a row and approve each gate as a reviewer would, until the video is published, failed or time is up.

    Returns the summary: status, statuses (each with its second), notion, film, youtube_url, takes, cost_usd, seconds.
    """
    view = View(f"“{topic}” for {stage.channel}")
    page_id = stage.queue(topic[:80], topic)
    deadline = time.monotonic() + seconds
    with Live(view, console=console, refresh_per_second=4, transient=True):
        stack.supervisor.run(until=lambda: _step(view, stage, page_id) or time.monotonic() > deadline)
    return _summary(stage, view, page_id)


def until_status(stack: Stack, stage: Rehearsal, page_id: str, *, yes_at: set[Status], stop_at: set[Status]) -> None:
    """Let the page's task run, with a yes at the gates of `yes_at`, until it stands in one of `stop_at`."""

    def stands() -> bool:
        time.sleep(LOOK)
        task = Task.objects.filter(page_id=page_id).first()
        if task and task.status in yes_at:
            decisions.approve(task, by=REVIEWER, user=stage.operator)
        return task is not None and task.status in {*stop_at, *ERRORS}

    stack.supervisor.run(until=stands)


def _step(view: View, stage: Rehearsal, page_id: str) -> bool:
    """One look at the task. True when it has ended and Notion has heard of it."""
    time.sleep(LOOK)
    view.task = task = Task.objects.select_related("channel").filter(page_id=page_id).first()
    if task is None:
        return False
    gate = REVIEWS.get(Status(task.status))
    if gate and gates.is_gate_open(task, gate):
        view.say(f"{REVIEWER}: {decisions.approve(task, by=REVIEWER, user=stage.operator)}")
    return task.status in {Status.PUBLISHED, *ERRORS} and task.tell_at is None


def _summary(stage: Rehearsal, view: View, page_id: str) -> dict[str, Any]:
    task = view.task
    if task is None:
        return {"status": "no task", "why": "the webhook never arrived"}
    row = stage.sandbox.page(page_id)["properties"]
    film = task.takes.filter(kind="film", selected=True).first()
    moved = [change for change in task.changes.all() if change.before != change.after]
    return {
        "status": Status(task.status).label,
        "statuses": [{"status": Status(c.after).label, "seconds": round(c.seconds_since_created, 1)} for c in moved],
        "notion": {"status": row.get("Status"), "url": row.get("YouTube URL")},
        "film": str(workspace.canonical(film, film.kind)) if film else None,
        "film_seconds": round(film.seconds, 1) if film and film.seconds else None,
        "youtube_url": task.youtube_url or None,
        "takes": counts(task),
        "cost_usd": str(outbox.cost(task)),
        "seconds": round(time.monotonic() - view.began, 1),
        "why": outbox.error_log(task) or None,
    }
