"""Scripts of the tests' own, the sandbox's vendors, and people who look at the admin."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from tests.factories import make_operator, make_staff
from tests.production.scripts import Scripts
from tests.production.vendors import process, vendors  # noqa: F401 - fixtures


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
def do(django_capture_on_commit_callbacks: Any) -> Callable[..., Any]:
    """Calls, then lets happen what waits for the commit."""

    def call(function: Callable[..., Any], *args: Any, **words: Any) -> Any:
        with django_capture_on_commit_callbacks(execute=True):
            return function(*args, **words)

    return call
