"""What every test stands on: its own workspaces and its own static files."""

from pathlib import Path

import pytest
from pytest_django import Settings


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, settings: Settings) -> None:
    """Takes of this test go with it; WhiteNoise warns of a STATIC_ROOT that nobody has collected."""
    settings.WORKSPACE_ROOT = tmp_path / "workspaces"
    settings.STATIC_ROOT = tmp_path / "static"
    settings.STATIC_ROOT.mkdir()
