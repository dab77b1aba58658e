"""What every test stands on: its own workspaces and nobody's static files."""

from pathlib import Path

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Journeys wait more than they work: begun first, they run beside everything else."""
    items.sort(key=lambda item: item.get_closest_marker("journey") is None)


@pytest.fixture(autouse=True, scope="session")
def static_root(tmp_path_factory: pytest.TempPathFactory) -> None:
    """WhiteNoise warns of a STATIC_ROOT that nobody has collected. Before the live server, which reads it once."""
    django_settings.STATIC_ROOT = tmp_path_factory.mktemp("static")


@pytest.fixture(autouse=True)
def workspace_root(tmp_path: Path, settings: Settings) -> None:
    """Takes of this test go with it."""
    settings.WORKSPACE_ROOT = tmp_path / "workspaces"
