"""What the admin pages share: rows that only look, and how status, time and money are written."""

import datetime as dt
from decimal import Decimal

from django.db.models import Model
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin


class HouseAdmin(ModelAdmin):  # type: ignore[misc] # unfold has no types
    """What every page of ours begins from."""

    list_filter_sheet = False


class LookOnlyAdmin(HouseAdmin):
    """Rows that the system writes and people read."""

    actions = None

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


def usd(sum_: Decimal | None) -> str:
    """Cents are enough for people; less than a cent says so."""
    if not sum_:
        return "–"
    return f"${sum_:,.2f}" if sum_ >= Decimal("0.01") else "< $0.01"


def bar(done: int, total: int, text: str) -> SafeString:
    return format_html(
        '<span class="progress"><progress value="{}" max="{}"></progress><span>{}</span></span>', done, total or 1, text
    )
