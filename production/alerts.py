"""Tells operators what ended badly. Written with its cause, delivered afterwards, retried, never raising (FR32)."""

import datetime as dt

import requests
import structlog
from django.conf import settings
from django.utils import timezone

from production.models import Alert, Task
from production.outside import pause_after

log = structlog.get_logger(__name__)
LEASE = dt.timedelta(seconds=60)
TRIES = 8
EMOJI = {Alert.Level.ERROR: "🔴", Alert.Level.INFO: "🟢"}


def raise_alarm(task: Task, message: str) -> None:
    Alert.objects.create(channel=task.channel, task=task, message=message)


def due() -> list[int]:
    return list(Alert.objects.filter(due_at__lte=timezone.now()).values_list("pk", flat=True)[:20])


def deliver(alert_id: int) -> None:
    """Post one alert to Slack; without a webhook it stays in the admin only."""
    if not Alert.objects.filter(pk=alert_id, due_at__lte=timezone.now()).update(due_at=timezone.now() + LEASE):
        return
    alert = Alert.objects.select_related("channel", "task").get(pk=alert_id)
    trouble = _post(alert) if settings.SLACK_WEBHOOK_URL else "no SLACK_WEBHOOK_URL is set"
    if not trouble:
        alert.delivered, alert.due_at, alert.trouble = timezone.now(), None, ""
    else:
        alert.tries, alert.trouble = alert.tries + 1, trouble[:300]
        alert.due_at = _next_try(alert)
        log.warning("alert_delivery_failed", alert=alert.pk, channel=alert.channel.slug, reason=trouble)
    alert.save(update_fields=["delivered", "due_at", "tries", "trouble"])


def payload(alert: Alert) -> dict[str, str]:
    """Emoji, level, message; `& < >` escaped as Slack wants it. Section text may have 3,000 characters."""
    text = f"{alert.channel}: {alert.message}".replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    link = f"\n{settings.PUBLIC_URL}/admin/production/task/{alert.task_id}/review/" if alert.task_id else ""
    return {"text": f"{EMOJI[Alert.Level(alert.level)]} *{alert.level.upper()}* {text[:2900]}{link}"}


def _next_try(alert: Alert) -> dt.datetime | None:
    if not settings.SLACK_WEBHOOK_URL or alert.tries >= TRIES:
        return None
    return timezone.now() + pause_after(alert.tries, first=30)


def _post(alert: Alert) -> str:
    """ "" when Slack took it, else what it said. 404, 403 and 410 mean the webhook is gone; the operator reads it."""
    try:
        reply = requests.post(settings.SLACK_WEBHOOK_URL, json=payload(alert), timeout=10)
    except requests.RequestException as error:
        return f"Slack did not answer ({type(error).__name__})"
    return "" if reply.ok else f"Slack answered {reply.status_code}: {reply.text[:100]}"
