"""Each of the seven scripts of the makespan measure: this file, copied under its name into a SCRIPTS_DIR of its own.

It keeps the contract and makes nothing: it waits as long as the provider would, or keeps a core busy as long as ffmpeg
would, and hands over canned media. `times.json` beside it says which, by script. A render is a file in `jobs/` with the
time at which it will be done; the measure calls back when that has come.
"""

import json
import os
import shutil
import sys
import time
import uuid
from pathlib import Path

HERE = Path(__file__).resolve().parent
JOBS = HERE / "jobs"


def main() -> None:
    say("started")
    phase = os.environ.get("PHASE", "")
    {"submit": submit, "poll": poll, "collect": write}.get(phase, make)()


def make() -> None:
    say("sending")
    mine = times()
    until = time.process_time() + mine["works"]
    time.sleep(mine["waits"])
    while time.process_time() < until:
        pass
    write()


def submit() -> None:
    say("sending")
    ref = uuid.uuid4().hex
    job = {"due": time.time() + times()["waits"], "callback": os.environ["CALLBACK_URL"]}
    part = JOBS / f".{ref}"
    part.write_text(json.dumps(job))
    part.rename(JOBS / ref)
    say("submitted", ref=ref)


def poll() -> None:
    for ref in os.environ["REFS"].split(","):
        done = time.time() >= json.loads((JOBS / ref).read_text())["due"]
        say("state", ref=ref, state="success" if done else "generating")


def write() -> None:
    """The canned file of this script's kind, whole or not at all."""
    output = Path(sys.argv[sys.argv.index("--output") + 1])
    part = output.with_suffix(".part")
    shutil.copy(HERE / f"canned{output.suffix}", part)
    part.replace(output)


def times() -> dict[str, float]:
    found: dict[str, float] = json.loads((HERE / "times.json").read_text())[Path(__file__).name]
    return found


def say(event: str, **words: str) -> None:
    sys.stdout.write(json.dumps({"event": event, **words}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
