"""The reference pages of docs/ that are computed: from the stage table, `.env.example` and the commands themselves."""

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandParser, get_commands, load_command_class

from production.providers import LANES, Lane
from production.schema import KINDS, SCHEMA, Property
from production.stages import (
    ERRORS,
    HOLDING,
    PIECES,
    REVIEWS,
    STAGES,
    STEP,
    STEPS,
    Stage,
    Status,
    Verb,
    moves,
    stage_of,
)

NOTICE = "<!-- Written by `make docs`; change {source} instead. -->"
DRAWN = frozenset(Verb) - {Verb.CANCEL, Verb.SEND_BACK, Verb.REDO, Verb.ADOPT, Verb.UNDO}  # the diagram stays readable
APPS = ("channels_app", "production", "publishing")
SETTING = re.compile(r"#?([A-Z][A-Z0-9_]*)=(.*)")
TARGET = re.compile(r"^([a-z]+):.*?## (.*)$", re.MULTILINE)


class Command(BaseCommand):
    help = "Writes the reference pages of docs/ that are computed; --check only says which are out of date."
    requires_system_checks: list[str] = []  # pages can be written where keys and scripts are missing

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a page is out of date")
        folder = settings.BASE_DIR / "docs"
        parser.add_argument("--folder", type=Path, default=folder, help="where they are; by default docs/")

    def handle(self, *args: Any, check: bool, folder: Path, **options: Any) -> None:
        stale = [page for page in PAGES if _differs(folder / page, PAGES[page]())]
        for page in stale:
            self.stdout.write(f"{folder / page} is out of date: run make docs" if check else f"{folder / page}")
            if not check:
                (folder / page).write_text(PAGES[page](), encoding="utf-8")
        if check and stale:
            sys.exit(1)


def _differs(path: Path, text: str) -> bool:
    return not path.is_file() or path.read_text(encoding="utf-8") != text


# ---------------------------------------------------------------- docs/pipeline.md


def pipeline() -> str:
    return _page(
        "The pipeline",
        "`production/stages.py`",
        "A task passes each stage so: it waits, runs, is ready, is looked at, is approved. Callers ask with a verb;\n"
        "the stage table says where it leads, and the database refuses every other move.",
        ("In one picture", f"Left out: cancel, send_back, redo, adopt and undo (see below).\n\n{_diagram()}"),
        (f"The {len(Status)} statuses", _table("# | status | stored as | stage | who has it", _statuses())),
        ("Stages", _table("stage | waits in | runs in | ready | looked at in | approved | error | gate", _stages())),
        ("Pieces", _table("piece | stage | lane | one per | made by | paid | time limit | lies in", _pieces())),
        (
            "Steps of the plan",
            "Each is a paid call of its own, and told what the steps before it have settled.\n\n"
            + _table("# | step | done as it says in | is told", _steps()),
        ),
        (
            "Lanes",
            "What a new installation begins with; admin › Lanes changes it while everything runs.\n\n"
            + _table("lane | slots | cluster | calls at most | quota | USD a take at most", _lanes()),
        ),
        ("Verbs", _table("verb | means | leads to", _verbs())),
        (
            "What can be asked where",
            "A stage in brackets has to be named: four error statuses serve seven stages.\n\n"
            + _table("from | verb → status", _moves()),
        ),
    )


def _diagram() -> str:
    arrows: dict[tuple[Status, Status], list[Verb]] = {}
    for (status, verb), by_stage in moves().items():
        for target in dict.fromkeys(by_stage.values()):
            if verb in DRAWN and target != status:
                arrows.setdefault((status, target), []).append(verb)
    names = [f'    state "{status.label}" as {status.value}' for status in Status]
    lines = [f"    {a.value} --> {b.value}: {', '.join(verbs)}" for (a, b), verbs in arrows.items()]
    ends = [f"    [*] --> {Status.DRAFT.value}", f"    {Status.PUBLISHED.value} --> [*]"]
    return "\n".join(["```mermaid", "stateDiagram-v2", *names, ends[0], *lines, ends[1], "```"])


