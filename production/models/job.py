"""The queue's line."""

from django.db import models
from django.db.models import Q
from django.utils import timezone


class Job(models.Model):
    """A ring that waits for a worker, or that one is at. Done, it is gone."""

    cluster = models.CharField(max_length=20)
    call = models.TextField(blank=True, help_text="What equal rings have in common; empty: equal to none.")
    package = models.TextField(help_text="The job as django-q2 signs it.")
    deliveries = models.PositiveSmallIntegerField(default=0)
    holder = models.IntegerField(null=True, help_text="The worker's database session; empty: waits.")
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [
            models.Index(fields=["cluster", "id"], condition=Q(holder=None), name="job_in_line"),
            models.Index(fields=["cluster", "call"], condition=Q(holder=None), name="job_equal"),
            models.Index(fields=["holder"], condition=Q(holder__isnull=False), name="job_held"),
        ]

    def __str__(self) -> str:
        return self.call
