"""Lanes, takes and money."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypedDict

from django import forms
from django.contrib import admin
from django.db.models import Aggregate, Case, CharField, Count, OuterRef, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Cast, Coalesce
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.views import ChangeList

from production import caps, explain
from production.admin.base import HouseAdmin, LookOnlyAdmin, bar, moment, origin, pill, task_link
from production.budget import used
from production.cards import Shot
from production.models import Cap, LedgerEntry, Meter, Provider, Take, Tally
from production.providers import LANE, calls_today, holds, slots_of
from production.templatetags.money import usd
from production.templatetags.reading import held, in_your_zone, sentence

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    class Traffic(TypedDict):
        in_flight: int
        in_line: int

    class Shown(TypedDict):
        real: Decimal | None
        rehearsed: Decimal | None

    BusyLane = WithAnnotations[Provider, Traffic]
    UsedCap = WithAnnotations[Cap, Shown]

PLAYERS = {
    "image": '<a href="{0}"><img class="shown" src="{0}" alt="{1}" loading="lazy"></a>',
    "video": '<video class="shown" src="{}" controls playsinline preload="metadata" aria-label="{}"></video>',
    "audio": '<audio src="{}" controls preload="metadata" aria-label="{}"></audio>',
}
TONES = {
    Take.State.DONE: "done",
    Take.State.FAILED: "error",
    Take.State.UNKNOWN: "you",
    Take.State.CLAIMED: "working",
    Take.State.SUBMITTED: "working",
    LedgerEntry.State.SETTLED: "done",
    LedgerEntry.State.WRITTEN_OFF: "error",
}


class LaneForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Provider
        exclude = ("rung_at",)  # noqa: DJ006 - a new column belongs into this form
        labels = {
            "concurrency": "Slots",
            "rate_calls": "Calls at most",
            "rate_seconds": "… within seconds",
            "quota_zone": "Quota's time zone",
            "prices": "Prices, USD",
            "write_off_usd": "Write-off limit, USD",
        }
        help_texts = {
            "paused": "Nothing new begins; what is under way ends by itself.",
            "pause_reason": "Shown to whoever asks why a task isn't running.",
        }

    def clean(self) -> dict[str, Any]:
        """Only what each machine has for itself can be counted by cores; a budget has no slots at all."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        lane = LANE[self.instance.pk]
        if "concurrency" in self.fields and cleaned.get("concurrency") is None and not (lane.per_host or lane.budget):
            self.add_error("concurrency", "Say how many takes may be in flight at once; 0 lets nothing begin.")
        return cleaned


