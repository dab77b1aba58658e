"""What people decided, what they had looked at by then, and who has a page open now."""

from typing import TYPE_CHECKING, Any, TypedDict

import pgtrigger
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Aggregate, Count, FloatField, Q, QuerySet
from django.db.models.functions import Cast, NullIf, TruncDate
from django.utils import timezone

from production.models.task import Task
from production.stages import STAGES, Verb

if TYPE_CHECKING:
    import datetime as dt

HASTY = 2  # seconds: who says yes sooner has not looked
VERDICTS = (Verb.APPROVE, Verb.REJECT)


class ReviewerDay(TypedDict):
    """One reviewer's day; `median` and `hasty` (0 to 1) are None where no page told how long it was open."""

    by: str
    day: "dt.date"
    decisions: int
    median: float | None
    hasty: float | None


class Median(Aggregate):
    """Half are below, half above; empty ones don't count."""

    template = "percentile_cont(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


class DecisionQuerySet(models.QuerySet["Decision"]):
    def verdicts(self) -> "DecisionQuerySet":
        """Yes and no; a redo is no verdict."""
        return self.filter(verb__in=VERDICTS)

    def by_reviewer_and_day(self) -> QuerySet["Decision", Any]:
        """Rows of `ReviewerDay`, the newest day first: how much each decided, how long it took, how much in haste."""
        told = Cast(NullIf(Count("seconds"), 0), FloatField())
        return (
            self.order_by()
            .values("by", day=TruncDate("at"))
            .annotate(
                decisions=Count("pk"),
                median=Median("seconds"),
                hasty=Count("pk", filter=Q(seconds__lt=HASTY)) / told,
            )
            .order_by("-day", "by")
        )


class Decision(models.Model):
    """One decision of a person, as evidence: never changed. An `Approval` is the yes that is in force; this is what
    led to it, kept also when the yes is taken back."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="decisions")
    stage = models.CharField(max_length=12, choices=[(s.name, s.title) for s in STAGES], blank=True)
    verb = models.CharField(max_length=12)
    by = models.CharField(max_length=150)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    content_hash = models.CharField(max_length=64, blank=True, help_text="Of what was decided about.")
    shown = ArrayField(models.BigIntegerField(), default=list, help_text="The takes that lay there, by id.")
    seconds = models.FloatField(null=True, help_text="The page was visible for so long. Empty: it was not told.")
    played = models.JSONField(default=dict, help_text="How much of each take was played, 0 to 1, by its id.")
    codes = ArrayField(models.CharField(max_length=12), default=list, help_text="Reasons, as production.reasons says.")
    reason = models.TextField(blank=True)
    usd = models.DecimalField(max_digits=10, decimal_places=4, null=True, help_text="What the yes may cost at most.")

    objects = DecisionQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["task", "id"], name="decision_by_task"),
            models.Index(fields=["by", "at"], name="decision_by_reviewer"),
        ]
        triggers = [pgtrigger.ReadOnly(name="said_once", exclude=["user"])]

    def __str__(self) -> str:
        return f"{self.by}: {self.verb} {self.get_stage_display()}".strip()


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
