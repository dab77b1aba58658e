"""Scripts of the tests' own, a yes that counts at once, and people who look at the admin."""

import datetime as dt
from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings

from tests.factories import make_operator, make_staff
from tests.production.scripts import Scripts


@pytest.fixture
def scripts(tmp_path: Path, settings: Settings) -> Scripts:
    """SCRIPTS_DIR, empty."""
    settings.SCRIPTS_DIR = tmp_path / "scripts"
    settings.SCRIPTS_DIR.mkdir()
    return Scripts(settings.SCRIPTS_DIR)


@pytest.fixture
def operator_client(client: Client) -> Client:
    """Logged in as who may decide everything."""
    client.force_login(make_operator(username="olga"))
    return client


@pytest.fixture
def looker_client(client: Client) -> Client:
    """Logged in as staff that may look at tasks and decide nothing."""
    client.force_login(make_staff("view_task", username="luis"))
    return client


@pytest.fixture
def at_once(settings: Settings) -> None:
    """A yes lets the next stage begin at once."""
    settings.UNDO = dt.timedelta()
