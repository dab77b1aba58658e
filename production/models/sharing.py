"""Which files of a task its Notion row has, and what is under way to it."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from production.models.take import Take
from production.models.task import Task


class Place(models.TextChoices):
    """Where the files lie that a row shows."""

    NOTION = "notion", "Notion"
    S3 = "s3", "S3"


class Sharing(models.Model):
    """The files of one task on their way to its row: when next, by whose lease, how often in vain."""

    task = models.OneToOneField(Task, on_delete=models.CASCADE, primary_key=True, related_name="sharing")
    due_at = models.DateTimeField(null=True, default=timezone.now, help_text="Empty: the row has what it is to have.")
    lease_until = models.DateTimeField(null=True)
    tries = models.PositiveSmallIntegerField(default=0)
    trouble = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="sharing_due")]

    def __str__(self) -> str:
        return f"Files of {self.task_id}"


class SharedFile(models.Model):
    """One take's file outside: written before the first byte is sent, so that no restart sends it twice."""

    take = models.OneToOneField(Take, on_delete=models.CASCADE, primary_key=True, related_name="shared")
    place = models.CharField(max_length=6, choices=Place.choices)
    ref = models.CharField(max_length=300, blank=True, help_text="Notion's id of the upload, or the object's key.")
    sent = models.DateTimeField(null=True, help_text="When it was there whole.")
    attached = models.DateTimeField(null=True, help_text="When the row first showed it.")
    until = models.DateTimeField(null=True, help_text="When the address that the row shows ends.")
    left_out = models.CharField(max_length=200, blank=True, help_text="Why it is not sent.")

    def __str__(self) -> str:
        return f"{self.take} at {self.get_place_display()}"
