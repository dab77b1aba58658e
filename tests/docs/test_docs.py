"""The generated pages are up to date, and what the others point at exists."""

import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.contrib.auth.models import AnonymousUser
from django.core.management import CommandParser, call_command, get_commands, load_command_class
from django.test import RequestFactory
from pytest_django import Settings

from channels_app.models import Token
from production.admin import navigation
from production.management.commands import docs
from production.providers import LANES
from production.stages import PIECES, STAGES, STEPS, Status, legal_pairs
from tests import ROOT
from tests.factories import make_channel

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)(?:#[^)]*)?\)")
ANCHOR = re.compile(r"\[[^\]]*\]\(([^):#]*)#([^)]*)\)")
MENU = re.compile(r"[Aa]dmin › (?:Notion › )?([A-Z]\w+(?: accounts| in rows)?)")


def test_docs_check_finds_every_generated_page_up_to_date() -> None:
    call_command("docs", "--check")


def test_docs_check_names_a_stale_page_and_exits_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("docs", "--folder", tmp_path)
    call_command("docs", "--check", "--folder", tmp_path)
    (tmp_path / "pipeline.md").write_text("old")
    capsys.readouterr()
    with pytest.raises(SystemExit, match="1"):
        call_command("docs", "--check", "--folder", tmp_path)
    said = capsys.readouterr().out
    assert "pipeline.md is out of date" in said
    assert "settings.md" not in said
    assert (tmp_path / "pipeline.md").read_text() == "old"


def test_docs_writes_only_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("docs", "--folder", tmp_path)
    assert capsys.readouterr().out.count("\n") == len(docs.PAGES)
    call_command("docs", "--folder", tmp_path)
    assert not capsys.readouterr().out


def test_pipeline_tells_every_status_stage_piece_step_lane_and_move() -> None:
    page = docs.pipeline()
    for status in Status:
        assert f"| {status.label} | `{status.value}` |" in page
    for stage in STAGES:
        assert f"| {stage.title} | {stage.waits_in.label} | {stage.running.label} |" in page
    for piece in PIECES:
        assert f"| {piece.kind} | {piece.stage} | {piece.lane} |" in page
    for step in STEPS:
        assert f"| {step.title} | `prompts/{step.sop}.md` |" in page
    for lane in LANES:
        assert f"| {lane.name} | " in page
    asked = {row.split(" | ")[0]: row for row in page.rpartition("## What can be asked where")[2].splitlines()}
    for before, after in legal_pairs():
        assert f"→ {after.label}" in asked[f"| {before.label}"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    inside = [link for link in LINK.findall(page.read_text()) if not link.startswith(("http:", "https:", "mailto:"))]
    assert not [link for link in inside if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_anchors_lead_to_a_heading(page: Path) -> None:
    for link, anchor in ANCHOR.findall(page.read_text()):
        there = page.parent / link if link else page
        assert anchor in _anchors(there), f"{link}#{anchor}"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_menu_entries_that_pages_name_exist(page: Path) -> None:
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    entries = {item["title"] for group in navigation.groups(request) for item in group["items"]}
    assert set(MENU.findall(page.read_text())) <= entries


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_management_commands_that_pages_name_exist(page: Path) -> None:
    assert set(re.findall(r"manage\.py ([a-z_]+)", page.read_text())) <= set(get_commands())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_pages_name_exist(page: Path) -> None:
    rooms = "|".join(folder.name for folder in ROOT.iterdir() if (folder / "__init__.py").is_file())
    named = set(re.findall(rf"`((?:{rooms}|scripts|prompts)/[\w./*-]+)`", page.read_text())) - {"scripts/.env"}
    assert not [name for name in named if not list(ROOT.glob(name))]


@pytest.mark.parametrize("name", [name for name, app in get_commands().items() if app in docs.APPS])
def test_each_argument_of_a_command_says_what_it_is_for(name: str) -> None:
    parser = CommandParser(add_help=False)
    load_command_class(get_commands()[name], name).add_arguments(parser)
    assert not [action.dest for action in parser._actions if not action.help and action.choices is None]


def test_third_party_names_every_package_of_production() -> None:
    page = (ROOT / "docs/third-party.md").read_text().lower().replace("_", "-")
    packages = re.findall(r"^([\w.-]+)(?:\[.*?\])?==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert packages
    assert not [name for name in packages if not re.search(rf"(?<![\w-]){re.escape(name.lower())}(?![\w-])", page)]


@pytest.mark.django_db
def test_the_example_of_a_test_passes() -> None:
    example = re.search(r"```python\n(.*?)```", (ROOT / "docs/extending.md").read_text(), re.DOTALL)
    assert example
    names: dict[str, Any] = {}
    exec(compile(example[1], "extending.md", "exec"), names)
    names["test_reject_waits_for_a_person_in_the_error_status"]()


@pytest.mark.django_db
def test_the_lines_that_change_the_encryption_key_leave_nothing_under_the_former(settings: Settings) -> None:
    lines = re.search(r"shell <<'END'\n(.*?)END", (ROOT / "docs/deploying.md").read_text(), re.DOTALL)
    assert lines
    Token.objects.create(channel=make_channel(), name="KIE_API_KEY", value="hush")
    new = Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [new, *settings.ENCRYPTION_KEYS]
    exec(compile(lines[1], "deploying.md", "exec"), {})
    settings.ENCRYPTION_KEYS = [new]
    assert Token.objects.get().value == "hush"


def test_readme_lists_every_page_of_docs() -> None:
    readme = (ROOT / "README.md").read_text()
    assert not [page.name for page in (ROOT / "docs").glob("*.md") if f"docs/{page.name}" not in readme]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_pages_name_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)(?:[A-Z]+=\S+ )*make ([a-z]+)", page.read_text(), re.MULTILINE))
    assert named <= targets
