"""What the tests of processes share."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from django.db import connection

ROOT = Path(__file__).parents[2]
LIMIT = 20.0  # seconds; far above what anything here takes, even on a busy machine


def wait_until(holds: Callable[[], object], limit: float = LIMIT) -> None:
    deadline = time.monotonic() + limit
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Run a program that speaks and listens on its pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def alive_with(word: object) -> list[psutil.Process]:
    """Every living process on this machine that has `word` in its command line."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE and str(word) in " ".join(process.info["cmdline"] or ())
    ]


def database_url() -> str:
    """The DATABASE_URL of a process that is to see the rows of this test."""
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
