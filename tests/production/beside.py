"""The same done many times at once."""

import threading  # noqa: TID251 - callers beside each other
from collections.abc import Callable

from django.db import connection


def many(count: int, work: Callable[[], object]) -> list[object]:
    """The answers of `work`, called by so many threads at the same moment, each with its own connection."""
    begin, answers = threading.Barrier(count), []

    def one() -> None:
        try:
            begin.wait(30)
            answers.append(work())
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == count
    return answers
