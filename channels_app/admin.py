"""Channels in the admin: gates as checkboxes, tokens that are taken and never shown again."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.postgres.forms import SimpleArrayField
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextInputWidget,
)

from channels_app.limited import LimitedAdmin, say_names
from channels_app.models import OPTIONAL_GATES, Channel, Token


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
            field.help_text = "Stored encrypted, never shown." if field.required else "Empty: the stored one stays."

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
    tags = SimpleArrayField(
        forms.CharField(max_length=100),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Added to every video's; a comma between two.",
    )

    class Meta:
        model = Channel
        exclude = ("created",)  # noqa: DJ006 - a new column belongs into this form


@admin.register(Channel)
class ChannelAdmin(LimitedAdmin):
    form = ChannelForm
    inlines = (TokenInline,)
    list_display = ("name", "active", "language", "gate_list", "max_concurrent", "clips_per_video", "privacy")
    list_editable = ("active", "max_concurrent")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    fieldsets = (
        (None, {"fields": (("name", "slug"), ("active", "language"))}),
        ("What people decide", {"fields": ("gates",)}),
        (
            "What is made",
            {
                "fields": (
                    "style",
                    ("clips_per_video", "assets_per_video"),
                    ("family", "most_similarity"),
                    ("max_concurrent", "share"),
                )
            },
        ),
        (
            "Film",
            {"fields": (("intro", "outro"), ("watermark", "fade"), ("captions", "thumbnail"))},
        ),
        ("Voice", {"fields": ("voice_id", ("voice_stability", "voice_similarity", "voice_style"))}),
        (
            "What is published",
            {
                "fields": (
                    ("privacy", "category_id"),
                    "description_template",
                    "tags",
                    ("made_for_kids", "synthetic_media"),
                )
            },
        ),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Channel | None = None) -> tuple[str, ...]:
        """The folder's name never changes."""
        return ("slug",) if obj else ()

    def get_prepopulated_fields(self, request: HttpRequest, obj: Channel | None = None) -> dict[str, Any]:
        return {} if obj else dict(self.prepopulated_fields)

    @admin.display(description="Waits for a person at")
    def gate_list(self, channel: Channel) -> str:
        titles = dict(OPTIONAL_GATES)
        return ", ".join([*(titles[gate] for gate in channel.gates if gate in titles), "Final review"])
