"""Why isn't it running? The exact blocker of any task or take and, where it is known, until when (X8)."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from channels_app.models import Channel
from production import asking, caps, lifecycle, providers, workspace
from production.fairness import half
from production.models import Heartbeat, Meter, Priority, Provider, Take, Task
from production.stages import ERRORS, REVIEWS, RUNNING, STAGES, Status, Verb

State = Take.State


@dataclass(frozen=True)
class Blocker:
    """One sentence, and when it ends by itself; `who` is to do something: you, system or provider."""

    reason: str
    until: dt.datetime | None = None
    who: str = "system"

    def __str__(self) -> str:
        return f"{self.reason} (until {self.until:%Y-%m-%d %H:%M} UTC)" if self.until else self.reason


# ---------------------------------------------------------------- a task


def why(task: Task) -> Blocker:
    """What the task waits for. The same few queries for any number of takes."""
    status = Status(task.status)
    if status == Status.DRAFT:
        return Blocker("It is a draft: set its row in Notion to Queued", who="you")
    if status == Status.PUBLISHED:
        return Blocker("Nothing: it is published")
    if status in RUNNING:
        return _why_paused(task) or _why_running(task)
    if asking.asked(asking.with_asks(Task.objects.filter(pk=task.pk))).exists():
        return _why_a_person(task, status)
    return _why_paused(task) or _why_no_slot(task)


def _why_paused(task: Task) -> Blocker | None:
    if not task.paused:
        return None
    why = f": {task.pause_reason}" if task.pause_reason else ""
    return Blocker(
        f"{task.paused_by} has paused it{why}. What is under way ends by itself; resume it to go on", who="you"
    )


def _why_a_person(task: Task, status: Status) -> Blocker:
    if status in ERRORS:
        return Blocker(_why_it_stopped(task), who="you")
    stage = REVIEWS[status]
    useless = Take.objects.useless(task, stage).first()
    because = f": {useless} {useless.findings[0]['words']}" if useless else ""
    return Blocker(f"{stage.title}: a yes is needed{because}", who="you")


def _why_it_stopped(task: Task) -> str:
    """In the words of the failure, which end with what a person is to do, or of the person who said no."""
    move = lifecycle.failure(task)
    if move is None or not move.reason:
        return "It failed and waits for you: see its history"
    return f"It failed: {move.reason}" if move.verb == Verb.FAIL else f"It waits for you: {move.reason}"


def _why_no_slot(task: Task) -> Blocker:
    """It lines up for one of its channel's slots."""
    channel, now = task.channel, timezone.now()
    if not channel.active:
        return Blocker(f"Channel {channel} is switched off: nothing new starts", who="you")
    fresh = task.approvals.filter(at__gt=now - settings.UNDO).order_by("-at").first()
    if fresh:
        return Blocker(f"The yes of {fresh.by} may still be taken back", fresh.at + settings.UNDO)
    if blocker := _why_no_worker():
        return blocker
    taken = channel.tasks.holding().count()
    if taken >= channel.max_concurrent:
        before = _before(task, channel)
        line = f"; {before} tasks are before it" if before else ""
        return Blocker(f"All {channel.max_concurrent} slots of channel {channel} are taken{line}")
    return Blocker("Nothing: it starts with the next round of the sweep")


def _before(task: Task, channel: Channel) -> int:
    """Tasks of the channel that get a slot sooner: further stages, then priority, then age."""
    places = [stage.waits_in for stage in reversed(STAGES)] + [Status.QUEUED]
    further = places[: places.index(Status(task.status))] if task.status in places else []
    same = Q(status=task.status) & (Q(priority__lt=task.priority) | Q(priority=task.priority, created__lt=task.created))
    return channel.tasks.filter(Q(status__in=further) | same).count()


def _why_running(task: Task) -> Blocker:
    """What keeps the stage from its end: of its live takes the one that is furthest, or the first one's blocker."""
    stage = RUNNING[Status(task.status)]
    ours = task.takes.live().filter(kind__in=stage.kinds)
    live = list(ours.select_related("lane", "channel", "task").order_by("position"))
    if not live:
        return _why_no_worker() or Blocker("Nothing: the stage ends with the next round of the sweep")
    at_work = [take for take in live if take.state in (State.CLAIMED, State.SUBMITTED)]
    if at_work:
        others = f"; {len(live) - len(at_work)} more wait" if len(live) > len(at_work) else ""
        first = why_take(at_work[0])
        return Blocker(f"{first.reason}{others}", first.until, first.who)
    return why_take(live[0])


# ---------------------------------------------------------------- a take


