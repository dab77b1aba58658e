"""The sandbox as a process that tests start, kill and fill with boards."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.client import SandboxClient, board_properties, read_addresses
from tests import ROOT

KEY = "sandbox-key"
LABELS = [
    "Draft",
    "Queued",
    "Generating Assets",
    "Assets Ready",
    "Assets Approved",
    "Final Review",
    "Published",
    "Asset Error",
]


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


def make_board(client: SandboxClient, *channels: str) -> str:
    """The data source of a fresh board."""
    return client.create_database("Videos", board_properties(list(channels), LABELS, ["High", "Normal", "Low"]))[1]
