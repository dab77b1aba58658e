"""How long a stage usually takes, and which tasks take far longer. Learned from the history, never set by hand."""

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from production.models import Task, UsualTime
from production.stages import RUNNING, Status

TIMES = 3  # as long as usual: stuck
LEAST = dt.timedelta(minutes=10)  # never before: a short stage may meet one back-off
NEWEST = 100  # passes a stage is judged by
ENOUGH = 5  # passes before there is a usual time
PEOPLE = (
    dt.timedelta(hours=4),
    dt.timedelta(days=1),
)  # a person is asked: late, then stuck; they sleep and have weekends
LEARN_EVERY = dt.timedelta(minutes=10)

# From the last start of a stage to its end. Both stand in the history, also where a retry lay between.
LEARN = """
INSERT INTO production_usualtime (stage, seconds, sample, learned)
SELECT stage, percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds), count(*), %(now)s
FROM (
    SELECT ended.stage, extract(epoch FROM ended.at - began.at) AS seconds,
        row_number() OVER (PARTITION BY ended.stage ORDER BY ended.id DESC) AS age
    FROM production_statuschange AS ended
    JOIN LATERAL (
        SELECT at FROM production_statuschange
        WHERE task_id = ended.task_id AND stage = ended.stage AND verb = 'start' AND id < ended.id
        ORDER BY id DESC LIMIT 1
    ) AS began ON true
    WHERE ended.id IN (SELECT id FROM production_statuschange WHERE verb = 'finish' ORDER BY id DESC LIMIT 1000)
) AS passes
WHERE age <= %(newest)s
GROUP BY stage HAVING count(*) >= %(enough)s
ON CONFLICT (stage) DO UPDATE
SET seconds = excluded.seconds, sample = excluded.sample, learned = excluded.learned
"""


def learn() -> None:
    """Look at the history again, where that is due."""
    now = timezone.now()
    if not UsualTime.objects.filter(learned__gt=now - LEARN_EVERY).exists():
        with connection.cursor() as cursor:
            cursor.execute(LEARN, {"now": now, "newest": NEWEST, "enough": ENOUGH})


def limits() -> dict[str, dt.timedelta]:
    """After which time a running stage counts as stuck, by stage; none where nothing is learned yet."""
    found = UsualTime.objects.values_list("stage", "seconds")
    return {stage: max(LEAST, dt.timedelta(seconds=TIMES * seconds)) for stage, seconds in found}


class Pace(StrEnum):
    """Whether a task is in its status for as long as one would expect."""

    CALM = "calm"
    LATE = "late"
    STUCK = "stuck"


def pace(status: Status, stays: dt.timedelta, *, asks: bool, limits: Mapping[str, dt.timedelta]) -> Pace:
    """At work: late from half of its stage's limit on. Where a person is asked: by PEOPLE. In line: always calm, its
    place there says more than its time."""
    stage = RUNNING.get(status)
    limit = limits.get(stage.name) if stage else None
    late, stuck = (limit / 2, limit) if limit else PEOPLE if asks else (dt.timedelta.max, dt.timedelta.max)
    return Pace.STUCK if stays >= stuck else Pace.LATE if stays >= late else Pace.CALM


def newly_stuck() -> list[QuerySet[Task]]:
    """Tasks at work for longer than their stage's limit that are not flagged yet, by stage."""
    now, after = timezone.now(), limits()
    running = {status: after[stage.name] for status, stage in RUNNING.items() if stage.name in after}
    return [
        Task.objects.filter(status=status, status_since__lte=now - limit, stuck_since=None, paused=False)
        for status, limit in running.items()
    ]
