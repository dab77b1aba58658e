"""The sandbox of the session; each test finds the faults cleared and the pace instant."""

from collections.abc import Iterator

import pytest

from sandbox.client import SandboxClient
from tests.sandboxes import Process, make_board
from tests.waiting import eventually as eventually


@pytest.fixture
def control(process: Process) -> Iterator[SandboxClient]:
    yield process.client
    process.client.clear_faults()
    process.client.set_limits(on=False)
    process.client.set_pace("instant")


@pytest.fixture
def addresses(process: Process, control: SandboxClient) -> dict[str, str]:
    return process.addresses


@pytest.fixture
def board(control: SandboxClient) -> str:
    """The data source of a fresh board."""
    return make_board(control, "Sea Stories")
