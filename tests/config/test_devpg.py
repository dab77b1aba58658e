"""The server that needs no set-up: started, shared, recovered, and gone when nobody needs it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import environ
import psutil
import psycopg
import pytest

from config import devpg
from tests import ROOT
from tests.config.processes import alive_with, python
from tests.waiting import eventually

USER = """
import sys
from pathlib import Path
from config import devpg
print(devpg.ensure(Path(sys.argv[1]), "app", durable=False), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished, stopped database: making one takes longer than all else here."""
    folder = tmp_path_factory.mktemp("made") / "post gres"
    devpg.ensure(folder, durable=False)
    devpg.stop(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "post gres"
    shutil.copytree(made, folder)
    if os.geteuid() == 0:
        for path in [*folder.glob("data-*"), *folder.glob("data-*/**/*")]:
            shutil.chown(path, "nobody")
    yield folder
    devpg.stop(folder)
    assert not alive_with(folder)


def one(address: str, query: str) -> object:
    with psycopg.connect(address, autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchone()[0] if cursor.description else None


def postmaster(folder: Path) -> psutil.Process:
    _, server = (folder / "server.lock").read_text().split()
    return psutil.Process(int(server))


def test_ensure_gives_an_address_libpq_and_django_read(folder: Path) -> None:
    address = devpg.ensure(folder, "shop", durable=False)
    assert one(address, "SELECT current_database()") == "shop"
    assert one(address, "SELECT lower('ÄÖÜ') COLLATE \"default\"") == "äöü"
    settings = environ.Env.db_url_config(address)
    assert settings["NAME"] == "shop"
    assert settings["OPTIONS"]["host"] == str(devpg._sockets(folder))


def test_ensure_from_many_processes_at_once_starts_one_server(folder: Path) -> None:
    users = [python(USER, folder) for _ in range(5)]
    addresses = {user.stdout.readline().strip() for user in users}
    pids = {one(addresses.copy().pop(), "SELECT pg_postmaster_start_time()::text") for _ in users}
    assert len(addresses) == len(pids) == 1
    for user in users:
        user.communicate("")
    eventually(lambda: not alive_with(folder))


def test_server_stops_when_the_last_user_is_killed(folder: Path) -> None:
    first, second = python(USER, folder), python(USER, folder)
    address = first.stdout.readline().strip()
    second.stdout.readline()
    first.kill()
    first.communicate()
    assert one(address, "SELECT 1") == 1
    second.kill()
    second.communicate()
    eventually(lambda: not alive_with(folder))
    assert not devpg._sockets(folder).exists()


def test_ensure_after_the_server_was_killed_recovers(folder: Path) -> None:
    address = devpg.ensure(folder)
    one(address, "CREATE TABLE kept AS SELECT 7 AS n")
    postmaster(folder).kill()
    assert devpg.ensure(folder) == address
    assert one(address, "SELECT n FROM kept") == 7


def test_ensure_after_the_keeper_was_killed_starts_anew(folder: Path) -> None:
    address = devpg.ensure(folder)
    one(address, "CREATE TABLE kept AS SELECT 7 AS n")
    server = postmaster(folder)
    server.parent().kill()
    server.wait()
    assert one(devpg.ensure(folder), "SELECT n FROM kept") == 7
    assert len([p for p in alive_with(folder) if devpg.is_keeper(p.cmdline())]) == 1


def test_ensure_after_a_power_cut_ignores_the_stale_pid_file(folder: Path) -> None:
    (data,) = folder.glob("data-*")
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n0\n5432\n/tmp\n\n")
    assert one(devpg.ensure(folder, durable=False), "SELECT 1") == 1


def test_release_by_the_last_user_waits_until_nothing_is_left(folder: Path) -> None:
    devpg.ensure(folder, durable=False)
    devpg.release(folder)
    assert not alive_with(folder)


def test_release_leaves_the_server_to_others(folder: Path) -> None:
    other = python(USER, folder)
    address = other.stdout.readline().strip()
    devpg.ensure(folder)
    devpg.release(folder)
    assert one(address, "SELECT 1") == 1
    other.communicate("")


def test_stop_ends_the_server_under_its_users(folder: Path) -> None:
    other = python(USER, folder)
    other.stdout.readline()
    devpg.stop(folder)
    assert [process.pid for process in alive_with(folder)] == [other.pid]
    other.communicate("")


def test_stop_without_a_server_does_nothing(tmp_path: Path) -> None:
    devpg.stop(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_url_command_leaves_the_server_up_until_stop(folder: Path) -> None:
    def call(action: str) -> str:
        command = [sys.executable, "-m", "config.devpg", action, "--folder", folder]
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout.strip()

    assert one(call("url"), "SELECT 1") == 1
    call("stop")
    assert not alive_with(folder)


def test_ensure_without_binaries_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devpg.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(devpg, "SYSTEM", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(devpg.PostgresError, match=r"^PostgreSQL is missing: install .* or set DATABASE_URL$"):
        devpg.ensure(tmp_path / "pg")


def test_ensure_with_a_spoilt_cluster_quotes_the_server(folder: Path) -> None:
    (data,) = folder.glob("data-*")
    (data / "postgresql.conf").write_text("max_connections = many\n")
    with pytest.raises(devpg.PostgresError, match=r"^PostgreSQL does not start: .*config.*\(see .*server.log\)$"):
        devpg.ensure(folder)


def test_ensure_with_a_failing_initdb_quotes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devpg, "_as_server", lambda: ["sh", "-c", "echo disk full >&2; exit 3"])
    with pytest.raises(devpg.PostgresError, match=r"^sh failed \(3\): disk full$"):
        devpg.ensure(tmp_path / "pg")


def test_ensure_without_the_wheel_uses_the_system_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devpg, "SYSTEM", (str(devpg._binaries()),))
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setattr(devpg.importlib.util, "find_spec", lambda name: None)
    address = devpg.ensure(tmp_path, durable=False)
    assert one(address, "SELECT 1") == 1
    devpg.release(tmp_path)


def test_server_serves_many_connections_of_several_processes(folder: Path) -> None:
    users = [python(USER, folder) for _ in range(2)]
    addresses = [user.stdout.readline().strip() for user in users]
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda address: one(address, "SELECT 1"), addresses * 20)) == {1}
    for user in users:
        user.send_signal(signal.SIGTERM)
        user.communicate()
