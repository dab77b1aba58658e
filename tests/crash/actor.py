"""What a process of ours does in one act, and what the people and the clock do between acts. Forked from a process in
which Django is set up already, so that a fresh one costs a few milliseconds."""

import json
import os
import random
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pgtrigger
from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.utils.module_loading import import_string
from django_q.brokers import get_broker
from django_q.signing import SignedPackage

from config import rehearsal
from production import decisions, gates, sweep
from production.models import LIVE, Job, LedgerEntry, NotionEvent, Task
from production.stages import ERRORS, REVIEWS, Status
from sandbox.client import SandboxClient
from tests.chaos import books
from tests.chaos.scene import Scene
from tests.crash import letters
from tests.waiting import eventually

ROUNDS = 40  # of jobs, sweep and waiting after which something is stuck
PASSES = 600  # seconds; longer than any lease and the first pauses before another try

# What "time has passed" means to rows: everything they remember is longer ago.
TIMES = """
SELECT table_name, string_agg(format('%%1$I = %%1$I - make_interval(secs => %%2$s)', column_name, %s::int), ', ')
FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND data_type = 'timestamp with time zone'
    AND (table_name LIKE 'production%%' OR table_name LIKE 'publishing%%')
GROUP BY table_name
"""


def act(name: str, folder: Path, answer: Path | None = None) -> None:
    """Play one act in a process that may be killed in it; what it finds out is written to `answer`."""
    with (folder / "actors.log").open("a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    said = ACTS[name](folder)
    if answer:
        fresh = answer.with_suffix(".new")
        fresh.write_text(json.dumps(said))
        fresh.replace(answer)
    connection.close()


# ---------------------------------------------------------------- acts of ours


def take_letter(folder: Path) -> bool:
    """The web server takes the oldest letter; one that it has not answered stays, and is sent again."""
    letter = letters.waiting(folder)[0]
    path, headers, body = letters.read(letter)
    answer = Client(headers=headers).post(path, body, content_type="application/json", SERVER_NAME="localhost")
    assert answer.status_code < 300, (path, answer.content)
    letter.unlink()
    return True


def take_job(folder: Path) -> bool:
    """A worker takes the oldest job in line, does it, and says that it is done."""
    name = Job.objects.order_by("pk").values_list("cluster", flat=True).first()
    return name is not None and _work(name)


def _work(cluster: str) -> bool:
    line = get_broker(cluster)
    taken = line.dequeue() or line.dequeue()  # a session's first look may only have put back what a dead one held
    for delivery, package in taken:
        job = SignedPackage.loads(package)
        import_string(job["func"])(*job["args"])
        line.acknowledge(delivery)
    return bool(taken)


def sweep_once(folder: Path) -> bool:
    """Whether there is something to do after it."""
    sweep.beat("crash", settings.CLUSTERS[0])
    eventually(sweep.tick)  # a dead one's session may hold the lock for a moment yet
    return Job.objects.exists()


def approve(folder: Path) -> None:
    decisions.approve(_task(), by="reviewer")


# ---------------------------------------------------------------- between acts


def migrate(folder: Path) -> None:
    call_command("migrate", verbosity=0)


def set_up(folder: Path) -> str:
    """Channel, board and one row of it, which is to be a video. Returns the row's page id."""
    stage = rehearsal.prepare(_sandbox(), settings.PUBLIC_URL, clips=1, password="crash")
    return stage.queue("The lamp that would not go out", "A lamp and its keeper")


def has_job(folder: Path) -> bool:
    return Job.objects.exists()


def pass_time(folder: Path) -> None:
    """Also for rows that nobody may change: time passes for evidence, too."""
    with transaction.atomic(), pgtrigger.ignore(), connection.cursor() as cursor:
        cursor.execute(TIMES, [PASSES])
        for table, changes in cursor.fetchall():
            cursor.execute(f"UPDATE {table} SET {changes}")


def is_at_rest(folder: Path) -> bool:
    """Nothing moves by itself any more: the video waits for a person, or is published, and Notion knows."""
    task = Task.objects.first()
    return bool(
        task
        and not task.takes.filter(state__in=LIVE).exists()
        and task.tell_at is None
        and task.telling_until is None
        and not NotionEvent.objects.filter(state=NotionEvent.State.PENDING).exists()
        and not Job.objects.exists()
        and (task.status == Status.PUBLISHED or task.status in ERRORS or _is_asked(task))
    )


def recover(folder: Path) -> dict[str, Any]:
    """Everything of ours is started again and goes on until it is at rest. Returns the outcome."""
    person: Counter[str] = Counter()
    rounds = 0
    while rounds < ROUNDS:
        _go_on(folder)
        task = Task.objects.first()
        if task and task.status in ERRORS:
            decisions.retry(task, by="reviewer")
            person[task.status] += 1
        elif is_at_rest(folder):
            break
        else:
            pass_time(folder)
        rounds += 1
    return outcome(folder) | {"at_rest": is_at_rest(folder), "rounds": rounds, "person": dict(person)}


def _go_on(folder: Path) -> None:
    """All that is to do now, in the order in which it came."""
    busy = True
    while busy:
        settled(folder)
        busy = False
        for _ in letters.waiting(folder):
            busy = take_letter(folder)
        while take_job(folder):
            busy = True
        busy |= sweep_once(folder)


def outcome(folder: Path) -> dict[str, Any]:
    """What one can see of it: the rows, the vendors' books, the row in Notion."""
    task = _task()
    scene = Scene(None, [], random.Random(0), wanted=1, pages={task.page_id: 0.0})  # type: ignore[arg-type] # counts only
    page = _sandbox().page(task.page_id)
    return {
        "status": task.status,
        "moves": [change.after for change in task.changes.order_by("pk") if change.before != change.after],
        "selected": [list(piece) for piece in sorted(task.takes.filter(selected=True).values_list("kind", "position"))],
        "unfinished": [list(take) for take in sorted(task.takes.exclude(state="done").values_list("kind", "state"))],
        "notion": [page["properties"]["Status"], page["properties"]["YouTube URL"] == (task.youtube_url or None)],
        "history": [f"{change.after}: {change.reason}" for change in task.changes.order_by("pk")],
        "ledger": [
            f"{line.take.name} {line.attempt} {line.state} {line.counts} {line.note}"
            for line in LedgerEntry.objects.select_related("take").order_by("pk")
        ],
        "films": len(_sandbox().videos()),
        **books.count(scene, _sandbox()),
    }


def settled(folder: Path) -> None:
    """The vendors have nothing left to do or to deliver."""
    with closing(sqlite3.connect(folder / "sandbox/books.sqlite3", timeout=10)) as kept:
        eventually(lambda: not kept.execute("SELECT count(*) FROM documents WHERE kind = 'errand'").fetchone()[0])


def _task() -> Task:
    return Task.objects.select_related("channel").get()


def _is_asked(task: Task) -> bool:
    gate = REVIEWS.get(Status(task.status))
    return gate is not None and gates.is_gate_open(task, gate)


def _sandbox() -> SandboxClient:
    return SandboxClient(os.environ["SANDBOX_CONTROL_URL"])


ACTS = {
    act.__name__: act
    for act in (
        migrate, set_up, take_letter, take_job, sweep_once, approve,
        has_job, is_at_rest, pass_time, settled, recover, outcome,
    )
}  # fmt: skip
