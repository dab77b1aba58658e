"""`make bench`: every measure, or those that ONLY names; a table here, everything else in var/bench.json."""

import argparse
import json
import os
import subprocess
import sys

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure
from benchmarks.measure import MEASURES
from config import environment
from config.stack import ROOT

FOLDER = ROOT / "var/bench"


def main() -> int:
    options = _options()
    console = Console()
    FOLDER.mkdir(parents=True, exist_ok=True)
    figures: list[Figure] = []
    broken = []
    for name in options.only:
        console.print(f"Measuring {name} …")
        if (found := _measured(name, smoke=options.smoke)) is None:
            broken.append(name)
        figures += found or []
    path = FOLDER.with_suffix(".json")
    path.write_text(json.dumps({figure["name"]: _entry(figure) for figure in figures}, indent=1) + "\n")
    console.print(_table(figures, smoke=options.smoke))
    console.print(f"Everything in {path}", soft_wrap=True, highlight=False)
    for name in broken:
        console.print(f"{name} could not be measured; its logs are in {FOLDER / name / 'logs'}", style="red")
    return 1 if broken else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", type=_names, default=list(MEASURES), metavar=",".join(MEASURES))
    parser.add_argument("--smoke", action="store_true", help="a quick run that claims nothing about time")
    return parser.parse_args()


def _names(given: str) -> list[str]:
    names = [name.strip() for name in given.split(",") if name.strip()]
    if unknown := [name for name in names if name not in MEASURES]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: there are {', '.join(MEASURES)}")
    return names


def _measured(name: str, *, smoke: bool) -> list[Figure] | None:
    """The measure's figures; None where it failed, which it has said on stderr."""
    file = FOLDER / f"{name}.json"
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.measure", name, str(file), *(["--smoke"] if smoke else [])]
    done = subprocess.run(command, cwd=ROOT, env=environment.harmless(), check=False)
    if done.returncode:
        return None
    figures: list[Figure] = json.loads(file.read_text())
    return figures


def _entry(figure: Figure) -> dict[str, object]:
    return {key: value for key, value in figure.items() if key != "name"}


def _table(figures: list[Figure], *, smoke: bool) -> Table:
    title = "A smoke run: that it runs is all it shows" if smoke else f"Measured on {os.cpu_count()} cores"
    table = Table("measure", title=title)
    for name in ("ours", "peer", "times better"):
        table.add_column(name, justify="right", no_wrap=True)
    for figure in figures:
        what = f"{figure['name']}: {figure['unit']}\n[dim]peer: {figure['details'].get('peer', 'none')}[/]"
        table.add_row(what, *(_number(number) for number in (figure["ours"], figure["peer"], figure["ratio"])))
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}"


if __name__ == "__main__":
    sys.exit(main())
