"""The whole stack over the test's own database: sandbox vendors, web server and workers as real processes."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings

from config import settings as product
from config import supervisor as supervisor_module
from config.rehearsal import Rehearsal, prepare
from config.stack import Stack
from config.supervisor import Supervisor, free_port
from production import decisions, gates, workspace
from production.errors import Kind
from production.models import Take, Task
from production.stages import ERRORS, REVIEWS, Status
from tests.config.processes import database_url

LIMIT = 60  # seconds that one step of a journey may take on a busy machine; 10 s is long
QUICK = {
    "LEASE_SECONDS": "1",
    "SWEEP_SECONDS": "0.3",
    "ASK_SECONDS": "1",
    "RETRY_MINUTES": "0.02,0.02,0.02,0.02",
    "WORKERS": "2",
    "CPU_WORKERS": "1",
}


class Journey:
    """A running stack, a stage set for videos, and the moves of those who watch it."""

    def __init__(self, stack: Stack, rehearsal: Rehearsal) -> None:
        self.stack, self.rehearsal, self.sandbox = stack, rehearsal, rehearsal.sandbox

    def queue(self, title: str, **properties: str) -> str:
        return self.rehearsal.queue(title, f"Everything about {title}", **properties)

    def task(self, page_id: str) -> Task | None:
        return Task.objects.select_related("channel").filter(page_id=page_id).first()

    def operators_browser(self) -> requests.Session:
        """The operator's, logged in; a session of the database is one of the stack's web server too."""
        client = Client()
        client.force_login(self.rehearsal.operator)
        browser = requests.Session()
        browser.cookies.update({name: cookie.value for name, cookie in client.cookies.items()})
        return browser

    def watch(self, until: Callable[[], bool], what: str) -> None:
        """Let the stack run until something holds; fails with the state of things when it takes too long."""
        deadline = time.monotonic() + LIMIT

        def holds() -> bool:
            assert time.monotonic() < deadline, f"no {what} within {LIMIT} s: {self.state()}"
            return until()

        self.stack.supervisor.run(until=holds)

    def approving(self, page_id: str, until: Callable[[Task], bool]) -> Callable[[], bool]:
        """A reviewer who says yes at every open gate."""

        def look() -> bool:
            task = self.task(page_id)
            if task is None:
                return False
            gate = REVIEWS.get(Status(task.status))
            if gate and not until(task) and gates.is_gate_open(task, gate):
                decisions.approve(task, by="reviewer", user=self.rehearsal.operator)
            return until(task)

        return look

    def deciding(self, page_id: str, until: Callable[[Task], bool]) -> Callable[[], bool]:
        """A reviewer who also says "again" where an outcome can't be known."""
        approving = self.approving(page_id, until)

        def look() -> bool:
            task = self.task(page_id)
            if task and task.status in ERRORS:
                assert task.takes.filter(state=Take.State.FAILED, error_kind=Kind.UNKNOWN).exists(), self.state()
                decisions.retry(task, by="reviewer")
            return approving()

        return look

    def watch_to(self, page_id: str, *statuses: Status) -> Task:
        """To one of these statuses, and until Notion has heard of it."""
        what = " or ".join(status.label for status in statuses)
        self.watch(self.approving(page_id, lambda task: task.status in statuses), what)
        self.watch(lambda: (task := self.task(page_id)) is not None and self.is_told(task), f"{what} in Notion")
        task = self.task(page_id)
        assert task
        return task

    def is_told(self, task: Task) -> bool:
        """Whether Notion has heard of the task's present state and nobody is writing to it."""
        return task.tell_at is None and task.telling_until is None

    def is_up(self, cluster_name: str) -> bool:
        return self.stack.supervisor.children[cluster_name].process.poll() is None

    def kill_cluster(self, name: str) -> None:
        """SIGKILL a cluster that is up: command, sentinel, pool and all."""
        self.stack.supervisor.children[name].process.kill()

    def kill_script(self, take: Take) -> None:
        """SIGKILL the process group of the take's script; one that has ended by now is none any more."""
        with suppress(ProcessLookupError):
            os.killpg(int((workspace.run_folder(take) / "pid").read_text()), signal.SIGKILL)

    def state(self) -> str:
        tasks = [f"{task} {task.status}" for task in Task.objects.all()]
        takes = [f"{t.name} {t.state} {t.attempt} {t.error}" for t in Take.objects.exclude(state=Take.State.DONE)]
        return f"{tasks} {takes}"


@pytest.fixture
def journey(
    transactional_db: None, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Journey]]:
    """`journey(clips=2, **settings)` starts a stack; it is ended with the test, whatever happened.

    Only `pages=True` collects the static files, a second of work, without which no page of the admin can be shown.
    """
    monkeypatch.setattr(supervisor_module, "STEADY", 1.0)  # seconds: a test that kills often is not made to wait
    with Supervisor(tmp_path / "logs", grace=3, say=lambda line: None) as supervisor:

        def start(*, clips: int, pages: bool = False, **changed: str) -> Journey:
            shared = {name: os.environ[name] for name in ("SECRET_KEY", "ENCRYPTION_KEY")}
            stack = Stack(tmp_path, free_port(), supervisor, settings=shared | QUICK | changed)
            stack.start_sandbox()
            stack.find_settings(database_url())
            if pages:
                settings.STORAGES, settings.STATIC_ROOT = product.STORAGES, stack.environment["STATIC_ROOT"]
                call_command("collectstatic", verbosity=0, interactive=False)
            stack.serve()
            rehearsal = prepare(stack.control, stack.url, clips=clips, password="secret of the test")
            return Journey(stack, rehearsal)

        yield start
