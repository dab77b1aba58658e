"""The safety net, run by the worker command's own timer every two seconds: it rings again what a lost ring left lying.

One process at a time does it; doing it twice would change nothing. Its turn is a lease in a row, no lock of a session:
behind a pooler a session's lock stays with whichever connection came along.
"""

import datetime as dt
from collections.abc import Callable

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from channels_app.models import Channel
from production import (
    alerts,
    board,
    budget,
    dispatch,
    explain,
    flow,
    holders,
    intake,
    letters,
    outbox,
    reception,
    reconcile,
    settling,
    sharing,
    usual,
    workspace,
)
from production.broker import forget_stale, in_line, ring
from production.errors import apart
from production.models import LIVE, SWEEP, Heartbeat, Presence, Provider, Take, Task
from production.notion import BLOCKED
from production.providers import cluster
from production.stages import RUNNING, Status

log = structlog.get_logger(__name__)
State = Take.State
TURN = dt.timedelta(seconds=30)  # a round is done in well under one; who hangs for longer is passed over
NEVER = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
IDLE = dt.timedelta(seconds=30)  # a running task without a live take for so long has missed its end
TELL, TELL_BOARD = "production.jobs.tell", "production.jobs.tell_board"
MOST_QUEUED = 200  # jobs in line beyond which the sweep adds none: it rings again what may be in line already
STALE_JOB = dt.timedelta(hours=1)


def tick() -> bool:
    """One round. False where another process is at it."""
    if not _take_turn():
        return False
    ended = {}
    try:
        _round()
        ended = {"beat": timezone.now()}
    finally:
        mine = Heartbeat.objects.filter(name=SWEEP, holder=holders.me())
        mine.update(holder="", busy_until=None, **ended)
    return True


def beat(name: str, cluster_name: str) -> None:
    """This worker is alive; what dead processes of its machine held is free."""
    Heartbeat.objects.update_or_create(
        name=name, defaults={"beat": timezone.now()}, create_defaults={"cluster": cluster_name}
    )
    dispatch.reap()


def _take_turn() -> bool:
    """Whether it is ours: nobody's, of one who hangs, or of a process of this machine that is dead."""
    me, now = holders.me(), timezone.now()
    row, _ = Heartbeat.objects.get_or_create(name=SWEEP, defaults={"cluster": SWEEP, "beat": NEVER})
    free = Q(busy_until=None) | holders.has_ended("busy_until", TURN, now) | Q(holder=me)
    if holders.is_dead(row.holder):
        free |= Q(holder=row.holder)
    return bool(Heartbeat.objects.filter(free, name=SWEEP).update(holder=me, busy_until=now + TURN))


def _round() -> None:
    for act in (_ring_lanes, _move_tasks, _flag_stuck, _alert, _ring_again, _tidy):
        act()


def _ring_lanes() -> None:
    for lane in Provider.objects.all():
        _apart(_ring_lane, lane)


def _move_tasks() -> None:
    """Free slots are given, what can't be asked about is given up, a missed end of a stage is made up for."""
    for channel_id in _with_waiting_tasks():
        _apart(flow.start_waiting, channel_id)
    for take_id in Take.objects.filter(state=State.UNKNOWN, due_at__lte=timezone.now()).values_list("pk", flat=True):
        _apart(settling.give_up_asking, take_id)
    for task_id in _idle_tasks():
        _apart(flow.advance_by_id, task_id)


def _flag_stuck() -> None:
    _apart(usual.learn)
    for stuck in usual.newly_stuck():
        for task in stuck.select_related("channel")[:50]:
            _apart(_flag, task)


def _alert() -> None:
    """What gathered is told, what is over is closed; a lane whose quota is back, or that runs out of disk, too."""
    _apart(_watch_lanes)
    _apart(_watch_disk)
    _apart(_watch_budget)
    _apart(alerts.close_what_is_over)
    _apart(alerts.tell_what_is_due)


def _watch_lanes() -> None:
    for lane in alerts.open_about("quota"):
        _apart(_tell_of_open_lane, lane)


@transaction.atomic
def _tell_of_open_lane(name: str) -> None:
    """With the lane's row locked: nobody closes it between the look and the word."""
    is_open = Q(closed_until=None) | Q(closed_until__lte=timezone.now())
    if Provider.objects.select_for_update(no_key=True).filter(is_open, pk=name).exists():
        alerts.resume(f"quota:{name}", f"Resumed: lane {name} is open again")


def _watch_disk() -> None:
    if workspace.is_full():
        alerts.raise_alarm("The disk is nearly full: nothing new begins", cause="disk")
    else:
        alerts.resume("disk", "Resumed: there is room on the disk again")


