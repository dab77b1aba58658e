"""What people decided, what they had looked at by then, and who has a page open now."""

import pgtrigger
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from production.models.task import Task
from production.stages import PIECES, STAGES, Verb

VERDICTS = (Verb.APPROVE, Verb.REJECT)
PLAYED = {piece.stage for piece in PIECES if piece.suffix in (".mp4", ".mp3")}  # stages of what plays


class Decision(models.Model):
    """One decision of a person, as evidence: never changed. An `Approval` is the yes that is in force; this is what
    led to it, kept also when the yes is taken back."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="decisions")
    stage = models.CharField(max_length=12, choices=[(s.name, s.title) for s in STAGES], blank=True)
    verb = models.CharField(max_length=12)
    by = models.CharField(max_length=150)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    asked = models.DateTimeField(null=True, help_text="Since when a person had been awaited.")
    content_hash = models.CharField(max_length=64, blank=True, help_text="Of what was decided about.")
    shown = ArrayField(models.BigIntegerField(), default=list, help_text="The takes that lay there, by id.")
    seconds = models.FloatField(null=True, help_text="The page was visible for so long. Empty: it was not told.")
    played = models.JSONField(default=dict, help_text="How much of each take was played, 0 to 1, by its id.")
    codes = ArrayField(models.CharField(max_length=12), default=list, help_text="Reasons, as production.reasons says.")
    reason = models.TextField(blank=True)
    usd = models.DecimalField(max_digits=10, decimal_places=4, null=True, help_text="What the yes may cost at most.")

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["task", "id"], name="decision_by_task"),
            models.Index(fields=["at"], name="decision_by_age"),
        ]
        triggers = [pgtrigger.ReadOnly(name="said_once", exclude=["user"])]

    def __str__(self) -> str:
        return f"{self.by}: {self.verb} {self.get_stage_display()}".strip()

    @property
    def part_played(self) -> float | None:
        """How much was played of what lay there, 0 to 1; None where nothing plays or no page told."""
        if self.seconds is None or self.stage not in PLAYED or not self.shown:
            return None
        parts: list[float] = [self.played.get(str(take), 0) for take in self.shown]
        return sum(parts) / len(parts)


class Presence(models.Model):
    """Somebody has the review page of a task open; the page says so with every other poll."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    seen = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "user"], name="one_presence_a_person")]
        indexes = [models.Index(fields=["seen"], name="presence_by_age")]

    def __str__(self) -> str:
        return f"{self.user} at {self.task}"