def why_take(take: Take) -> Blocker:
    """What the take waits for."""
    match take.state:
        case State.WAITING:
            return next(_why_waiting(take), Blocker(f"Nothing: {take.name} is claimed with the lane's next ring"))
        case State.CLAIMED:
            return Blocker(
                f"{take.name} is being made by {take.holder}{f' ({take.progress})' if take.progress else ''}"
            )
        case State.SUBMITTED:
            return Blocker(
                f"{take.name} is rendered by the provider, job {take.ref}; asked again", take.due_at, "provider"
            )
        case State.UNKNOWN:
            return Blocker(f"Whether {take.name} was bought is unknown: {take.error}", take.due_at, "provider")
        case State.FAILED:
            return Blocker(f"{take.name} failed: {take.error}", who="you")
    return Blocker(f"Nothing: {take.name} is {take.get_state_display().lower()}")


def _why_waiting(take: Take) -> Iterator[Blocker]:
    """What keeps it from being claimed, the most lasting first."""
    now, lane = timezone.now(), take.lane
    if not take.ref:
        yield from filter(None, [_why_paused(take.task)])
        if not take.channel.active:
            yield Blocker(f"Channel {take.channel} is switched off: nothing new starts", who="you")
        yield from (Blocker(limit.reason, limit.until) for limit in providers.limits(lane, now) if limit.left < 1)
        yield from _why_capped(take, lane, now)
    if take.due_at > now:
        yield Blocker(f"{take.name}: {take.error}; tried again", take.due_at)
    if blocker := _why_no_worker(providers.cluster(lane.pk)):
        yield blocker
    if workspace.is_full():
        yield Blocker("The disk is nearly full: free some space, or lower DISK_RESERVE_MB", who="you")
    yield from _why_no_room(take, lane)


def _why_capped(take: Take, lane: Provider, now: dt.datetime) -> Iterator[Blocker]:
    price, limits = providers.price(lane, take.kind), caps.limits()
    if not price:
        return
    keys = caps.keys_of(task=take.task_id, channel=take.channel_id, lane=lane.pk, at=now)
    spent = caps.spent(keys, simulated=providers.lane_is_simulated(lane.pk))
    for key in keys:
        cap = limits.of(key, channel=take.channel_id)
        if cap is not None and spent[key] + price > cap:
            label = Meter(key.meter).label
            reason = f"{label} may cost {cap} USD: {spent[key]:.2f} are spent or set aside, {take.name} costs {price}. "
            reason += "Raise the cap, or let it wait"
            yield Blocker(reason, caps.ends(key.meter, now), "you")


def _why_no_room(take: Take, lane: Provider) -> Iterator[Blocker]:
    slots, used = providers.slots_of(lane), _used_slots(lane)
    in_line = Take.objects.filter(lane=lane, state=State.WAITING, due_at__lte=timezone.now())
    if used + take.piece.slots > slots and used:
        reason = f"Lane {lane} is full: {used} of {slots} slots; {in_line.count()} takes are in line"
        yield Blocker(reason, None, "provider")
    elif (
        take.priority == Priority.HIGH
        and not providers.LANE[lane.pk].per_host
        and in_line.exclude(channel=take.channel_id).exists()
    ):
        high = Take.objects.in_flight().filter(lane=lane, channel=take.channel_id, priority=Priority.HIGH)
        used_high = sum(high.values_list("slots", flat=True))
        if used_high + take.piece.slots > half(slots):
            reason = f"Channel {take.channel}'s High work has its half of lane {lane}: {used_high} of {slots} slots"
            yield Blocker(f"{reason}; other channels wait for the rest")


def _used_slots(lane: Provider) -> int:
    """Slots in use; of a lane that each machine has for itself, on the one that has the most left."""
    found = Take.objects.in_flight().filter(lane=lane, slots__gt=0).values_list("host", "slots")
    used: Counter[str] = Counter()
    for host, slots in found:
        used[host] += slots
    if not providers.LANE[lane.pk].per_host:
        return used.total()
    names = Heartbeat.objects.alive().filter(cluster=providers.cluster(lane.pk)).values_list("name", flat=True)
    return min((used[name.partition(":")[0]] for name in names), default=used.total())


def _why_no_worker(cluster: str = "") -> Blocker | None:
    """Without a worker nothing happens at all."""
    alive = Heartbeat.objects.alive()
    found = alive.filter(cluster=cluster) if cluster else alive
    if found.exists():
        return None
    return Blocker(f"No worker is alive: run manage.py worker{f' --cluster {cluster}' if cluster else ''}", who="you")
