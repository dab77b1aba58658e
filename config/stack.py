"""The whole system on one machine: database, sandbox vendors, web server and both worker clusters.

`make demo`, `make run` and the journey tests are this stack, each in a folder of its own.
"""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import django
from django.conf import settings
from django.core.checks import run_checks
from django.core.management import call_command

from config import devpg, environment
from config.supervisor import StartError, Supervisor
from sandbox.client import SandboxClient, read_addresses

ROOT = Path(__file__).resolve().parent.parent
WEB = "web"


@dataclass
class Stack:
    """Where it lives, on which port it serves, and what differs from the defaults. Started in steps by `start`."""

    folder: Path
    port: int
    supervisor: Supervisor
    durable: bool = True
    pace: str = "fast"
    settings: dict[str, str] = field(default_factory=dict)
    dotenv: Path | None = None
    real: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def control(self) -> SandboxClient:
        return SandboxClient(read_addresses(self.folder / "sandbox")["SANDBOX_CONTROL_URL"])

    def start(self) -> None:
        """Everything up and ready; this process has the stack's settings and database afterwards. Errors: StartError,
        PostgresError, each one line that says what and what to do."""
        self.begin()
        _check()
        self.migrate()
        self.serve()

    def begin(self) -> None:
        """Database and vendors; then Django, in this process, with their addresses."""
        database = devpg.ensure(self.folder / "pg", durable=self.durable)
        self.start_sandbox()
        self.find_settings(database)
        os.environ.clear()
        os.environ.update(self.environment | {"LOG_LEVEL": "WARNING"})  # a terminal is no log
        django.setup()

    def find_settings(self, database: str) -> None:
        """What every process of the stack is told: the sandbox's addresses, or the vendor's own where a key is real."""
        addresses = read_addresses(self.folder / "sandbox")
        self.environment = environment.rehearsal(addresses, **self._own_settings(database))
        if self.dotenv:
            self.environment, self.real = environment.with_real_keys(self.environment, self.dotenv)

    def start_sandbox(self) -> None:
        state = self.folder / "sandbox"
        (state / "addresses.json").unlink(missing_ok=True)
        argv = [sys.executable, "-m", "sandbox", "--state", str(state), "--pace", self.pace]
        self.supervisor.start("sandbox", argv, environment.harmless(), folder=ROOT)
        self.supervisor.wait_ready("sandbox", (state / "addresses.json").exists)

    def migrate(self) -> None:
        call_command("migrate", verbosity=0)
        call_command("collectstatic", verbosity=0, interactive=False)

    def serve(self) -> None:
        """The web server and the workers, each restarted when it dies."""
        self.start_web()
        self.start_workers()
        self.supervisor.wait_ready(WEB, f"{self.url}/ready", seconds=60)

    def start_web(self) -> None:
        self.supervisor.start(WEB, gunicorn("config.wsgi", self.port), self.environment, folder=ROOT)

    def start_workers(self) -> None:
        for name in settings.CLUSTERS:
            argv = [sys.executable, "manage.py", "worker", "--cluster", name]
            self.supervisor.start(name, argv, self.environment | {"Q_CLUSTER_NAME": name}, folder=ROOT)

    def _own_settings(self, database: str) -> dict[str, str]:
        return {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DATABASE_URL": database,
            "PUBLIC_URL": self.url,
            "WORKSPACE_ROOT": str(self.folder / "workspaces"),
            "STATIC_ROOT": str(self.folder / "static"),
            "UNDO_SECONDS": "0",
            "ASK_SECONDS": "2",
            **self.settings,
        }


def gunicorn(application: str, port: int) -> list[str]:
    """The command of a web server. Eight threads: a player that loads a film holds one for as long as it does."""
    bind = ["--bind", f"127.0.0.1:{port}"]
    return [sys.executable, "-m", "gunicorn", *bind, "--workers", "2", "--threads", "8", "--preload", application]


def _check() -> None:
    """Errors: StartError with the first thing that is missing (ffmpeg, a script) and its remedy."""
    for found in run_checks():
        if found.is_serious():
            raise StartError(f"{found.msg} {found.hint or ''} ({found.id})")
