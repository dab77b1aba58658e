"""How far a long command is: one line that is written over, for who looks on; none where the output is a file."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from django.core.management.base import OutputWrapper

Item = TypeVar("Item")
WIDTH = 30  # characters of the bar


def shown(items: Iterable[Item], out: OutputWrapper, total: int | None = None) -> Iterator[Item]:
    """The items, one by one; the line says how many of `total` are done."""
    done = 0
    for done, item in enumerate(items, 1):
        yield item
        if out.isatty():
            filled = WIDTH * done // total if total else 0
            bar = f"[{'#' * filled}{'.' * (WIDTH - filled)}] " if total else ""
            out.write(f"\r{bar}{done}{f' of {total}' if total else ''}", ending="")
    if done and out.isatty():
        out.write("")
