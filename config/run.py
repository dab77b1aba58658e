"""`make run`: the whole system staying up for a person. Keys in `.env` turn single vendors real; it says which."""

import argparse
import json
import secrets
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from config import devpg, environment
from config.stack import ROOT, Stack
from config.supervisor import StartError, Supervisor, guard, require_port

if TYPE_CHECKING:
    from config.rehearsal import Rehearsal

FOLDER = ROOT / "var/run"
PORT = 8000
CLIPS = 3  # of the example videos
UNDO = {"UNDO_SECONDS": "10"}  # a person sits here, perhaps with real keys; the stack's own is none


def main() -> int:
    guard()
    options = _options()
    folder, port, dotenv = options.folder.resolve(), options.port, options.env_file
    console = Console()
    try:
        with Supervisor(folder / "logs", say=lambda line: console.print(line, style="yellow")) as supervisor:
            own = _secrets(folder) | UNDO
            _serve(Stack(folder, require_port(port), supervisor, settings=own, dotenv=dotenv), console)
    except (StartError, devpg.PostgresError) as error:
        console.print(f"make run: {error}", style="red", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        kept = f"everything is kept in {folder} and goes on with the next make run."
        console.print(f"\nStopped; {kept}", soft_wrap=True, highlight=False)
    finally:
        devpg.release(folder / "pg")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--port", type=int, default=PORT, help=f"of the admin; by default {PORT}")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where all of it is kept")
    parser.add_argument("--env-file", type=Path, default=ROOT / ".env", help="vendors' keys")
    return parser.parse_args()


def _secrets(folder: Path) -> dict[str, str]:
    """Made once and kept: what is stored encrypted must be readable after a restart."""
    path = folder / "secrets.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(json.dumps(environment.new_secrets() | {"OPERATOR_PASSWORD": secrets.token_urlsafe(9)}))
    found: dict[str, str] = json.loads(path.read_text())
    return found


def _serve(stack: Stack, console: Console) -> None:
    console.print("Starting PostgreSQL, the sandbox vendors, the web server and the workers …")
    stack.start()
    from config import rehearsal  # only now is Django set up
    from production.models import Task

    password = stack.settings["OPERATOR_PASSWORD"]
    stage = rehearsal.prepare(stack.control, stack.url, clips=CLIPS, password=password, real=stack.real)
    _introduce(stack, console)
    if not stack.real and not Task.objects.exists():
        _leave_examples(stack, stage, console)
    console.print("Ctrl-C ends it.")
    stack.supervisor.run(until=lambda: False)


def _introduce(stack: Stack, console: Console) -> None:
    real = ", ".join(stack.real) or "none: all are the sandbox's, nothing costs money"
    for name, value in {
        "Admin": f"{stack.url}/admin/",
        "User": "operator",
        "Password": stack.settings["OPERATOR_PASSWORD"],
        "Real vendors": real,
    }.items():
        console.print(f"[green]{name:14}[/]{value}", soft_wrap=True, highlight=False)


def _leave_examples(stack: Stack, stage: "Rehearsal", console: Console) -> None:
    """The first time: two videos that wait at a gate and one in error, so that there is something to look at."""
    from config import play
    from production.stages import Status

    console.print("Making three example videos: one at the images, one at the clips, one in error …")
    began = time.monotonic()
    refused = "The duel that never took place"
    stack.control.plan_fault("gemini", "refuse", match=refused, times=20)
    pages = {
        title: stage.queue(title, topic)
        for title, topic in {
            "Why bridges sing in the wind": "Why suspension bridges hum and sing when the wind is right",
            "The clock that feeds a city": "How the noon bell once decided when a whole city ate",
            refused: f"{refused}: a quarrel between two inventors of the telegraph",
        }.items()
    }
    at_clips, at_images, in_error = pages.values()
    play.until_status(stack, stage, in_error, yes_at=set(), stop_at={Status.ASSET_ERROR})
    play.until_status(stack, stage, at_images, yes_at=set(), stop_at={Status.ASSETS_READY})
    play.until_status(stack, stage, at_clips, yes_at={Status.ASSETS_READY}, stop_at={Status.VIDEO_READY})
    console.print(f"There they are, after {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    sys.exit(main())
