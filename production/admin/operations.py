"""History, workers, and what the queue could not do. All of it is read only."""

from typing import Any

from django.contrib import admin
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django_q.models import Failure, OrmQ, Schedule, Success

from production.admin.base import LookOnlyAdmin, clock, moment, pill, task_link
from production.models import FailedJob, Heartbeat, StatusChange
from production.models.operations import SILENT
from production.outside import person
from production.templatetags.reading import deed, in_your_zone

# The schedule's own page lets its users run any function; jobs are only doorbells, the rows above are the truth.
for model in (Schedule, Success, OrmQ, Failure):
    admin.site.unregister(model)


@admin.register(StatusChange)
class StatusChangeAdmin(LookOnlyAdmin):
    list_display = ("when", "about", "move", "who", "why")
    fields = ("about", "move", "stage", "who", "why", "at")
    readonly_fields = ("about", "move", "who", "why")
    list_filter = ("is_error", "verb", "stage")
    list_select_related = ("task",)
    search_fields = ("task__title", "by", "reason")

    when = moment("at", "When")

    @admin.display(description="Task")
    def about(self, change: StatusChange) -> SafeString:
        return task_link(change.task)

    @admin.display(description="By", ordering="by")
    def who(self, change: StatusChange) -> str:
        return person(change.by)

    @admin.display(description="Reason", ordering="reason")
    def why(self, change: StatusChange) -> SafeString:
        return format_html("<span>{}</span>", in_your_zone(change.reason, change.at))

    @admin.display(description="What")
    def move(self, change: StatusChange) -> SafeString | str:
        text = deed(change) if change.before == change.after else str(change)
        return pill("error", text) if change.is_error else text


@admin.register(Heartbeat)
class HeartbeatAdmin(LookOnlyAdmin):
    list_display = ("name", "state", "cluster", "alive_since", "last_beat")
    fields = ("name", "state", "cluster", "started", "beat")
    readonly_fields = ("state",)
    ordering = ("-beat",)

    @admin.display(description="State")
    def state(self, heart: Heartbeat) -> SafeString:
        """Since when it is silent, and when its row goes: after a restart the former workers stand here for a while."""
        if heart.beat >= timezone.now() - SILENT:
            return pill("done", "Alive")
        return format_html("{} {}", pill("error", "Silent"), format_html("since {}", clock(heart.beat)))

    alive_since = moment("started", "Started")
    last_beat = moment("beat", "Last beat")


@admin.register(FailedJob)
class FailedJobAdmin(LookOnlyAdmin):
    ordering = ("-stopped",)
    list_display = ("func", "stopped_", "cluster", "short")
    search_fields = ("func",)
    fields = ("func", "cluster", "started", "stopped", "traceback")
    readonly_fields = ("traceback",)

    stopped_ = moment("stopped", "Failed")

    @admin.display(description="Reason")
    def short(self, job: Any) -> str:
        return str(job.result or "").partition(" : ")[0][:200]

    @admin.display(description="Traceback")
    def traceback(self, job: Any) -> SafeString:
        return format_html("<pre>{}</pre>", job.result)
