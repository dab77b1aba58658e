"""`make run` as a person uses it: read the password, log in, find something to decide, Ctrl-C."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from config import devpg
from config.environment import harmless
from config.supervisor import free_port
from production.stages import Status
from tests.config.processes import ROOT, alive_with, wait_until

pytestmark = pytest.mark.journey
LIMIT = 120.0  # seconds until all three examples stand; 20 s is long


@pytest.fixture
def run(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`make run` in a folder of its own, its words in `said`; without anybody's `.env`."""
    where = ["--port", str(free_port()), "--folder", tmp_path / "run", "--env-file", tmp_path / "none"]
    argv = [sys.executable, "-m", "config.run", *where]
    with (tmp_path / "said").open("wb") as said:
        run = subprocess.Popen(argv, cwd=ROOT, env=harmless(), stdout=said, stderr=subprocess.STDOUT)
    yield run
    run.terminate()
    run.wait()
    devpg.stop(tmp_path / "run/pg")


def test_run_offers_two_videos_at_gates_and_one_in_error(run: subprocess.Popen[bytes], tmp_path: Path) -> None:
    said = tmp_path / "said"
    wait_until(lambda: "Ctrl-C ends it." in said.read_text() or run.poll() is not None, LIMIT)
    assert run.poll() is None, said.read_text()
    told = dict(re.findall(r"^(Admin|User|Password|Real vendors) +(.+)$", said.read_text(), re.MULTILINE))
    assert told["Real vendors"].startswith("none")
    assert sorted(_statuses(told)) == [Status.ASSET_ERROR.label, Status.ASSETS_READY.label, Status.VIDEO_READY.label]

    started = psutil.Process(run.pid).children(recursive=True)
    assert len(started) > 10  # sandbox, web server, two clusters with their pools
    run.send_signal(signal.SIGINT)
    assert run.wait(LIMIT) == 0
    assert "goes on with the next make run" in said.read_text()
    assert [process for process in started if process.is_running()] == []
    assert alive_with(tmp_path) == []


def _statuses(told: dict[str, str]) -> list[str]:
    """Log in with what was printed, as a browser does, and read the list of tasks."""
    with requests.Session() as browser:
        browser.trust_env = False  # loopback is asked past every proxy
        form = browser.get(f"{told['Admin']}login/")
        words = {"username": told["User"], "password": told["Password"]}
        token = {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        browser.post(form.url, words | token).raise_for_status()
        page = browser.get(f"{told['Admin']}production/task/").text
    cells = re.findall(r'<td class="field-state.*?</td>', page, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in cells]
