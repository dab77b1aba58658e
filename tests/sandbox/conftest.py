"""One sandbox process for the session, at the instant pace; each test finds the faults cleared."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.client import SandboxClient, board_properties, read_addresses

ROOT = Path(__file__).resolve().parents[2]
KEY = "sandbox-key"


class Process:
    """`python -m sandbox` on a state folder, which a test may kill and start again."""

    def __init__(self, state: Path, pace: str = "instant") -> None:
        self.state = state
        self.pace = pace
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "sandbox", "--state", str(self.state), "--pace", self.pace]
        self._child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for line in self._child.stdout:
            if line.startswith("SANDBOX_CONTROL_URL="):
                break
        else:
            pytest.fail("the sandbox did not start")
        self.addresses = read_addresses(self.state)
        self.client = SandboxClient(self.addresses["SANDBOX_CONTROL_URL"])

    def end(self, number: int = signal.SIGTERM) -> int:
        os.kill(self._child.pid, number)
        self._child.stdout.close()
        self.client.close()
        return self._child.wait(10)


@pytest.fixture(scope="session")
def process(tmp_path_factory) -> Iterator[Process]:
    process = Process(tmp_path_factory.mktemp("sandbox"))
    yield process
    assert process.end() == 0


@pytest.fixture
def control(process) -> Iterator[SandboxClient]:
    yield process.client
    process.client.clear_faults()
    process.client.set_pace("instant")


@pytest.fixture
def addresses(process, control) -> dict[str, str]:
    return process.addresses


@pytest.fixture
def board(control) -> str:
    """The data source of a fresh board."""
    properties = board_properties(["Sea Stories"], ["Draft", "Queued", "Published"], ["High", "Normal", "Low"])
    return control.create_database("Videos", properties)[1]


def eventually(ask, seconds: float = 10.0):
    """The first true answer of `ask`, asked every 20 ms."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := ask():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"no answer within {seconds} s")
