"""Waits for what happens in another process or thread."""

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


def eventually(ask: Callable[[], Answer], seconds: float = 20.0) -> Answer:
    """The first true answer of `ask`, asked every 10 ms; 20 s is far above what anything takes on a busy machine."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain"
        time.sleep(0.01)
    return answer
