"""What the admin pages share: rows that only look, and how status, time and money are written."""

import datetime as dt
from collections.abc import Callable
from functools import cache
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import DateTimeField, Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from channels_app.limited import LimitedAdmin
from production.models import Task


class HouseAdmin(LimitedAdmin):
    """What every page of ours begins from."""

    list_filter_sheet = False
    empty_value_display = "–"


class LookOnlyAdmin(HouseAdmin):
    """Rows that the system writes and people read, the newest first."""

    actions: tuple[str, ...] | None = None
    ordering: tuple[str, ...] = ("-pk",)
    show_full_result_count = False

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Of an unfiltered list unfold would say "166 results (show all)", as if some were hidden."""
        found: ChangeList = super().get_changelist_instance(request)
        if not found.has_active_filters and not found.query:
            found.full_result_count = found.result_count
        return found

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Moments in the reader's zone, where Django would write those of the server."""
        clocks = {field.name: _clock(field) for field in self.opts.fields if isinstance(field, DateTimeField)}
        return [
            (title, {**options, "fields": [clocks.get(name, name) for name in options["fields"]]})
            for title, options in super().get_fieldsets(request, obj)
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def pill(tone: str, text: str) -> SafeString:
    return format_html('<span class="pill pill-{}">{}</span>', tone, text)


def ago(at: dt.datetime | None) -> SafeString | str:
    """A moment, which the browser turns into "3 minutes ago", the exact time of the reader's zone beside it."""
    if at is None:
        return "–"
    return format_html('<time class="ago" datetime="{}">{}</time>', at.isoformat(), f"{at:%Y-%m-%d %H:%M} UTC")


@cache
def _clock(field: "DateTimeField[Any, Any]") -> Callable[[Any], SafeString | str]:
    """What a form shows in the field's place: the moment, exactly."""

    @admin.display(description=str(field.verbose_name).capitalize())
    def exactly(row: Any) -> SafeString | str:
        return clock(getattr(row, field.name))

    exactly.__name__ = f"{field.name}_clock"
    return exactly


def clock(at: dt.datetime | None) -> SafeString | str:
    if at is None:
        return "–"
    return format_html(
        '<time class="clock" datetime="{0}">{1}</time> · <time class="ago" datetime="{0}"></time>',
        at.isoformat(),
        f"{at:%Y-%m-%d %H:%M} UTC",
    )


def moment(field: str, title: str) -> Callable[[Any, Any], SafeString | str]:
    """A column that shows when."""

    @admin.display(description=title, ordering=field)
    def column(self: Any, row: Any) -> SafeString | str:
        return ago(getattr(row, field))

    return column


def task_link(task: Task) -> SafeString:
    return format_html('<a class="task-link" href="{}">{}</a>', review_url(task), task)


def review_url(task: Task) -> str:
    return reverse("admin:production_task_review", args=[task.pk])


def outward(url: str) -> SafeString | str:
    """A link to somewhere else, which does not hear where it was followed from."""
    return format_html('<a href="{0}" rel="noreferrer">{0}</a>', url) if url else "–"


@admin.display(description="Origin")
def origin(row: Any) -> SafeString | str:
    return pill("simulated", "Simulated") if row.simulated else "Vendor"


def bar(done: int, total: int, text: str) -> SafeString:
    return format_html(
        '<span class="progress"><progress value="{}" max="{}"></progress><span>{}</span></span>', done, total or 1, text
    )