@admin.register(Provider)
class LaneAdmin(HouseAdmin):
    form = LaneForm
    list_display = (
        "name",
        "is_open",
        "traffic",
        "waiting",
        "quota",
        "concurrency",
        "paused",
        "pause_reason",
    )
    list_fullwidth = True
    list_editable = ("concurrency", "paused", "pause_reason")
    fieldsets = (
        (None, {"fields": ("name", "concurrency", ("paused", "pause_reason"))}),
        (
            "What its provider allows",
            {
                "fields": (
                    ("rate_calls", "rate_seconds"),
                    ("daily_quota", "quota_zone"),
                    "closed_until",
                    "closed_reason",
                )
            },
        ),
        ("Money", {"fields": ("prices", "write_off_usd")}),
    )
    readonly_fields = ("name", "closed_reason")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """The lanes are those of the stage table."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Provider | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> "QuerySet[BusyLane]":
        return with_traffic(super().get_queryset(request))

    @admin.display(description="In flight")
    def traffic(self, lane: "BusyLane") -> SafeString:
        """Of a budget: the requests that count now."""
        if LANE[lane.pk].budget:
            spent, most = len(used(lane, timezone.now())), lane.rate_calls
            return bar(spent, most or spent, f"{spent} of {most or 'any number of'} requests")
        slots = slots_of(lane)
        return bar(
            lane.in_flight, slots, f"{lane.in_flight} of {slots}{' a machine' if LANE[lane.pk].per_host else ''}"
        )

    @admin.display(description="Open")
    def is_open(self, lane: Provider) -> SafeString:
        """Why nothing begins there, and until when."""
        hold = holds(lane)
        if hold is None:
            return pill("done", "Open")
        if lane.paused:
            return pill("you", "Paused")  # its reason stands beside it, in a field
        return format_html('<span class="hold">{} {}</span>', pill("you", "Closed"), held(hold.reason, hold.until))

    @admin.display(description="Calls today")
    def quota(self, lane: Provider) -> SafeString | str:
        if lane.daily_quota is None:
            return "–"
        used = calls_today(lane, timezone.now())
        return bar(used, lane.daily_quota, f"{used} of {lane.daily_quota}")

    @admin.display(description="Waiting")
    def waiting(self, lane: "BusyLane") -> int:
        return lane.in_line


def with_traffic(lanes: QuerySet[Provider]) -> "QuerySet[BusyLane]":
    """Adds how many takes are in flight and in line."""
    return lanes.annotate(
        in_flight=_of_lane(Take.objects.in_flight(), Sum("slots")),
        in_line=_of_lane(Take.objects.filter(state=Take.State.WAITING), Count("pk")),
    )


def _of_lane(takes: QuerySet[Take], amount: Aggregate) -> Coalesce:
    """A subquery, so that a partial index answers it however many takes are finished."""
    found = takes.filter(lane=OuterRef("pk")).order_by().values("lane").annotate(amount=amount).values("amount")
    return Coalesce(Subquery(found), 0)


@admin.register(Take)
class TakeAdmin(LookOnlyAdmin):
    list_display = (
        *("piece_name", "small", "of", "outcome", "counts", "lane", "attempt", "length", "source", "made", "trouble"),
    )
    list_display_links = ("piece_name", "small")
    list_filter = ("state", "kind", "lane", "simulated", "channel")
    search_fields = ("task__title", "ref")
    list_select_related = ("task", "lane", "channel")
    fieldsets = (
        (None, {"fields": ("of", "piece_name", "number", "outcome", "why", "whole", "prompt")}),
        ("What counts", {"fields": ("counts", "overruled_by")}),
        ("Who is at it", {"fields": ("lane", "attempt", "tries", "holder", "ref", "started", "finished", "due_at")}),
        ("What came of it", {"fields": ("length", "megabytes", "source", "error_kind", "trouble")}),
        ("For the curious", {"fields": ("recipe", "fingerprint", "host", "output", "sha256", "result")}),
    )
    readonly_fields = (
        *("of", "piece_name", "outcome", "why", "counts", "whole", "length", "megabytes", "source", "trouble"),
    )

    @admin.display(description="Piece", ordering="kind")
    def piece_name(self, take: Take) -> str:
        return str(take)

    @admin.display(description="Look")
    def small(self, take: Take) -> SafeString | str:
        url = Shot(take).poster_url
        return format_html('<img class="poster" src="{}" alt="" loading="lazy">', url) if url else "–"

    @admin.display(description="Look")
    def whole(self, take: Take) -> SafeString | str:
        shot = Shot(take)
        return format_html(PLAYERS[shot.media], shot.url, take) if shot.url else "–"

    @admin.display(description="State", ordering="state")
    def outcome(self, take: Take) -> SafeString:
        return pill(TONES.get(Take.State(take.state), "idle"), take.get_state_display())

    @admin.display(description="Error", ordering="error")
    def trouble(self, take: Take) -> SafeString | str:
        return format_html("<span>{}</span>", in_your_zone(take.error, take.finished)) if take.error else "–"

    @admin.display(description="Task", ordering="task")
    def of(self, take: Take) -> SafeString:
        return task_link(take.task)

    @admin.display(description="Selected", ordering="selected")
    def counts(self, take: Take) -> SafeString | str:
        return pill("done", "Selected") if take.selected else "–"

    @admin.display(description="Length", ordering="seconds")
    def length(self, take: Take) -> str:
        return "–" if take.seconds is None else f"{take.seconds:.1f} s"

    @admin.display(description="Size", ordering="size")
    def megabytes(self, take: Take) -> str:
        return "–" if take.size is None else f"{take.size / 1e6:.2f} MB"

    @admin.display(description="Origin", ordering="simulated")
    def source(self, take: Take) -> SafeString | str:
        """What nobody has been asked for yet came from nowhere."""
        return origin(take) if take.attempt else "–"

    @admin.display(description="Why isn't it running?")
    def why(self, take: Take) -> SafeString:
        return sentence(explain.why_take(take))

    made = moment("finished", "Finished")


class CapForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Cap
        fields = ("meter", "channel", "lane", "usd")
        help_texts = {
            "meter": "Days and months are those of TIME_ZONE; a video's is for all that is ever made of it.",
            "usd": "Work that would go over it waits and says so. 0 lets nothing paid begin.",
        }


@admin.register(Cap)
class CapAdmin(HouseAdmin):
    form = CapForm
    list_display = ("what", "whose", "usd", "spent")
    list_editable = ("usd",)
    list_select_related = ("channel", "lane")
    fields = ("meter", "channel", "lane", "usd")

    @admin.display(description="What is capped", ordering="meter")
    def what(self, cap: Cap) -> str:
        return cap.get_meter_display()

    @admin.display(description="Whose")
    def whose(self, cap: Cap) -> SafeString | str:
        return cap.channel.badge if cap.channel else str(cap.lane or "each that has none of its own")

    @admin.display(description="Spent or set aside")
    def spent(self, cap: "UsedCap") -> SafeString | str:
        """Of one channel or lane; a common cap has no single sum."""
        if not (cap.channel_id or cap.lane_id) or cap.meter == Meter.VIDEO:
            return "–"
        real, rehearsed = cap.real or Decimal(0), cap.rehearsed
        also = f"; {usd(rehearsed)} simulated" if rehearsed else ""
        return bar(_cents(real), _cents(cap.usd), f"{usd(real) if real else 'nothing'} of {usd(cap.usd)}{also}")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Cap]:
        """Each with what its tally shows now: real and rehearsed, USD."""
        now = timezone.now()
        since = Case(*(When(meter=meter, then=Value(caps.current(meter, "", now).since)) for meter in caps.MONEY))
        place = Coalesce(Cast(OuterRef("channel"), CharField()), OuterRef("lane"))
        shown = Tally.objects.filter(meter=OuterRef("meter"), key=place, since=OuterRef("since")).values("usd")
        real, rehearsed = (Subquery(shown.filter(simulated=simulated)) for simulated in (False, True))
        found: QuerySet[Cap] = super().get_queryset(request).annotate(since=since)
        return found.annotate(real=real, rehearsed=rehearsed)


def _cents(usd_: Decimal) -> int:
    return round(usd_ * 100)


class LedgerList(ChangeList):  # type: ignore[misc]
    """A page of the ledger that knows the sum of everything the filters let through."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        lines = self.queryset.order_by()
        self.sum_real = lines.filter(simulated=False).total()
        self.sum_simulated = lines.filter(simulated=True).total()


