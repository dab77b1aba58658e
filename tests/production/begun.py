"""Productions under way: their takes planned, one of them claimed."""

from django.db import transaction

from production import (
    dispatch,
    flow,
    lifecycle,
)
from production.models import Take, Task
from production.stages import Status
from tests.factories import (
    make_production,
)


def advanced(status: Status, **words: object) -> Task:
    """A production whose stage has planned its takes."""
    task = make_production(status, **words)
    with transaction.atomic():
        flow.advance(lifecycle.lock(task.pk))
    return task


def claimed(lane: str) -> Take:
    (take,) = dispatch.claim(lane, 1)
    return take
