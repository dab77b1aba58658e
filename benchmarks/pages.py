"""How long the server takes for the review page and the board with 100,000 tasks and 1,800,000 takes, as many ledger
lines and a million lines of history. The peer is Django's own changelist of the same tasks, in the same process.

A request goes through everything but the network: middleware, session, user, permissions, queries, template. The board
is read anew each time (what is kept for others who have it open is thrown away), and asked for once more as an open
board asks while nothing is new.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.bench import Bench
from benchmarks.figures import Figure, lower_is_better, percentile

if TYPE_CHECKING:
    from django.test import Client

PEER = "Django's stock changelist of the same tasks"
AIM = "300 ms"
CLIPS, IMAGES = 18, 22
LOOKED_AT = 20  # tasks whose review is opened in turn


def measure(bench: Bench) -> list[Figure]:
    bench.set_up_django(bench.database("pages"))
    takes, pieces = bench.amount(1_800_000, 3600), CLIPS
    from benchmarks.rows import Rows  # only now is Django set up

    rows = Rows()
    rows.add_finished(takes, pieces)
    rows.add_in_every_status(bench.amount(200, 20), IMAGES)
    _plan()
    rows.add_books()
    rounds = bench.amount(200, 3)
    with _served():
        times = {name: _times(ask, rounds) for name, ask in _asks().items()}
    with _served(stock=True):
        peer = percentile(_times(_ask_stock(), rounds), 0.95)
    return [*_figures(times, peer, takes // pieces, takes)]


def _figures(times: dict[str, list[float]], peer: float, tasks: int, takes: int) -> Iterator[Figure]:
    for name, milliseconds in times.items():
        told = {f"p{part * 100:g}_ms": percentile(milliseconds, part) for part in (0.5, 0.95, 0.99)}
        unit = f"ms of server time, p95, with {tasks:,} tasks and {takes:,} takes"
        yield lower_is_better(f"page_{name}", unit, told["p95_ms"], peer, peer=PEER, aim=AIM, times=told)


def _times(ask: Callable[[], None], rounds: int) -> list[float]:
    """Milliseconds of each request but the first, which reads templates and plans queries."""
    ask()
    return [_timed(ask) for _ in range(rounds)]


def _timed(ask: Callable[[], None]) -> float:
    began = time.perf_counter()
    ask()
    return (time.perf_counter() - began) * 1000


def _plan() -> None:
    """Clips and images of the tasks whose review is looked at."""
    from production.models import Asset, Clip, Task
    from production.stages import Status

    for task in Task.objects.filter(status=Status.ASSETS_READY)[:LOOKED_AT]:
        images = Asset.objects.bulk_create(
            Asset(task=task, number=number, key=f"image-{number}", kind=Asset.Kind.PROP, prompt="A brass lantern. " * 9)
            for number in range(1, IMAGES + 1)
        )
        Clip.objects.bulk_create(
            Clip(
                task=task,
                number=number,
                narration="Below the ice the water stands still. " * 4,
                motion_prompt="She lifts the lantern. " * 9,
                sound_prompt="Water dripping in a cave. " * 3,
                character=images[0],
                environment=images[1],
            )
            for number in range(1, CLIPS + 1)
        )


@contextmanager
def _served(*, stock: bool = False) -> Iterator[None]:
    """With static files as they lie, which nobody has collected; `stock`: Django's admin with templates of its own."""
    from django.conf import settings
    from django.contrib import admin
    from django.test import override_settings

    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    storages, templates = settings.STORAGES | {"staticfiles": plain}, settings.TEMPLATES
    if stock:
        templates = [templates[0] | {"DIRS": [Path(admin.__file__).parent / "templates"]}]
    with override_settings(ROOT_URLCONF="benchmarks.stock", STORAGES=storages, TEMPLATES=templates):
        yield


def _ask_stock() -> Callable[[], None]:
    client = _client()
    return lambda: _get(client, "/stock/production/task/")


def _client() -> "Client":
    """Logged in as who may see everything."""
    from django.contrib.auth import get_user_model
    from django.test import Client

    client = Client(SERVER_NAME="localhost")
    client.force_login(get_user_model().objects.get_or_create(username="bench", is_superuser=True, is_staff=True)[0])
    return client


def _get(client: "Client", url: str) -> None:
    reply = client.get(url)
    assert reply.status_code == 200, (url, reply.status_code)


def _asks() -> dict[str, Callable[[], None]]:
    """What a person or an open page asks for; each fails on anything but what it is meant to be answered with."""
    from django.core.cache import cache
    from django.urls import reverse

    from production.models import Task
    from production.stages import Status

    client, etags = _client(), ['"none"']
    tasks = cycle(Task.objects.filter(status=Status.ASSETS_READY).values_list("pk", flat=True)[:LOOKED_AT])
    columns = reverse("admin:production_task_columns")

    def board() -> None:
        cache.clear()
        _get(client, reverse("admin:production_task_board"))

    def unchanged() -> None:
        """As an open board asks; with a new minute it is sent once more."""
        reply = client.get(columns, headers={"If-None-Match": etags[-1]})
        etags.append(reply["ETag"])

    return {
        "review": lambda: _get(client, reverse("admin:production_task_review", args=[next(tasks)])),
        "board": board,
        "board_unchanged": unchanged,
        "task_list": lambda: _get(client, reverse("admin:production_task_changelist")),
        "overview": lambda: _get(client, reverse("admin:index")),
    }
