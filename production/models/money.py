"""What was meant to be spent, what was, and where it ends."""

from decimal import Decimal

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Case, F, Q, Sum, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from channels_app.models import Channel
from production.models.lane import Provider
from production.models.take import Take


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
        indexes = [
            models.Index(fields=["channel", "at"], name="ledger_by_channel_at"),
            models.Index(fields=["lane", "at"], name="ledger_by_lane_at"),
        ]

    def __str__(self) -> str:
        return f"{self.take}: {self.get_state_display()}"

    @property
    def counts(self) -> Decimal:
        """What the line counts for, USD; as `counted` says it of many."""
        if self.state == self.State.RELEASED:
            return Decimal(0)
        return self.intended_usd if self.actual_usd is None else self.actual_usd


class Meter(models.TextChoices):
    """What is counted, over which time."""

    VIDEO = "video", "A video"
    CHANNEL_DAY = "channel_day", "A channel and day"
    CHANNEL_MONTH = "channel_month", "A channel and month"
    LANE_DAY = "lane_day", "A lane and day"
    QUOTA = "quota", "A lane's daily quota"


class Tally(models.Model):
    """What one meter shows: calls, and USD as the ledger counts them. Written by `production.ledger` in the same
    transaction as its lines, and locked by it, so that two claims can't both spend the last dollar.

    `key` is the id of the task or channel, or the name of the lane; `since` the first day counted (a video has none).
    What is simulated is counted apart: a rehearsal uses up no real budget.
    """

    meter = models.CharField(max_length=14, choices=Meter.choices)
    key = models.CharField(max_length=50)
    since = models.DateField()
    simulated = models.BooleanField()
    usd = models.DecimalField(max_digits=14, decimal_places=4, default=0)
    calls = models.IntegerField(default=0)

    class Meta:
        verbose_name_plural = "tallies"
        constraints = [
            models.UniqueConstraint(fields=["meter", "key", "since", "simulated"], name="one_tally_a_meter"),
        ]
        indexes = [models.Index(fields=["meter", "since"], name="tally_by_day")]

    def __str__(self) -> str:
        return f"{self.get_meter_display()} {self.key} since {self.since}: {self.usd} USD"


class Cap(models.Model):
    """What may be spent at most. Work that would go over it waits and says so (X13)."""

    METERS = [(meter.value, meter.label) for meter in Meter if meter != Meter.QUOTA]

    meter = models.CharField("what is capped", max_length=14, choices=METERS)
    channel = models.ForeignKey(
        Channel,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="caps",
        help_text="Empty: every channel that has no cap of its own.",
    )
    lane = models.ForeignKey(
        Provider,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="caps",
        help_text="Empty: every lane that has no cap of its own.",
    )
    usd = models.DecimalField("USD", max_digits=10, decimal_places=2, validators=[MinValueValidator(0)])

    class Meta:
        ordering = ["meter", "channel", "lane"]
        constraints = [
            models.UniqueConstraint(
                "meter", Coalesce("channel_id", 0), Coalesce("lane_id", Value("")), name="one_cap_a_place"
            ),
            models.CheckConstraint(
                condition=Q(meter="lane_day", channel=None) | (~Q(meter="lane_day") & Q(lane=None)),
                name="cap_fits_its_meter",
                violation_error_message="A lane's cap names a lane and no channel, every other one no lane.",
            ),
            models.CheckConstraint(condition=Q(usd__gte=0), name="cap_is_no_debt"),
        ]

    def __str__(self) -> str:
        whose = self.channel or self.lane_id or "each"
        return f"{self.get_meter_display()} ({whose}): {self.usd} USD"
