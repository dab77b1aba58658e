"""A lane is a provider account's capacity: what may be in flight at once, how often, and at what price."""

from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import available_timezones

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models

from channels_app.models import Channel
from production.stages import pieces_in


def is_time_zone(name: str) -> None:
    """Validates the name of a time zone."""
    if name not in available_timezones():
        raise ValidationError(f"“{name}” is no time zone; one is America/Los_Angeles.")


class Provider(models.Model):
    """A lane. Editable live; every machine reads the same row."""

    name = models.SlugField(primary_key=True)
    concurrency = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        help_text="Slots: takes in flight at once, over all machines. ffmpeg's are each machine's own; empty: as many "
        "as it has cores. 0 lets nothing begin.",
    )
    rate_calls = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="So many calls at most …"
    )
    rate_seconds = models.PositiveSmallIntegerField(
        default=60, validators=[MinValueValidator(1)], help_text="… within so many seconds. Empty: no limit."
    )
    daily_quota = models.PositiveIntegerField(
        null=True, blank=True, help_text="Calls a day that the provider allows. Empty: no limit is known."
    )
    quota_zone = models.CharField(
        max_length=40,
        blank=True,
        validators=[is_time_zone],
        help_text="The quota begins anew at midnight in this time zone, such as America/Los_Angeles. Empty: it has no "
        "fixed hour (credits); what is used up is tried again after an hour.",
    )
    closed_until = models.DateTimeField(
        null=True, blank=True, help_text="The provider said its quota is used up. Clear it to try again at once."
    )
    closed_reason = models.CharField(max_length=300, blank=True, editable=False)
    prices = models.JSONField(default=dict, blank=True, help_text='USD a take by kind: {"clip": "0.42"}.')
    write_off_usd = models.DecimalField(
        max_digits=8,
        decimal_places=4,
        default="0.10",
        help_text="A paid call whose outcome can't be found out is bought again below this price; else you decide.",
    )
    paused = models.BooleanField(default=False)
    pause_reason = models.CharField(max_length=200, blank=True)
    rung_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["name"]
        verbose_name = "lane"

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Each paid kind has a price: without one its caps and write-off limit would mean nothing."""
        prices = self.prices if isinstance(self.prices, dict) else {}
        wrong = [kind for kind in paid_kinds(self.name) if not _is_price(prices.get(kind))]
        wrong += [kind for kind, price in prices.items() if not _is_price(price) and kind not in wrong]
        if wrong:
            example = f'{{"{wrong[0]}": "0.42"}}'
            raise ValidationError(
                {"prices": f"Say what {', '.join(wrong)} costs, like {example}, in USD with 4 decimals at most."}
            )


class Window(models.Model):
    """The moments of a budget's requests within its last `rate_seconds`: what the processes of all machines count
    together. A row of its own, which no form in the admin saves."""

    lane = models.OneToOneField(Provider, on_delete=models.CASCADE, primary_key=True)
    requests = ArrayField(models.DateTimeField(), default=list)

    def __str__(self) -> str:
        return f"{len(self.requests)} of {self.lane_id}"


class Turn(models.Model):
    """When a channel was served last in a lane: of two with as much in flight, who has waited longer is next."""

    lane = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="turns")
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="+")
    served_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lane", "channel"], name="one_turn_a_channel")]

    def __str__(self) -> str:
        return f"{self.channel} in {self.lane_id}"


def paid_kinds(lane: str) -> list[str]:
    return [piece.kind for piece in pieces_in(lane) if piece.paid]


def _is_price(value: Any) -> bool:
    try:
        price = Decimal(str(value))
        return 0 <= price < 1000 and price == round(price, 4)  # what the ledger's columns hold
    except InvalidOperation:
        return False
