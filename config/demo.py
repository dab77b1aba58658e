"""`make demo`: one video from a Notion row to YouTube, everything real but the vendors. Exit 0 only if all of it happened."""

import argparse
import json
import secrets
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live

from config import devpg
from config.stack import ROOT, Stack
from config.supervisor import StartError, Supervisor, free_port, guard, require_port

if TYPE_CHECKING:
    from config.rehearsal import Rehearsal
    from config.view import View
    from production.models import Task

FOLDER = ROOT / "var/demo"
TOPIC = "How lighthouses learned to blink, and why every one of them blinks differently"
REVIEWER = "demo reviewer"
SECONDS_A_CLIP = 40  # before a demo counts as stuck; 4 s is usual on two cores


def main() -> int:
    guard()
    options = _options()
    console = Console()
    shutil.rmtree(FOLDER, ignore_errors=True)
    try:
        port = require_port(options.port) if options.port else free_port()
        with Supervisor(FOLDER / "logs", say=lambda line: console.print(line, style="yellow")) as supervisor:
            stack = Stack(FOLDER, port, supervisor, durable=False)
            console.print("Starting PostgreSQL, the sandbox vendors, the web server and the workers …")
            stack.start()
            summary = _play(stack, console, options.topic, options.clips)
    except (StartError, devpg.PostgresError) as error:
        console.print(f"make demo: {error}", style="red")
        return 1
    finally:
        devpg.stop(FOLDER / "pg")
    return _tell(console, summary)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--clips", type=int, default=6, choices=range(1, 61), metavar="1..60")
    parser.add_argument("--topic", default=TOPIC)
    parser.add_argument("--port", type=int, default=0)
    return parser.parse_args()


def _play(stack: Stack, console: Console, topic: str, clips: int) -> dict[str, Any]:
    """Queue the row, approve each gate as a reviewer would, and watch until the end. Returns the summary."""
    from config import rehearsal  # noqa: PLC0415 - Django is set up by the stack
    from config.view import View  # noqa: PLC0415

    stage = rehearsal.prepare(stack.control, stack.url, clips=clips, password=secrets.token_urlsafe(12))
    view = View(f"“{topic}” for {stage.channel}")
    page_id = stage.queue(topic[:80], topic)
    deadline = time.monotonic() + 60 + SECONDS_A_CLIP * clips
    with Live(view, console=console, refresh_per_second=4, transient=True):
        stack.supervisor.run(until=lambda: _step(view, stage, page_id) or time.monotonic() > deadline)
    return _summary(stage, view, page_id)


def _step(view: "View", stage: "Rehearsal", page_id: str) -> bool:
    """One look at the task: say yes at a gate. True when it has ended and Notion has heard of it."""
    from production import decisions  # noqa: PLC0415
    from production.models import Task  # noqa: PLC0415
    from production.stages import ERRORS, REVIEWS, Status  # noqa: PLC0415

    time.sleep(0.1)
    view.task = task = Task.objects.select_related("channel").filter(page_id=page_id).first()
    if task is None:
        return False
    if task.status in REVIEWS and not _is_waiting_for_slot(task):
        view.say(f"{REVIEWER}: {decisions.approve(task, by=REVIEWER, user=stage.operator)}")
    return task.status in {Status.PUBLISHED, *ERRORS} and task.tell_at is None


def _is_waiting_for_slot(task: "Task") -> bool:
    """Composites and sounds have no status of their own for "approved": there, only an open gate asks for a yes."""
    from production import flow  # noqa: PLC0415
    from production.stages import REVIEWS, Status  # noqa: PLC0415

    return not flow.is_gate_open(task, REVIEWS[Status(task.status)])


def _summary(stage: "Rehearsal", view: "View", page_id: str) -> dict[str, Any]:
    from config.view import counts  # noqa: PLC0415
    from production import outbox, workspace  # noqa: PLC0415
    from production.stages import Status  # noqa: PLC0415

    task, row = view.task, stage.sandbox.page(page_id)["properties"]
    if task is None:
        return {"status": "no task", "why": "the webhook never arrived; see var/demo/logs"}
    film = task.takes.filter(kind="film", selected=True).first()
    moved = [change for change in task.changes.all() if change.before != change.after]
    return {
        "status": Status(task.status).label,
        "statuses": [{"status": Status(c.after).label, "seconds": round(c.seconds_before, 1)} for c in moved],
        "notion": {"status": row.get("Status"), "url": row.get("YouTube URL")},
        "film": str(workspace.file_of(film)) if film else None,
        "film_seconds": round(film.seconds, 1) if film and film.seconds else None,
        "youtube_url": task.youtube_url or None,
        "takes": counts(task),
        "cost_usd": str(outbox.cost(task)),
        "seconds": round(time.monotonic() - view.began, 1),
        "why": outbox.error_log(task) or None,
    }


def _tell(console: Console, summary: dict[str, Any]) -> int:
    """Write var/demo/summary.json and say in words what was made."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "summary.json").write_text(json.dumps(summary, ensure_ascii=False, indent=2) + "\n")
    notion = summary.get("notion") or {}
    whole = (
        summary["status"] == notion.get("status") == "Published"
        and summary["youtube_url"] == notion.get("url")
        and Path(summary["film"]).is_file()
    )
    if not whole:
        console.print(f"The video stopped at {summary['status']}: {summary.get('why')}", style="red")
        console.print(f"Logs: {FOLDER / 'logs'}")
        return 1
    made = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in summary["takes"].items())
    console.print(f"[green]Published[/] in {summary['seconds']} s: {made}.")
    console.print(f"Film      {summary['film']} ({summary['film_seconds']} s)", soft_wrap=True)
    console.print(f"YouTube   {summary['youtube_url']} (sandbox; Notion shows the same link)")
    console.print(f"Cost      {summary['cost_usd']} USD, had the vendors been real; nothing was spent")
    console.print(f"Summary   {FOLDER / 'summary.json'}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
