"""Takes that stand in a lane's line."""

from collections import Counter

from channels_app.models import Channel
from production.models import Priority, Provider, Take, Task
from production.stages import Status
from tests.factories import make_take, make_task


def line_up(channel: Channel, count: int, kind: str = "image", priority: int = Priority.NORMAL) -> Task:
    stage = Status.GENERATING_VIDEO if kind == "clip" else Status.GENERATING_ASSETS
    task = make_task(stage, channel=channel, priority=priority)
    for position in range(1, count + 1):
        make_take(task, kind, position, state=Take.State.WAITING)
    return task


def by_channel(found: list[Take]) -> Counter[str]:
    return Counter(take.channel.name for take in found)


def images(**words: object) -> Provider:
    Provider.objects.filter(pk="images").update(**words)
    return Provider.objects.get(pk="images")
