"""Tells operators what ended badly (FR32): one alert a cause, gathered for a moment, told again at most once an hour,
and once more when it is over. Written in the transaction of its cause, delivered afterwards; it never raises or blocks.
"""

import datetime as dt
import re

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from channels_app.models import Channel
from production.broker import ring
from production.models import Alert, Delivery, StatusChange, Task
from production.outside import pause_after
from production.stages import Status, Verb
from production.transports import TransportError, transports

log = structlog.get_logger(__name__)
JOB = "production.jobs.deliver"
LEASE = dt.timedelta(seconds=60)
REMIND_AFTER = dt.timedelta(hours=1)
TRIES = 8
NAMED = 5  # tasks that a message names
EMOJI = {Alert.Level.ERROR: "🔴", Alert.Level.INFO: "🟢"}
PARTICULAR = re.compile(r"“[^”]*”|\b[0-9a-f-]{8,}\b|\d+")


# ---------------------------------------------------------------- raised and over


@transaction.atomic
def raise_alarm(message: str, *, cause: str, task: Task | None = None, stage: str = "") -> None:
    """Open the alert of this cause, or let the task join it. With a `stage` it is over when its tasks have passed that;
    else when somebody says `resume`."""
    now = timezone.now()
    soon = now + settings.ALERT_GATHER
    alert, created = Alert.objects.get_or_create(
        cause=cause[:200],
        closed=None,
        defaults={"message": message, "stage": stage, "channel": task.channel if task else None, "tell_at": soon},
    )
    if task:
        if not created and Alert.objects.select_for_update().get(pk=alert.pk).closed:  # closed since it was found
            raise_alarm(message, cause=cause, task=task, stage=stage)
            return
        alert.tasks.add(task)
        if not created:
            due = max(soon, alert.told + REMIND_AFTER) if alert.told else soon
            Alert.objects.filter(pk=alert.pk, tell_at=None).update(tell_at=due)


def cause_of(stage: str, message: str, *, kind: str = "", lane: str = "", task: Task | None = None) -> str:
    """What makes two failures one trouble: their stage, kind, lane and words without names and numbers. A refusal of
    content is its `task`'s own."""
    return ":".join([stage, kind, lane, PARTICULAR.sub("…", message), str(task.pk) if task else ""])[:200]


def open_about(trouble: str) -> list[str]:
    """Whom open alerts with causes like "trouble:whom" are about."""
    causes = Alert.objects.open().filter(cause__startswith=f"{trouble}:").values_list("cause", flat=True)
    return [cause.partition(":")[2] for cause in causes]


def resume(cause: str, message: str) -> None:
    """The cause is over: said once, to who has heard of it."""
    for alert in Alert.objects.open().filter(cause=cause[:200]):
        _close(alert, message)


def close_what_is_over() -> None:
    """Alerts whose tasks have all got past the stage that failed; where all were cancelled, in silence."""
    for alert in Alert.objects.open().exclude(stage="").filter(tasks__isnull=False).distinct():
        _close_if_over(alert)


@transaction.atomic
def _close_if_over(alert: Alert) -> None:
    """With its row locked, so that no task joins it between the look and the end."""
    Alert.objects.select_for_update().get(pk=alert.pk)
    passed = StatusChange.objects.filter(
        task=OuterRef("pk"), stage=alert.stage, verb__in=[Verb.FINISH, Verb.ADOPT], at__gt=alert.created
    )
    tasks = alert.tasks.annotate(passed=Exists(passed))
    if not tasks.exclude(Q(passed=True) | Q(status__in=[Status.DRAFT, Status.PUBLISHED])).exists():
        _close(alert, f"Resumed: {alert.message}" if tasks.filter(passed=True).exists() else "")


@transaction.atomic
def _close(alert: Alert, message: str) -> None:
    if Alert.objects.open().filter(pk=alert.pk).update(closed=timezone.now(), tell_at=None) and message and alert.told:
        _send(alert, Alert.Level.INFO, message)


# ---------------------------------------------------------------- told


def tell_what_is_due() -> None:
    """Put what has gathered on its way."""
    for alert in Alert.objects.open().filter(tell_at__lte=timezone.now()).order_by("tell_at")[:20]:
        _tell(alert)


@transaction.atomic
def _tell(alert: Alert) -> None:
    if Alert.objects.filter(pk=alert.pk, tell_at=alert.tell_at).update(tell_at=None, told=timezone.now()):
        _send(alert, Alert.Level(alert.level), _words(alert))


def _words(alert: Alert) -> str:
    tasks = list(alert.tasks.order_by("pk")[: NAMED + 1])
    count = alert.tasks.count()
    if count < 2:
        return alert.message
    more = f" and {count - NAMED} more" if count > NAMED else ""
    return f"{alert.message}\n{count} tasks: {', '.join(str(task) for task in tasks[:NAMED])}{more}"


def _send(alert: Alert, level: Alert.Level, message: str) -> None:
    text = f"{EMOJI[level]} {level.upper()} {_whose(alert.channel)}{message}\n{_link(alert)}"
    for name in transports():
        delivery = Delivery.objects.create(alert=alert, transport=name, level=level, text=text)
        ring(JOB, delivery.pk)


def _whose(channel: Channel | None) -> str:
    return f"{channel}: " if channel else ""


def _link(alert: Alert) -> str:
    """To the one task, or to all of them."""
    task = alert.tasks.first() if alert.tasks.count() == 1 else None
    path = f"production/task/{task.pk}/review/" if task else "production/alert/"
    return f"{settings.PUBLIC_URL}/admin/{path}"


# ---------------------------------------------------------------- delivered


def due() -> list[int]:
    return list(Delivery.objects.filter(due_at__lte=timezone.now()).values_list("pk", flat=True)[:20])


def deliver(delivery_id: int) -> None:
    """Hand one message to its destination; again later where that was in vain, at most TRIES times."""
    now = timezone.now()
    if not Delivery.objects.filter(pk=delivery_id, due_at__lte=now).update(due_at=now + LEASE):
        return
    delivery = Delivery.objects.get(pk=delivery_id)
    delivery.tries += 1
    transport = transports().get(delivery.transport)
    try:
        if transport is None:
            raise TransportError("It is switched off by now", permanent=True)
        transport.send(delivery.text)
    except TransportError as error:
        _note_trouble(delivery, error)
    except Exception as error:  # one that nobody notes would be brought back by its lease for ever
        log.exception("alert_delivery_broke", alert=delivery.alert_id, transport=delivery.transport)
        _note_trouble(delivery, TransportError(f"{type(error).__name__}: {error}"))
    else:
        delivery.delivered, delivery.due_at, delivery.trouble = timezone.now(), None, ""
    delivery.save(update_fields=["delivered", "due_at", "tries", "trouble"])


def _note_trouble(delivery: Delivery, error: TransportError) -> None:
    given_up = error.permanent or delivery.tries >= TRIES
    pause = pause_after(delivery.tries, first=30, said=error.retry_after)
    delivery.due_at = None if given_up else timezone.now() + pause
    delivery.trouble = error.message[:300]
    log.warning("alert_delivery_failed", alert=delivery.alert_id, transport=delivery.transport, reason=error.message)
