"""What every test stands on: its own workspaces."""

from pathlib import Path

import pytest
from pytest_django import Settings


@pytest.fixture(autouse=True)
def workspace_root(tmp_path: Path, settings: Settings) -> Path:
    """Takes of this test lie here, and go with it."""
    settings.WORKSPACE_ROOT = tmp_path / "workspaces"
    return settings.WORKSPACE_ROOT