def _statuses() -> Iterator[list[str]]:
    for number, status in enumerate(Status, 1):
        stage = stage_of(status)
        titles = [stage.title] if stage else [s.title for s in STAGES if s.error == status]
        yield [str(number), status.label, f"`{status.value}`", ", ".join(titles), _who(status)]


def _who(status: Status) -> str:
    if status in ERRORS:
        return "a person"
    if status in REVIEWS:
        return "a person, where the channel has a gate" if REVIEWS[status].gate == "optional" else "a person"
    if status in HOLDING:
        return "the system, in one of the channel's slots"
    return {Status.DRAFT: "the creator", Status.PUBLISHED: "nobody: done"}.get(status, "the system")


def _stages() -> Iterator[list[str]]:
    for stage in STAGES:
        statuses = (stage.waits_in, stage.running, stage.ready, stage.review, stage.approved, stage.error)
        yield [stage.title, *(status.label if status else "–" for status in statuses), _gate(stage)]


def _gate(stage: Stage) -> str:
    return {"always": "always", "never": "never"}.get(stage.gate, "the channel decides")


def _pieces() -> Iterator[list[str]]:
    for piece in PIECES:
        paid = ("two phases" if piece.two_phase else "yes") if piece.paid else ""
        lies_in = f"`{piece.folder}/`" if piece.folder else ""
        yield [
            piece.kind,
            piece.stage,
            piece.lane,
            piece.per,
            f"`{piece.does}`",
            paid,
            f"{piece.seconds} s" if piece.seconds else "the job's",
            lies_in,
        ]


def _steps() -> Iterator[list[str]]:
    for step in STEPS:
        told = ", ".join(STEP[number].title for number in step.after)
        yield [str(step.number), step.title, f"`prompts/{step.sop}.md`", told or "the row"]


def _lanes() -> Iterator[list[str]]:
    for lane in LANES:
        slots = "counts requests" if lane.budget else str(lane.concurrency or "as many as cores, on each machine")
        prices = ", ".join(f"{kind} {usd}" for kind, usd in lane.prices.items())
        yield [lane.name, slots, "" if lane.budget else lane.cluster, _rate(lane), _quota(lane), prices]


def _rate(lane: Lane) -> str:
    calls, seconds = lane.limits.get("rate_calls"), lane.limits.get("rate_seconds")
    return f"{calls} in {seconds} s" if calls else ""


def _quota(lane: Lane) -> str:
    calls, zone = lane.limits.get("daily_quota"), lane.limits.get("quota_zone")
    return " ".join(filter(None, [f"{calls} a day," if calls else "", f"anew at midnight in {zone}" if zone else ""]))


def _verbs() -> Iterator[list[str]]:
    """What a verb means stands beside it in the table: its comment is read from the source."""
    said = dict(re.findall(r'= "(\w+)"  # (.*)', inspect.getsource(Verb)))
    for verb in Verb:
        targets = {target for (_, v), by_stage in moves().items() if v == verb for target in by_stage.values()}
        yield [f"`{verb}`", said[verb], ", ".join(status.label for status in Status if status in targets)]


def _moves() -> Iterator[list[str]]:
    for status in Status:
        asked = [_leads(verb, moves()[status, verb]) for verb in Verb if (status, verb) in moves()]
        yield [status.label, "<br>".join(asked) or "nothing"]


def _leads(verb: Verb, by_stage: dict[str, Status]) -> str:
    if len(by_stage) == 1:
        return f"`{verb}` → {next(iter(by_stage.values())).label}"
    return f"`{verb}` " + ", ".join(f"[{name}] → {status.label}" for name, status in by_stage.items())


# ---------------------------------------------------------------- docs/notion-board.md


def notion_board() -> str:
    return _page(
        "The Notion board",
        "`production/schema.py`",
        "The columns of the Notion database. `manage.py notion_board` makes, checks and mends it.\n"
        "Columns are found by these names; one that was renamed is recognised and gets its name back.\n"
        "Columns of yours beside them are left alone.",
        ("Columns", _table("column | kind | filled by | what it says", map(_column, SCHEMA))),
        ("Options and their colours", _table("column | options", map(_options, filter(_has_options, SCHEMA)))),
    )


