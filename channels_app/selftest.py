"""Is the channel ready? Named checks, each asked of the world when somebody wants to know, its last answer kept.

The apps above register theirs when they are ready. A check costs nothing, is bounded in time by its own requests, and
runs in no transaction. They run one after the other in one job of the cluster whose workers may be held: a request
that waited for eight vendors would keep the webhook from its worker.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.db import OperationalError, transaction
from django.utils import timezone
from django_q.tasks import async_task

from channels_app.models import Channel, CheckResult

log = structlog.get_logger(__name__)
Level = CheckResult.Level
JOB = "channels_app.selftest.answer"
PATIENCE = dt.timedelta(minutes=6)  # all checks at their slowest; after it a question counts as lost
LATE = dt.timedelta(seconds=20)  # without any answer: the page asks whether a worker is alive


@dataclass(frozen=True)
class Finding:
    """What a check found, in words, and what to do about it where it is not a pass."""

    level: str
    found: str
    remedy: str = ""


Check = Callable[[Channel], Finding]
CHECKS: dict[str, tuple[str, Check]] = {}  # by name: its title and what looks; in the order in which they are shown


def register(name: str, title: str) -> Callable[[Check], Check]:
    def keep(check: Check) -> Check:
        CHECKS[name] = (title, check)
        return check

    return keep


@dataclass(frozen=True)
class Line:
    """A check as people see it: its last result, and whether a newer one is on its way (or was, and got lost)."""

    title: str
    result: CheckResult

    @property
    def is_waiting(self) -> bool:
        return self.result.asked is not None and not self.is_lost

    @property
    def is_lost(self) -> bool:
        return self.is_older(PATIENCE)

    def is_older(self, age: dt.timedelta) -> bool:
        return self.result.asked is not None and self.result.asked < timezone.now() - age


def lines(channel: Channel) -> list[Line]:
    """Every check there is, with what is known of this channel. One query."""
    known = {result.name: result for result in channel.checks.all()}
    return [
        Line(title, known.get(name) or CheckResult(channel=channel, name=name)) for name, (title, _) in CHECKS.items()
    ]


def is_silent(lines: list[Line]) -> bool:
    """Whether everything was asked a while ago and nothing has been answered: no worker, or all are busy."""
    return bool(lines) and all(line.is_older(LATE) for line in lines)


@transaction.atomic
def ask(channel: Channel) -> None:
    """All checks are wanted anew; a worker answers them."""
    now = timezone.now()
    rows = [CheckResult(channel=channel, name=name, asked=now) for name in CHECKS]
    CheckResult.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["channel", "name"], update_fields=["asked"]
    )
    ring = {"cluster": settings.CLUSTERS[-1], "save": False}
    transaction.on_commit(lambda: async_task(JOB, channel.pk, **ring))


def answer(channel_id: int) -> None:
    """The job: what is still asked. A doubled ring finds nothing."""
    wanted = CheckResult.objects.filter(channel=channel_id, asked__isnull=False)
    channel = Channel.objects.filter(pk=channel_id).first()
    names = set(wanted.values_list("name", flat=True))
    for name in [name for name in CHECKS if name in names]:
        if channel and wanted.filter(name=name).exists():
            look(channel, name)


def run(channel: Channel) -> Iterator[Line]:
    """Look at everything now, telling each result as it comes."""
    for name, (title, _) in CHECKS.items():
        yield Line(title, look(channel, name))


def look(channel: Channel, name: str) -> CheckResult:
    """Make the check and keep its result. A question that is younger than this look stays open."""
    began, finding = timezone.now(), _find(channel, name)
    words = {"found": finding.found[:300], "remedy": finding.remedy[:300], "level": finding.level}
    result, _ = CheckResult.objects.update_or_create(
        channel=channel, name=name, defaults=words | {"at": timezone.now()}
    )
    CheckResult.objects.filter(pk=result.pk, asked__lte=began).update(asked=None)
    return result


def _find(channel: Channel, name: str) -> Finding:
    """One that breaks is its own trouble: the others are still made."""
    try:
        return CHECKS[name][1](channel)
    except OperationalError:
        raise
    except Exception as error:
        log.exception("selftest_check_broke", check=name, channel=channel.slug)
        return Finding(Level.FAIL, f"The check itself broke: {type(error).__name__}", "Look into the log.")