def _watch_budget() -> None:
    """Nobody asks a vendor that has shut us out, or wants silence for long: a person has to know."""
    lane, now = Provider.objects.get(pk=budget.NOTION), timezone.now()
    words, where = "Nothing is sent to Notion any more", f"(admin › Lanes › {lane})"
    if lane.paused and lane.pause_reason.startswith(BLOCKED):
        alerts.raise_alarm(f"{words}. {lane.pause_reason} {where}", cause=f"{BLOCKED}:{lane}")
    else:
        alerts.resume(f"{BLOCKED}:{lane}", "Resumed: Notion is written to again")
    if lane.closed_until and lane.closed_until > now + outbox.UNHEARD:
        until = f"{lane.closed_until:%Y-%m-%d %H:%M} UTC"
        alerts.raise_alarm(f"{words} until {until}: {lane.closed_reason} {where}", cause=f"closed:{lane}")
    elif not lane.closed_until or lane.closed_until <= now:
        alerts.resume(f"closed:{lane}", "Resumed: Notion is written to again")


def _ring_again() -> None:
    if intake.is_due() and _room():
        ring(reception.JOB)
    rings = (
        (reconcile.JOB, reconcile.due()),
        (TELL, outbox.due()),
        (alerts.JOB, alerts.due()),
        (TELL_BOARD, board.due()),
    )
    for job, due in rings:
        for row in due[: _room()]:
            ring(job, row)
    for task in sharing.due():  # bytes take their time: not where statuses are told
        ring(sharing.JOB, task, cluster=sharing.CLUSTER)


def _tidy() -> None:
    for task in _with_old_workspaces():
        _apart(_remove_workspace, task)
    Heartbeat.objects.forgotten().delete()
    Presence.objects.filter(seen__lt=timezone.now() - dt.timedelta(days=1)).delete()
    forget_stale(STALE_JOB)
    letters.forget()


def _with_waiting_tasks() -> list[int]:
    """Channels with a task that a free slot could take further; each is one probe of an index."""
    waiting = Task.objects.waiting().filter(channel=OuterRef("pk"))
    return list(Channel.objects.filter(Exists(waiting), active=True).values_list("pk", flat=True))


@transaction.atomic
def _flag(task: Task) -> None:
    """Said once: the flag goes with the next move."""
    if Task.objects.filter(pk=task.pk, status=task.status, stuck_since=None).update(stuck_since=timezone.now()):
        stage = RUNNING[Status(task.status)].name
        message = f"“{task}” is stuck in {task.get_status_display()}: {explain.why(task)}"
        alerts.raise_alarm(message, cause=f"stuck:{task.pk}:{stage}", task=task, stage=stage)
        log.warning("sweep_task_stuck", task=task.pk, channel=task.channel.slug, status=task.status)


def _room() -> int:
    """How many more jobs the first cluster's line may take."""
    return max(0, MOST_QUEUED - in_line(settings.CLUSTERS[0]))


def _apart(act: Callable[..., object], *about: object) -> None:
    """What goes wrong with one item is logged and tried again next round; the others must not wait for it."""
    with apart("sweep_item_broke", act=getattr(act, "__name__", ""), about=[str(item) for item in about]):
        act(*about)


def _ring_lane(lane: Provider) -> None:
    """Ring where something is due that nobody seems to be at."""
    now = timezone.now()
    takes = Take.objects.filter(lane=lane)
    to_do = Q(state=State.WAITING, due_at__lte=now) | Q(state=State.CLAIMED, lease_until__lte=now)
    jobs = [(dispatch.WORK, to_do), (dispatch.ASK, Q(state=State.SUBMITTED, due_at__lte=now))]
    due = [job for job, condition in jobs if takes.filter(condition).exists()]
    # A lane that is rung with every round only fills the queue.
    rested = Q(rung_at=None) | Q(rung_at__lte=now - dt.timedelta(seconds=2 * settings.SWEEP_SECONDS))
    rested |= Q(rung_at__gt=now)  # the clock was put back
    if due and Provider.objects.filter(rested, pk=lane.pk).update(rung_at=now):
        for job in due:
            ring(job, lane.pk, cluster=cluster(lane.pk))


def _idle_tasks() -> list[int]:
    """Running tasks in which nothing is live: the end of their stage was missed (a crash between two commits)."""
    since = timezone.now() - IDLE
    running = Task.objects.filter(status__in=list(RUNNING), status_since__lte=since)
    return list(running.exclude(takes__state__in=LIVE).values_list("pk", flat=True)[:50])


def _with_old_workspaces() -> QuerySet[Task]:
    """FR49: after publishing plus the set days; what is in error or in progress stays."""
    before = timezone.now() - settings.WORKSPACE_KEEP
    done = Task.objects.filter(status=Status.PUBLISHED, status_since__lte=before, workspace_removed=None)
    return done.select_related("channel")[:20]


def _remove_workspace(task: Task) -> None:
    workspace.remove(task)
    Task.objects.filter(pk=task.pk).update(workspace_removed=timezone.now())
    log.info("workspace_files_removed", task=task.pk, channel=task.channel.slug)
