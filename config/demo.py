"""`make demo`: one video from a Notion row to YouTube, everything real but the vendors. Exit 0 only if all happened."""

import argparse
import json
import secrets
import shutil
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from config import devpg
from config.stack import ROOT, Stack
from config.supervisor import StartError, Supervisor, free_port, guard, require_port
from production.stages import PIECES, STAGE, STAGES, STEPS

FOLDER = ROOT / "var/demo"
TOPIC = "How lighthouses learned to blink, and why every one of them blinks differently"
SECONDS, SECONDS_A_CLIP = 60, 40  # before a demo counts as stuck; 20 s and 3 s are usual on two cores


def main() -> int:
    guard()
    options = _options()
    console = Console()
    devpg.stop(FOLDER / "pg")
    shutil.rmtree(FOLDER, ignore_errors=True)
    try:
        port = require_port(options.port) if options.port else free_port()
        with Supervisor(FOLDER / "logs", say=lambda line: console.print(line, style="yellow")) as supervisor:
            summary = _play(Stack(FOLDER, port, supervisor, durable=False), console, options)
    except (StartError, devpg.PostgresError) as error:
        console.print(f"make demo: {error}", style="red", soft_wrap=True)
        return 1
    finally:
        devpg.release(FOLDER / "pg")
    return _tell(console, summary, clips=options.clips)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--clips", type=int, default=6, choices=range(1, 61), metavar="1..60", help="by default 6")
    parser.add_argument("--topic", default=TOPIC, help="what the video is about")
    parser.add_argument("--port", type=int, default=0, help="of the web server; by default a free one")
    return parser.parse_args()


def _play(stack: Stack, console: Console, options: argparse.Namespace) -> dict[str, Any]:
    console.print("Starting PostgreSQL, the sandbox vendors, the web server and the workers …")
    stack.start()
    from config import play, rehearsal  # only now is Django set up

    stage = rehearsal.prepare(stack.control, stack.url, clips=options.clips, password=secrets.token_urlsafe(12))
    seconds = SECONDS + SECONDS_A_CLIP * options.clips
    return play.to_the_end(stack, stage, console, topic=options.topic, seconds=seconds)


def _tell(console: Console, summary: dict[str, Any], *, clips: int) -> int:
    """Write var/demo/summary.json and say in words what was made, or what is missing."""
    path = FOLDER / "summary.json"
    path.write_text(json.dumps(summary, ensure_ascii=False, indent=2) + "\n")
    if not _is_whole(summary, clips):
        console.print(f"The video stopped at {summary['status']}: {summary.get('why')}; see {path}", style="red")
        console.print(f"Logs: {FOLDER / 'logs'}", soft_wrap=True)
        return 1
    made = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in summary["takes"].items())
    for name, value in {
        "Published": f"in {summary['seconds']} s: {made}",
        "Film": f"{summary['film']} ({summary['film_seconds']} s)",
        "YouTube": f"{summary['youtube_url']} (the sandbox's; Notion shows the same link)",
        "Cost": f"{summary['cost_usd']} USD, had the vendors been real; nothing was spent",
        "Summary": str(path),
    }.items():
        console.print(f"[green]{name:10}[/]{value}", soft_wrap=True, highlight=False)
    return 0


def _is_whole(summary: dict[str, Any], clips: int) -> bool:
    """Published here and in Notion with the same link, through every stage, with every piece and a film on disk."""
    if summary["status"] != "Published":
        return False
    notion, film = summary["notion"], Path(summary["film"] or "")
    return (
        notion["status"] == "Published"
        and bool(summary["youtube_url"])
        and notion["url"] == summary["youtube_url"]
        and {stage.running.label for stage in STAGES} <= {passed["status"] for passed in summary["statuses"]}
        and _has_every_piece(summary["takes"], clips)
        and film.is_file()
        and film.stat().st_size > 0
    )


def _has_every_piece(takes: dict[str, int], clips: int) -> bool:
    """One of what a video has once; for each clip one of the others, be its picture a composite or a split screen."""
    wanted = {piece.kind: {"task": 1, "asset": 1, "clip": clips, "step": len(STEPS)}[piece.per] for piece in PIECES}
    pictures = set(STAGE["composites"].kinds)
    return sum(takes.get(kind, 0) for kind in pictures) >= clips and all(
        takes.get(kind, 0) >= number for kind, number in wanted.items() if kind not in pictures
    )


if __name__ == "__main__":
    sys.exit(main())
