"""Who is at work, and how long work usually takes."""

import datetime as dt

from django.db import models
from django.utils import timezone
from django_q.models import Failure

SWEEP = "sweep"  # the name of the heartbeat that each round of the sweep leaves
SILENT = dt.timedelta(seconds=30)  # without a beat: fifteen rounds of the sweep
FORGOTTEN = dt.timedelta(hours=1)  # a worker silent for so long is not coming back: its name held its process id


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

    def forgotten(self) -> "HeartbeatQuerySet":
        """Workers that ended without a word, long since."""
        return self.exclude(name=SWEEP).filter(beat__lt=timezone.now() - FORGOTTEN)

    def sweeps(self) -> bool:
        """Whether a round of the sweep has ended lately."""
        return self.filter(name=SWEEP, beat__gte=timezone.now() - SILENT).exists()


class Heartbeat(models.Model):
    """A worker command that is alive: one row a process, renewed with every sweep."""

    name = models.CharField(max_length=100, primary_key=True, help_text="host:pid")
    cluster = models.CharField(max_length=20)
    started = models.DateTimeField(default=timezone.now)
    beat = models.DateTimeField(default=timezone.now)
    holder = models.CharField(max_length=80, blank=True, help_text="Of the sweep's row: the process whose round it is.")
    busy_until = models.DateTimeField(null=True, help_text="... and until when nobody else begins one.")

    objects = HeartbeatQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name


class FailedJob(Failure):  # type: ignore[misc] # django-q2 has no types
    """What the queue calls a failed task; a task is a video here, what the queue runs is a job."""

    class Meta:
        proxy = True
        ordering = ["-stopped"]
        verbose_name = "failed job"
