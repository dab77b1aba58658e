"""Alerts: open causes first, whom they concern, and whether operators have heard of them."""

from django.contrib import admin
from django.db.models import F, Prefetch, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from channels_app import access
from production.admin.base import LookOnlyAdmin, ago, moment, pill, task_link
from production.models import Alert, Delivery, Task
from production.templatetags.reading import in_your_zone

NAMED = 5  # tasks in a row of the list


@admin.register(Alert)
class AlertAdmin(LookOnlyAdmin):
    list_display = ("urgency", "words", "concerned", "when", "heard", "over")
    list_filter = ("level", "channel", ("closed", admin.EmptyFieldListFilter))
    search_fields = ("message", "cause")
    fields = ("urgency", "words", "concerned", "channel", "created", "heard", "closed", "cause")
    readonly_fields = ("urgency", "words", "concerned", "heard")

    when = moment("created", "Since")
    over = moment("closed", "Resumed")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alert]:
        tasks = Prefetch("tasks", access.seen_by(Task.objects.all(), request.user))
        found: QuerySet[Alert] = super().get_queryset(request).prefetch_related(tasks, "deliveries")
        return found

    def get_ordering(self, request: HttpRequest) -> tuple[object, ...]:
        return (F("closed").desc(nulls_first=True), "-pk")

    @admin.display(description="Level", ordering="level")
    def urgency(self, alert: Alert) -> SafeString:
        if alert.closed:
            return pill("done", "Over")
        return pill("error" if alert.level == Alert.Level.ERROR else "working", alert.get_level_display())

    @admin.display(description="Message", ordering="message")
    def words(self, alert: Alert) -> SafeString:
        return format_html("<span>{}</span>", in_your_zone(alert.message, alert.created))

    @admin.display(description="Tasks")
    def concerned(self, alert: Alert) -> SafeString | str:
        tasks = list(alert.tasks.all())
        links = format_html_join(", ", "{}", ((task_link(task),) for task in tasks[:NAMED]))
        more = f" and {len(tasks) - NAMED} more" if len(tasks) > NAMED else ""
        return format_html("<span>{}{}</span>", links, more) if tasks else "–"

    @admin.display(description="Told")
    def heard(self, alert: Alert) -> SafeString | str:
        """The newest message of each destination."""
        newest = {delivery.transport: delivery for delivery in alert.deliveries.all()}
        rows = ((name.title(), _fate(delivery)) for name, delivery in sorted(newest.items()))
        said = format_html_join("", '<span class="heard">{} {}</span>', rows)
        return format_html("<span>{}</span>", said) if said else "in the admin only" if alert.told else "not yet"


def _fate(delivery: Delivery) -> SafeString | str:
    if delivery.delivered:
        return ago(delivery.delivered)
    if delivery.due_at is None:
        return pill("error", delivery.trouble)
    return pill("you", f"tries again: {delivery.trouble}") if delivery.trouble else "on its way"
