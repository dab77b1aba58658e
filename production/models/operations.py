"""What operators are told, and who is at work."""

import datetime as dt

from django.db import models
from django.db.models import Q
from django.utils import timezone

from channels_app.models import Channel
from production.models.task import Task


class Alert(models.Model):
    """A message to the operators, written with what caused it and delivered afterwards."""

    class Level(models.TextChoices):
        ERROR = "error", "Error"
        INFO = "info", "Info"

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="+")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, null=True, related_name="alerts")
    level = models.CharField(max_length=6, choices=Level.choices, default=Level.ERROR)
    message = models.TextField()
    tries = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(null=True, default=timezone.now, help_text="Empty: delivered or given up.")
    delivered = models.DateTimeField(null=True)
    trouble = models.CharField(max_length=300, blank=True)
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="alert_due")]

    def __str__(self) -> str:
        return self.message


SWEEP = "sweep"  # the name of the heartbeat that each round of the sweep leaves
SILENT = dt.timedelta(seconds=30)  # without a beat: fifteen rounds of the sweep


class UsualTime(models.Model):
    """How long a stage usually takes, learned from those that have passed it: the median of the last ones."""

    stage = models.CharField(max_length=12, primary_key=True)
    seconds = models.FloatField()
    sample = models.PositiveSmallIntegerField(help_text="From how many.")
    learned = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.stage}: {self.seconds:.0f} s"


class HeartbeatQuerySet(models.QuerySet["Heartbeat"]):
    def alive(self) -> "HeartbeatQuerySet":
        """Workers that have beaten lately: they beat with every sweep, every few seconds."""
        return self.exclude(name=SWEEP).filter(beat__gte=timezone.now() - SILENT)

    def sweeps(self) -> bool:
        """Whether a round of the sweep has ended lately."""
        return self.filter(name=SWEEP, beat__gte=timezone.now() - SILENT).exists()


class Heartbeat(models.Model):
    """A worker command that is alive: one row a process, renewed with every sweep."""

    name = models.CharField(max_length=100, primary_key=True, help_text="host:pid")
    cluster = models.CharField(max_length=20)
    started = models.DateTimeField(default=timezone.now)
    beat = models.DateTimeField(default=timezone.now)

    objects = HeartbeatQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name
