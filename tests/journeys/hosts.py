"""Worker machines: each a network and a name of its own, joined to the database and the vendors by one cable.

A rehearsal has limits: the kernel, its process numbers and the disk are shared. So a dead process's number means the
same on both, and a script's lock is seen from both, as on a file system that machines share.
"""

import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from django.conf import settings

from config import devpg
from config.stack import ROOT, Stack
from config.supervisor import Supervisor, free_port
from sandbox.client import read_addresses


@dataclass
class Host:
    """The namespaces live as long as the process that holds them; the cable ends with them."""

    name: str
    number: int
    supervisor: Supervisor

    def start(self) -> None:
        """Plug it in."""
        keeper = self.supervisor.start(self.name, ["unshare", "--net", "--uts", "sleep", "infinity"], dict(os.environ))
        self.pid = keeper.process.pid
        self.supervisor.wait_ready(self.name, self._is_apart)
        with suppress(subprocess.CalledProcessError):  # of a host before: the kernel takes it away in its own time
            _run("ip", "link", "delete", self._cable)
        _run("ip", "link", "add", self._cable, "type", "veth", "peer", "name", "uplink", "netns", str(self.pid))
        _run("ip", "address", "add", f"{self.gateway}/30", "dev", self._cable)
        _run("ip", "link", "set", self._cable, "up")
        self.run("ip", "address", "add", f"{self._network}.{4 * self.number + 2}/30", "dev", "uplink")
        self.run("ip", "link", "set", "uplink", "up")
        self.run("ip", "link", "set", "lo", "up")
        self.run("hostname", self.name)
        self._namespace = _network_of(self.pid)

    @property
    def gateway(self) -> str:
        """Where the main network can be reached from the host."""
        return f"{self._network}.{4 * self.number + 1}"

    def unplug(self) -> None:
        _run("ip", "link", "set", self._cable, "down")

    def plug_in(self) -> None:
        _run("ip", "link", "set", self._cable, "up")

    def cut_power(self) -> None:
        """Everything on it is gone at once, scripts too."""
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if _network_of(process.pid) == self._namespace:
                    process.kill()

    def inside(self, argv: list[str]) -> list[str]:
        """The command that runs `argv` on this host."""
        return ["nsenter", "--target", str(self.pid), "--net", "--uts", *argv]

    def run(self, *argv: str) -> None:
        _run(*self.inside(list(argv)))

    @property
    def _network(self) -> str:
        """Another one for each test process."""
        return f"10.{100 + os.getpid() // 250 % 100}.{os.getpid() % 250}"

    @property
    def _cable(self) -> str:
        return f"cable{os.getpid() % 100_000}-{self.number}"  # 15 characters at most

    def _is_apart(self) -> bool:
        return _network_of(self.pid) != _network_of(os.getpid())


@dataclass
class TwoHosts(Stack):
    """The stack with its workers on machines of their own; PostgreSQL is theirs by TCP."""

    hosts: list[Host] = field(default_factory=list)

    def start_workers(self) -> None:
        self.hosts = [Host(f"host-{letter}", number, self.supervisor) for number, letter in enumerate("ab")]
        port = free_port()
        for host in self.hosts:
            host.start()
            self._join(host, port)
            self._start_workers_on(host, port)

    def lose(self, host: Host) -> None:
        """The host dies, and nobody starts it again."""
        names = [name for name in self.supervisor.children if name.startswith(host.name)]
        lost = [self.supervisor.children.pop(name) for name in names]
        host.cut_power()
        for child in lost:
            child.process.kill()  # its forwarder on this side
            child.process.wait()

    def _join(self, host: Host, port: int) -> None:
        """What listens on this machine's loopback listens on the host's: each byte takes the cable."""
        vendors = {urlsplit(address).port for address in read_addresses(self.folder / "sandbox").values()}
        server = devpg.socket_of(self.environment["DATABASE_URL"])
        near = [f"{host.gateway}:{vendor}=127.0.0.1:{vendor}" for vendor in vendors]
        far = [f"127.0.0.1:{each}={host.gateway}:{each}" for each in [*vendors, port]]
        forward = [sys.executable, "-m", "tests.journeys.forward"]
        here = [*forward, f"{host.gateway}:{port}={server}", *near]
        self.supervisor.start(f"{host.name}-near", here, self.environment, folder=ROOT)
        self.supervisor.start(f"{host.name}-far", host.inside([*forward, *far]), self.environment, folder=ROOT)

    def _start_workers_on(self, host: Host, port: int) -> None:
        name = urlsplit(self.environment["DATABASE_URL"]).path
        database = f"postgres://app@127.0.0.1:{port}{name}?sslmode=disable"
        for cluster in settings.CLUSTERS:
            argv = host.inside([sys.executable, "manage.py", "worker", "--cluster", cluster])
            own = {"DATABASE_URL": database, "Q_CLUSTER_NAME": cluster}
            self.supervisor.start(f"{host.name}-{cluster}", argv, self.environment | own, folder=ROOT)


def _network_of(pid: int) -> Path:
    return Path(f"/proc/{pid}/ns/net").readlink()


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)
