"""One measure in a process of its own: `python -m benchmarks.measure NAME FILE [--smoke]` writes its figures as JSON.

Each has its own folder, PostgreSQL server and settings, and what one leaves in memory disturbs no other.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import assembly, claims, makespan, memory, pages, queue, told, webhook
from benchmarks.bench import Bench
from benchmarks.figures import Figure
from config import devpg
from config.supervisor import StartError, guard

MEASURES: dict[str, Callable[[Bench], list[Figure]]] = {
    "queue": queue.measure,
    "webhook": webhook.measure,
    "claims": claims.measure,
    "makespan": makespan.measure,
    "told": told.measure,
    "memory": memory.measure,
    "assembly": assembly.measure,
    "pages": pages.measure,
}


def main() -> int:
    guard()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.measure", description=__doc__)
    parser.add_argument("name", choices=MEASURES)
    parser.add_argument("file", type=Path)
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    folder = options.file.resolve().with_suffix("")
    devpg.stop(folder / "pg")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        figures = MEASURES[options.name](Bench(folder, smoke=options.smoke))
    except (StartError, devpg.PostgresError) as error:
        sys.stderr.write(f"{options.name}: {error}\n")
        return 1
    finally:
        devpg.release(folder / "pg")
    options.file.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
