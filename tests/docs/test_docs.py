"""The generated pages are up to date, and what the others point at exists."""

import re
from pathlib import Path

import pytest
from django.core.management import call_command

from production.management.commands import docs
from production.stages import PIECES, STAGES, Status, legal_pairs
from tests import ROOT

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)(?:#[^)]*)?\)")


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


def test_pipeline_tells_every_status_stage_piece_and_move() -> None:
    page = docs.pipeline()
    for status in Status:
        assert f"| {status.label} | `{status.value}` |" in page
    for stage in STAGES:
        assert f"| {stage.title} | {stage.waits_in.label} | {stage.running.label} |" in page
    for piece in PIECES:
        assert f"| {piece.kind} | {piece.stage} | {piece.lane} |" in page
    asked = {row.split(" | ")[0]: row for row in page.rpartition("## What can be asked where")[2].splitlines()}
    for before, after in legal_pairs():
        assert f"→ {after.label}" in asked[f"| {before.label}"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    inside = [link for link in LINK.findall(page.read_text()) if not link.startswith(("http:", "https:", "mailto:"))]
    assert not [link for link in inside if not (page.parent / link).exists()]


def test_readme_lists_every_page_of_docs() -> None:
    readme = (ROOT / "README.md").read_text()
    assert not [page.name for page in (ROOT / "docs").glob("*.md") if f"docs/{page.name}" not in readme]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_pages_name_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)(?:[A-Z]+=\S+ )*make ([a-z]+)", page.read_text(), re.MULTILINE))
    assert named <= targets
