"""Who may log in, what they may do (groups) and of which channels (a limit), in the same dress as everything else."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as PlainGroupAdmin
from django.contrib.auth.admin import UserAdmin as PlainUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import ManyToManyField, Model, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.admin import StackedInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from channels_app.models import ChannelLimit
from production.admin.base import HouseAdmin, moment

# Boxes to tick: a list of words in two boxes can't be used without seeing them.
TICKED: dict[Any, Any] = {ManyToManyField: {"widget": UnfoldAdminCheckboxSelectMultipleWidget}}

admin.site.unregister(User)
admin.site.unregister(Group)


class LimitInline(StackedInline):  # type: ignore[misc] # unfold has no types
    model = ChannelLimit
    max_num = 1
    extra = 0
    formfield_overrides = TICKED
    verbose_name_plural = "Channels: add a limit, and this person sees nothing of any other"


class ForSuperusers:
    """Whoever may change people or roles could make themselves a superuser: a right like any other does not do."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_add_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_add_permission(request)


@admin.register(User)
class UserAdmin(ForSuperusers, PlainUserAdmin, HouseAdmin):  # type: ignore[type-arg, misc] # unfold has no types
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "roles", "limit", "is_active", "is_superuser", "seen")
    list_filter = ("is_active", "is_superuser", "groups")
    inlines = (LimitInline,)
    filter_horizontal = ()
    formfield_overrides = TICKED
    # What a person may do are the groups: single permissions of single people are what nobody finds again.
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Who it is", {"fields": (("first_name", "last_name"), "email")}),
        ("What this person may do", {"fields": ("groups", "is_active", "is_staff", "is_superuser")}),
        ("When", {"fields": ("last_login", "date_joined")}),
    )
    readonly_fields = ("last_login", "date_joined")

    seen = moment("last_login", "Last login")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        found: QuerySet[User] = super().get_queryset(request)
        return found.prefetch_related("groups", "channel_limit__channels")

    def get_inlines(self, request: HttpRequest, obj: User | None) -> list[Any]:
        """A person has to be there before there is anything to limit."""
        return list(self.inlines) if obj else []

    @admin.display(description="Roles")
    def roles(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all()) or "–"

    @admin.display(description="Channels")
    def limit(self, user: User) -> SafeString | str:
        if user.is_superuser or not hasattr(user, "channel_limit"):
            return "All"
        channels = user.channel_limit.channels.all()
        return format_html_join(" ", "{}", ((channel.badge,) for channel in channels)) or "None"


@admin.register(Group)
class GroupAdmin(ForSuperusers, PlainGroupAdmin, HouseAdmin):  # type: ignore[misc]
    filter_horizontal = ()
    formfield_overrides = TICKED
