"""What was meant to be spent, and what was."""

from decimal import Decimal

from django.db import models
from django.db.models import Case, F, Sum, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from channels_app.models import Channel
from production.models.take import Provider, Take


class LedgerQuerySet(models.QuerySet["LedgerEntry"]):
    def counted(self) -> models.QuerySet["LedgerEntry"]:
        """Adds `usd`: what each line counts for. Unknown outcomes count as their upper bound, released ones nothing."""
        return self.annotate(
            usd=Case(
                When(state=LedgerEntry.State.RELEASED, then=Decimal(0)),
                default=Coalesce(F("actual_usd"), F("intended_usd")),
            )
        )

    def sums_by(self, key: str) -> dict[int, Decimal]:
        """What the lines count for in all, by one of their columns."""
        return dict(self.counted().order_by().values_list(key).annotate(Sum("usd")))

    def total(self) -> Decimal:
        total: Decimal = self.counted().aggregate(sum=Coalesce(Sum("usd"), Decimal(0)))["sum"]
        return total


class LedgerEntry(models.Model):
    """One paid call: the intent is written before it, the outcome after. Written by `production.ledger` alone."""

    class State(models.TextChoices):
        RESERVED = "reserved", "Reserved"
        SUBMITTED = "submitted", "Submitted"
        SETTLED = "settled", "Settled"
        UNKNOWN = "unknown", "Unknown"
        WRITTEN_OFF = "written_off", "Written off as spent"
        RELEASED = "released", "Released"

    take = models.ForeignKey(Take, on_delete=models.PROTECT, related_name="ledger")
    attempt = models.PositiveSmallIntegerField()
    channel = models.ForeignKey(Channel, on_delete=models.PROTECT, related_name="+")
    lane = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=12, choices=State.choices, default=State.RESERVED)
    intended_usd = models.DecimalField(max_digits=10, decimal_places=4)
    actual_usd = models.DecimalField(max_digits=10, decimal_places=4, null=True)
    simulated = models.BooleanField(default=False)
    note = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField(default=timezone.now)
    settled_at = models.DateTimeField(null=True)

    objects = LedgerQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "ledger"
        constraints = [models.UniqueConstraint(fields=["take", "attempt"], name="one_ledger_line_an_attempt")]
        indexes = [models.Index(fields=["channel", "at"], name="ledger_by_channel_at")]

    def __str__(self) -> str:
        return f"{self.take}: {self.get_state_display()}"
