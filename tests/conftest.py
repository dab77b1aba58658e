"""What every test stands on: its own workspaces, nobody's static files, and the sandbox's vendors."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from sandbox.client import SandboxClient
from tests.chromium import chromium
from tests.sandboxes import KEY, Process

__all__ = ["chromium"]  # a fixture


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


@pytest.fixture(scope="session")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One sandbox for the session, at the instant pace."""
    process = Process(tmp_path_factory.mktemp("sandbox"))
    yield process
    assert process.end() == 0


@pytest.fixture
def vendors(process: Process, settings: Settings) -> Iterator[SandboxClient]:
    """Every vendor is the sandbox; the books go on from test to test, the faults do not."""
    settings.ADDRESSES = {name: process.addresses.get(name, own) for name, own in settings.OWN_ADDRESSES.items()}
    settings.SLACK_WEBHOOK_URL = process.addresses["SLACK_WEBHOOK_URL"]
    for name in ("NOTION_API_KEY", "GEMINI_API_KEY", "KIE_API_KEY", "ELEVENLABS_API_KEY", "GOOGLE_CLIENT_ID"):
        setattr(settings, name, KEY)
    settings.GOOGLE_CLIENT_SECRET = KEY
    yield process.client
    process.client.clear_faults()


@pytest.fixture
def dead_address() -> Iterator[str]:
    """An address at which nobody listens; its port stays taken, so that nobody comes to listen there meanwhile."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def do(django_capture_on_commit_callbacks: Any) -> Callable[..., Any]:
    """Calls, then lets happen what waits for the commit."""

    def call(function: Callable[..., Any], *args: Any, **words: Any) -> Any:
        with django_capture_on_commit_callbacks(execute=True):
            return function(*args, **words)

    return call
