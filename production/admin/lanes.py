"""Lanes, takes and money."""

from typing import TYPE_CHECKING, Any, TypedDict

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.views import ChangeList

from production.admin.base import HouseAdmin, LookOnlyAdmin, bar, moment, origin, pill, task_link
from production.models import IN_FLIGHT, LedgerEntry, Provider, Take
from production.templatetags.money import usd

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    class Traffic(TypedDict):
        in_flight: int
        in_line: int

    BusyLane = WithAnnotations[Provider, Traffic]

TONES = {
    Take.State.DONE: "done",
    Take.State.FAILED: "error",
    Take.State.UNKNOWN: "you",
    Take.State.CLAIMED: "working",
    Take.State.SUBMITTED: "working",
    LedgerEntry.State.SETTLED: "done",
    LedgerEntry.State.WRITTEN_OFF: "error",
}


@admin.register(Provider)
class LaneAdmin(HouseAdmin):
    list_display = ("name", "traffic", "waiting", "concurrency", "paused", "pause_reason", "price_list")
    list_editable = ("concurrency", "paused", "pause_reason")
    fields = ("name", "concurrency", "paused", "pause_reason", "prices", "write_off_usd")
    readonly_fields = ("name",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """The lanes are those of the stage table."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Provider | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> "QuerySet[BusyLane]":
        return with_traffic(super().get_queryset(request))

    @admin.display(description="In flight")
    def traffic(self, lane: "BusyLane") -> SafeString:
        return bar(lane.in_flight, lane.concurrency, f"{lane.in_flight} of {lane.concurrency}")

    @admin.display(description="Waiting")
    def waiting(self, lane: "BusyLane") -> int:
        return lane.in_line

    @admin.display(description="Prices, USD a take")
    def price_list(self, lane: Provider) -> str:
        return ", ".join(f"{kind} {price}" for kind, price in lane.prices.items()) or "free"


def with_traffic(lanes: QuerySet[Provider]) -> "QuerySet[BusyLane]":
    """Adds how many takes are in flight and in line."""
    return lanes.annotate(
        in_flight=Count("takes", filter=Q(takes__state__in=IN_FLIGHT)),
        in_line=Count("takes", filter=Q(takes__state=Take.State.WAITING)),
    )


@admin.register(Take)
class TakeAdmin(LookOnlyAdmin):
    list_display = ("piece_name", "task", "outcome", "counts", "lane", "attempt", "seconds", origin, "made", "error")
    list_filter = ("state", "kind", "lane", "simulated", "channel")
    search_fields = ("task__title", "ref")
    list_select_related = ("task", "lane", "channel")
    fields = (
        *("task", "kind", "position", "number", "state", "selected", "lane", "attempt", "tries", "prompt", "recipe"),
        *(
            "fingerprint",
            "ref",
            "host",
            "holder",
            "started",
            "finished",
            "due_at",
            "seconds",
            "size",
            "sha256",
            "output",
        ),
        *("simulated", "overruled_by", "error_kind", "error", "result"),
    )

    @admin.display(description="Piece", ordering="kind")
    def piece_name(self, take: Take) -> str:
        return str(take)

    @admin.display(description="State", ordering="state")
    def outcome(self, take: Take) -> SafeString:
        return pill(TONES.get(Take.State(take.state), "idle"), take.get_state_display())

    @admin.display(description="Selected", boolean=True)
    def counts(self, take: Take) -> bool:
        return take.selected

    made = moment("finished", "Finished")


class LedgerList(ChangeList):  # type: ignore[misc]
    """A page of the ledger that knows the sum of everything the filters let through."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        lines = self.queryset.order_by()
        self.sum_real = lines.filter(simulated=False).total()
        self.sum_simulated = lines.filter(simulated=True).total()


@admin.register(LedgerEntry)
class LedgerAdmin(LookOnlyAdmin):
    list_display = ("at_", "piece", "channel", "lane", "outcome", "intended", "actual", origin, "note")
    list_filter = ("state", "channel", "lane", "simulated")
    list_select_related = ("take__task", "channel", "lane")
    list_before_template = "admin/production/ledgerentry/sums.html"
    search_fields = ("take__task__title",)
    date_hierarchy = "at"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[LedgerList]:
        return LedgerList

    at_ = moment("at", "When")

    @admin.display(description="What for")
    def piece(self, line: LedgerEntry) -> SafeString:
        return format_html("{} · {}", task_link(line.take.task), line.take)

    @admin.display(description="State", ordering="state")
    def outcome(self, line: LedgerEntry) -> SafeString:
        return pill(TONES.get(LedgerEntry.State(line.state), "idle"), line.get_state_display())

    @admin.display(description="Intended", ordering="intended_usd")
    def intended(self, line: LedgerEntry) -> str:
        return usd(line.intended_usd)

    @admin.display(description="Actual", ordering="actual_usd")
    def actual(self, line: LedgerEntry) -> str:
        return usd(line.actual_usd)