@admin.register(LedgerEntry)
class LedgerAdmin(LookOnlyAdmin):
    list_display = ("at_", "piece", "of_channel", "lane", "outcome", "intended", "actual", origin, "note")
    list_filter = ("state", "channel", "lane", "simulated")
    list_select_related = ("take__task", "channel", "lane")
    list_before_template = "admin/production/ledgerentry/sums.html"
    search_fields = ("take__task__title",)
    date_hierarchy = "at"
    fields = (
        *("piece", "take", "attempt", "channel", "lane", "outcome", "intended", "actual"),
        *(origin, "note", "at", "settled_at"),
    )
    readonly_fields = ("piece", "outcome", "intended", "actual", origin)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[LedgerList]:
        return LedgerList

    at_ = moment("at", "When")

    @admin.display(description="Channel", ordering="channel__name")
    def of_channel(self, line: LedgerEntry) -> SafeString:
        return line.channel.badge

    @admin.display(description="What for")
    def piece(self, line: LedgerEntry) -> SafeString:
        return format_html("<span>{} · {}</span>", task_link(line.take.task), line.take)

    @admin.display(description="State", ordering="state")
    def outcome(self, line: LedgerEntry) -> SafeString:
        return pill(TONES.get(LedgerEntry.State(line.state), "idle"), line.get_state_display())

    @admin.display(description="Intended", ordering="intended_usd")
    def intended(self, line: LedgerEntry) -> str:
        return usd(line.intended_usd)

    @admin.display(description="Actual", ordering="actual_usd")
    def actual(self, line: LedgerEntry) -> str:
        return usd(line.actual_usd)
