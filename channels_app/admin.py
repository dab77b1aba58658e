"""Channels in the admin: gates as checkboxes, tokens that are taken and never shown again."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.postgres.forms import SimpleArrayField
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextInputWidget,
)

from channels_app import access, selftest
from channels_app.branding import MOST_BRANDING
from channels_app.limited import LimitedAdmin, say_names
from channels_app.models import NOTION_GATES, OPTIONAL_GATES, Channel, Token
from channels_app.selftest import Level


class WriteOnlyForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form whose `secret` field takes a new value and never renders the stored one; empty keeps what is stored."""

    secret: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields.get(self.secret)
        if field:
            self.initial[self.secret] = ""
            field.required = self.instance.pk is None
            field.widget = UnfoldAdminPasswordWidget({"autocomplete": "new-password"}, render_value=False)
            stored = "Stored encrypted, never shown." if field.required else "Empty: the stored one stays."
            field.help_text = f"{field.help_text} {stored}".strip()

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.instance.pk and not cleaned.get(self.secret) and self.secret not in self.errors:
            cleaned[self.secret] = getattr(self.instance, self.secret)
        return cleaned


class TokenForm(WriteOnlyForm):
    secret = "value"  # noqa: S105 - the field's name

    def __init__(self, *args: Any, **words: Any) -> None:
        super().__init__(*args, **words)
        say_names(self, self.instance if self.instance.pk else "a new token")  # type: ignore[arg-type]

    class Meta:
        model = Token
        fields = ("name", "value")


class TokenInline(TabularInline):  # type: ignore[misc] # unfold has no types
    model = Token
    form = TokenForm
    extra = 0
    fields = ("name", "value", "stored")
    readonly_fields = ("stored",)
    hide_title = True
    tab = True

    @admin.display(description="Stored")
    def stored(self, token: Token) -> SafeString | str:
        """When, never what."""
        if not token.pk:
            return "–"
        return format_html('set <time class="ago" datetime="{}"></time>', token.updated.isoformat())


class ChannelForm(forms.ModelForm):  # type: ignore[type-arg]
    gates = forms.MultipleChoiceField(
        choices=OPTIONAL_GATES,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="Stages that wait for a person. The final review always does.",
    )
    notion_gates = forms.MultipleChoiceField(
        choices=NOTION_GATES,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        label="Gates that may be approved in Notion",
        help_text="A yes set there counts. Whoever may edit the row can give it, and it costs money.",
    )
    tags = SimpleArrayField(
        forms.CharField(max_length=100),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Added to every video's; a comma between two.",
    )

    class Meta:
        model = Channel
        exclude = ("created",)  # noqa: DJ006 - a new column belongs into this form
        help_texts = {
            "privacy": "Of a video whose row says nothing else.",
            "made_for_kids": "Said to YouTube of every video.",
        }

    def __init__(self, *args: Any, **words: Any) -> None:
        super().__init__(*args, **words)
        for field in self.fields.values():
            if isinstance(field, forms.FileField):
                field.help_text = f"{field.help_text} At most {MOST_BRANDING // 1_000_000} MB."


TAB = ["tab"]
COUNTED = {"passed": Level.PASS, "warned": Level.WARN, "failed": Level.FAIL}


@admin.register(Channel)
class ChannelAdmin(LimitedAdmin):
    form = ChannelForm
    inlines = (TokenInline,)
    list_display = (
        "badge",
        "active",
        "language",
        "gate_list",
        "max_concurrent",
        "clips_per_video",
        "privacy",
        "health",
    )
    list_editable = ("active", "max_concurrent")
    search_fields = ("name", "slug")
    ordering = ("name",)  # counted rows forget the order of the model
    prepopulated_fields = {"slug": ("name",)}
    change_form_outer_before_template = "admin/channels/channel/before.html"
    fieldsets = (
        (None, {"fields": (("name", "slug"), ("active", "language"), ("colour", "emoji"))}),
        ("Voice", {"classes": TAB, "fields": ("voice_id", ("voice_stability", "voice_similarity", "voice_style"))}),
        (
            "Look",
            {
                "classes": TAB,
                "fields": ("style", ("intro", "outro"), ("watermark", "fade"), ("captions", "thumbnail")),
            },
        ),
        (
            "Gates",
            {
                "classes": TAB,
                "description": "Where a person is asked before work goes on, and what a plan is compared with.",
                "fields": (("gates", "notion_gates"), ("family", "most_similarity")),
            },
        ),
        (
            "Limits",
            {"classes": TAB, "fields": (("clips_per_video", "assets_per_video"), ("max_concurrent", "share"))},
        ),
        (
            "Publishing",
            {
                "classes": TAB,
                "fields": (
                    ("privacy", "category_id"),
                    "description_template",
                    "tags",
                    ("made_for_kids", "synthetic_media"),
                    "storage",
                ),
            },
        ),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Channel | None = None) -> tuple[str, ...]:
        """The folder's name never changes."""
        return ("slug",) if obj else ()

    def get_prepopulated_fields(self, request: HttpRequest, obj: Channel | None = None) -> dict[str, Any]:
        return {} if obj else dict(self.prepopulated_fields)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Channel]:
        """With how many checks of each level: one query for the whole list."""
        found: QuerySet[Channel] = super().get_queryset(request)
        counts = {name: Count("checks", filter=Q(checks__level=level)) for name, level in COUNTED.items()}
        return found.annotate(**counts)

    def get_urls(self) -> list[Any]:
        own = path("<int:pk>/checks/", self.admin_site.admin_view(self.checks), name="channels_channel_checks")
        return [own, *super().get_urls()]

    def checks(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The self-test's results as a fragment that the page asks for again while some are awaited; POST asks all
        checks anew."""
        channel = get_object_or_404(access.seen_by(Channel.objects.all(), request.user), pk=pk)
        may_ask = self.has_change_permission(request, channel)
        if not self.has_view_permission(request, channel) or (request.method == "POST" and not may_ask):
            raise PermissionDenied
        if request.method == "POST":
            selftest.ask(channel)
            if "HX-Request" not in request.headers:
                return redirect("admin:channels_channel_change", pk)
        lines = selftest.lines(channel)
        context = {"channel": channel, "lines": lines, "may_ask": may_ask}
        lost = any(line.is_lost for line in lines) or selftest.is_silent(lines)
        context |= {"waits": any(line.is_waiting for line in lines), "lost": lost}
        return render(request, "admin/channels/channel/checks.html", context)

    @admin.display(description="Channel", ordering="name")
    def badge(self, channel: Channel) -> SafeString:
        return channel.badge

    @admin.display(description="Self-test")
    def health(self, channel: Any) -> SafeString | str:
        """The worst that was found last."""
        if not (channel.passed or channel.warned or channel.failed):
            return "–"
        tone, text = "done", "Ready"
        if channel.warned:
            tone, text = "you", f"{channel.warned} to look at"
        if channel.failed:
            tone, text = "error", f"{channel.failed} failed"
        return format_html('<span class="pill pill-{}">{}</span>', tone, text)

    @admin.display(description="Waits for a person at")
    def gate_list(self, channel: Channel) -> str:
        titles = dict(OPTIONAL_GATES)
        return ", ".join([*(titles[gate] for gate in channel.gates if gate in titles), "Final review"])
