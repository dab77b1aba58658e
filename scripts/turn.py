"""Taking turns: heavy work of many processes at once, as much of it as the machine has cores."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

PAUSE = 0.1  # seconds between two tries


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Hold one of this machine's locks in the folder; the kernel drops it when this process dies, however it dies."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as files:
        paths = [folder / f"{socket.gethostname()}-{number}" for number in range(len(os.sched_getaffinity(0)))]
        locks = [files.enter_context(path.open("wb")) for path in paths]
        while not any(_is_free(lock.fileno()) for lock in locks):
            time.sleep(PAUSE)
        yield


def _is_free(descriptor: int) -> bool:
    """Locks it if so."""
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
