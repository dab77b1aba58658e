"""What every admin page of ours begins from: staff limited to channels meet nothing of the others there."""

from typing import Any

from django.contrib.admin import RelatedFieldListFilter
from django.contrib.admin.options import ModelAdmin as PlainAdmin
from django.db.models import ForeignKey, ManyToManyField, Model, QuerySet
from django.forms import Form, ModelChoiceField, ModelForm, ModelMultipleChoiceField
from django.http import Http404, HttpRequest
from unfold.admin import ModelAdmin

from channels_app import access


class SeenFilter(RelatedFieldListFilter):
    """Offers only what the person may see."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: "PlainAdmin[Any]") -> list[Any]:
        ordering = self.field_admin_ordering(field, request, model_admin)
        seen = access.only(field.remote_field.model, request.user)
        found: list[Any] = field.get_choices(include_blank=False, ordering=ordering, limit_choices_to=seen)
        return found


def say_names(form: Form, of: object) -> None:
    """A field in a row of a table has no label of its own: who hears the page has to be told which it is, and whose."""
    for field in form.fields.values():
        field.widget.attrs["aria-label"] = f"{field.label} of {of}"


class RowForm(ModelForm):  # type: ignore[type-arg]
    """Of a list that can be edited in place."""

    def __init__(self, *args: Any, **words: Any) -> None:
        super().__init__(*args, **words)
        say_names(self, self.instance)  # type: ignore[arg-type] # a form all the same


class LimitedAdmin(ModelAdmin):  # type: ignore[misc] # unfold has no types
    """Lists, forms, pickers, filters, searches and actions, all by `access`. What is not seen is not there: 404."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return access.seen_by(super().get_queryset(request), request.user)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Model:
        found: Model | None = super().get_object(request, object_id, from_field)
        if found is None:
            raise Http404("There is no such row")
        return found

    def get_changelist_form(self, request: HttpRequest, **words: Any) -> "type[ModelForm[Any]]":
        found: type[ModelForm[Any]] = super().get_changelist_form(request, form=RowForm, **words)
        return found

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        return [
            (name, SeenFilter) if name == "channel" or self._leads_to_rows(name) else name
            for name in super().get_list_filter(request)
        ]

    def _leads_to_rows(self, name: Any) -> bool:
        return isinstance(name, str) and self.opts.get_field(name).is_relation

    def formfield_for_foreignkey(
        self, db_field: "ForeignKey[Any, Any]", request: HttpRequest, **words: Any
    ) -> "ModelChoiceField[Any] | None":
        """Who is limited also has to name a channel: an empty one stands for every channel."""
        field: ModelChoiceField[Any] | None = super().formfield_for_foreignkey(db_field, request, **words)
        if field and field.queryset is not None:
            field.queryset = access.seen_by(field.queryset, request.user)
            if db_field.name == "channel" and access.channels_of(request.user) is not None:
                field.required = True
        return field

    def formfield_for_manytomany(
        self, db_field: "ManyToManyField[Any, Any]", request: HttpRequest, **words: Any
    ) -> "ModelMultipleChoiceField[Any] | None":
        field: ModelMultipleChoiceField[Any] | None = super().formfield_for_manytomany(db_field, request, **words)
        if field and field.queryset is not None:
            field.queryset = access.seen_by(field.queryset, request.user)
        return field
