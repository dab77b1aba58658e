"""The words that go to YouTube, as people edit them."""

from typing import Any

from django import forms
from django.contrib.postgres.forms import SimpleArrayField
from django.utils import timezone
from unfold.widgets import UnfoldAdminTextInputWidget

from production import handling
from production.cards import STILLS
from production.errors import DecisionError
from production.models import Take, Task

MOST_BYTES = 5000  # of a description, in YouTube's count


class ProseField(forms.CharField):
    """Of several lines: a browser ends them by CRLF, the database and Notion by LF."""

    def to_python(self, value: Any) -> str | None:
        text = super().to_python(value)
        return text.replace("\r\n", "\n") if text else text


class TaskForm(forms.ModelForm):  # type: ignore[type-arg]
    """On the task's own page."""

    tags = SimpleArrayField(
        forms.CharField(max_length=100),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="A comma between two; the channel's own are added.",
    )

    class Meta:
        model = Task
        fields = ("title", "description", "tags", "privacy", "priority")
        field_classes = {"description": ProseField}

    def clean(self) -> dict[str, Any] | None:
        try:
            handling.require_unsent(self.instance, self.changed_data)
        except DecisionError as refusal:
            raise forms.ValidationError(str(refusal)) from refusal
        return super().clean()


class PublishForm(forms.ModelForm):  # type: ignore[type-arg]
    """At final review: all that a yes lets out."""

    tags = SimpleArrayField(forms.CharField(max_length=100), required=False)

    class Meta:
        model = Task
        fields = ("title", "description", "tags", "privacy", "publish_at", "synthetic_media", "thumbnail")
        field_classes = {"description": ProseField}
        labels = {"publish_at": "Goes public at"}

    def __init__(self, *args: Any, **words: Any) -> None:
        super().__init__(*args, **words)
        thumbnail = self.fields["thumbnail"]
        assert isinstance(thumbnail, forms.ModelChoiceField)
        thumbnail.queryset = Take.objects.filter(task=self.instance, kind__in=STILLS)

    @property
    def changes(self) -> list[str]:
        """The labels of what it would change."""
        return [f"{self[name].label}" for name in self.changed_data]

    def clean_description(self) -> str:
        text = str(self.cleaned_data["description"])
        if len(text.encode()) > MOST_BYTES:
            raise forms.ValidationError(f"A description has {MOST_BYTES} bytes at most, not {len(text.encode())}.")
        return text

    def clean_publish_at(self) -> Any:
        due = self.cleaned_data["publish_at"]
        if due and due <= timezone.now():
            raise forms.ValidationError("That moment is over: choose a later one, or none.")
        return due
