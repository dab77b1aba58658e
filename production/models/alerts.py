"""What operators are told: one alert a cause, and each message of it on its way to each destination."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from channels_app.models import Channel
from production.models.task import Task


class AlertQuerySet(models.QuerySet["Alert"]):
    def open(self) -> "AlertQuerySet":
        """Whose cause is not over."""
        return self.filter(closed=None)


class Alert(models.Model):
    """One cause of trouble, open until it is over; tasks that meet it meanwhile join it."""

    class Level(models.TextChoices):
        ERROR = "error", "Error"
        INFO = "info", "Info"

    cause = models.CharField(max_length=200, help_text="What is one trouble, without names and numbers.")
    stage = models.CharField(max_length=12, blank=True, help_text="Its tasks are over it when they have passed this.")
    level = models.CharField(max_length=6, choices=Level.choices, default=Level.ERROR)
    message = models.TextField()
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, null=True, related_name="+")
    tasks = models.ManyToManyField(Task, related_name="alerts", blank=True)
    created = models.DateTimeField(default=timezone.now)
    tell_at = models.DateTimeField(null=True, help_text="When there is something to tell. Empty: nothing new.")
    told = models.DateTimeField(null=True)
    closed = models.DateTimeField(null=True)

    objects = AlertQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["cause"], condition=Q(closed=None), name="one_open_alert_a_cause"),
        ]
        indexes = [models.Index(fields=["tell_at"], condition=Q(tell_at__isnull=False), name="alert_to_tell")]

    def __str__(self) -> str:
        return self.message


class Delivery(models.Model):
    """One message of an alert on its way to one destination."""

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="deliveries")
    transport = models.CharField(max_length=10)
    level = models.CharField(max_length=6, choices=Alert.Level.choices)
    text = models.TextField()
    tries = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(null=True, default=timezone.now, help_text="Empty: delivered or given up.")
    delivered = models.DateTimeField(null=True)
    trouble = models.CharField(max_length=300, blank=True)
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "deliveries"
        indexes = [models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="delivery_due")]

    def __str__(self) -> str:
        return f"{self.transport}: {self.text[:60]}"