def _column(column: Property) -> list[str]:
    return [column.name, KINDS[column.kind], {"both": "creator and system"}.get(column.who, column.who), column.says]


def _has_options(column: Property) -> bool:
    return bool(column.options)


def _options(column: Property) -> list[str]:
    return [column.name, ", ".join(f"{name} ({colour})" for name, colour in column.options)]


# ---------------------------------------------------------------- docs/settings.md


@dataclass(frozen=True)
class Setting:
    """One entry of `.env.example`: the last comment before it says what it is."""

    group: str
    name: str
    default: str
    says: str


def read_settings(example: str) -> list[Setting]:
    """What `.env.example` lists, in order. Groups begin with "# ---- Name"."""
    found, group, says = [], "", ""
    for line in example.splitlines():
        if match := SETTING.fullmatch(line):
            found.append(Setting(group, match[1], match[2], says))
        elif line.startswith("# ---- "):
            group = line.removeprefix("# ---- ")
        elif line.startswith("# "):
            says = line.removeprefix("# ")
    return found


def settings_page() -> str:
    found = read_settings((settings.BASE_DIR / ".env.example").read_text(encoding="utf-8"))
    groups = dict.fromkeys(setting.group for setting in found)
    return _page(
        "Settings",
        "`.env.example`",
        "Environment variables, read once by `config/settings.py`. Any may come from a file: `NAME_FILE=/path`.",
        *(
            (
                group,
                _table(
                    "name | default | what it does",
                    ([f"`{s.name}`", f"`{s.default}`" if s.default else "", s.says] for s in found if s.group == group),
                ),
            )
            for group in groups
        ),
    )


# ---------------------------------------------------------------- docs/commands.md


def commands() -> str:
    ours = {name for name, app in get_commands().items() if app in APPS}
    return _page(
        "Commands",
        "the `Makefile` and `management/commands/`",
        "`make help` and `.venv/bin/python manage.py COMMAND --help` say the same.",
        ("make", _table("command | what it does", _targets())),
        (
            "manage.py",
            "Call it as `.venv/bin/python manage.py …`, with the [settings](settings.md) set or in ENV_FILE.\n\n"
            + _table("command | what it does | takes", ([f"`{n}`", _help(n), _arguments(n)] for n in sorted(ours))),
        ),
    )


def _targets() -> Iterator[list[str]]:
    for name, says in TARGET.findall((settings.BASE_DIR / "Makefile").read_text(encoding="utf-8")):
        yield [f"`make {name}`", says]


def _help(name: str) -> str:
    return str(load_command_class(get_commands()[name], name).help)


def _arguments(name: str) -> str:
    """Names only: `--help` says what each is for."""
    parser = CommandParser(add_help=False)
    load_command_class(get_commands()[name], name).add_arguments(parser)
    return " ".join(f"`{_name(action)}`" for action in parser._actions)  # noqa: SLF001 - argparse lists them nowhere else


def _name(action: argparse.Action) -> str:
    if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
        return "|".join(action.choices)
    return action.option_strings[-1] if action.option_strings else action.dest.upper()


# ---------------------------------------------------------------- Markdown


def _page(title: str, source: str, lead: str, *chapters: tuple[str, str]) -> str:
    parts = [f"# {title}", NOTICE.format(source=source), lead]
    for heading, text in chapters:
        parts += [f"## {heading}", text]
    return "\n\n".join(parts) + "\n"


def _table(head: str, rows: Iterable[list[str]]) -> str:
    names = head.split(" | ")
    cells = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    lines = [names, ["---"] * len(names), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


PAGES: dict[str, Callable[[], str]] = {
    "pipeline.md": pipeline,
    "notion-board.md": notion_board,
    "settings.md": settings_page,
    "commands.md": commands,
}
