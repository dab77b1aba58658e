"""What every test stands on: its own workspaces, nobody's static files, and the lanes."""

import importlib
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from pytest_django import Settings

from production.models import Provider

LANES = importlib.import_module("production.migrations.0002_lanes")


@pytest.fixture(autouse=True, scope="session")
def static_root(tmp_path_factory: pytest.TempPathFactory) -> None:
    """WhiteNoise warns of a STATIC_ROOT that nobody has collected. Before the live server, which reads it once."""
    django_settings.STATIC_ROOT = tmp_path_factory.mktemp("static")


@pytest.fixture(autouse=True)
def workspace_root(tmp_path: Path, settings: Settings) -> None:
    """Takes of this test go with it."""
    settings.WORKSPACE_ROOT = tmp_path / "workspaces"


@pytest.fixture
def committed(transactional_db: None) -> None:
    """Commits are real, and the lanes are there although the test before was flushed away."""
    if not Provider.objects.exists():
        LANES.open_lanes(apps, None)
