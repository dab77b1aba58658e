"""Where people go."""

from collections.abc import Iterator

from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import reverse

from production.models import Task


def review_of(task: Task) -> str:
    return reverse("admin:production_task_review", args=[task.pk])


def every_form() -> Iterator[str]:
    """The empty form of every registered model, of a password, and of who comes in. Some nobody may open."""
    yield reverse("admin:password_change")
    yield reverse("admin:auth_user_password_change", args=[User.objects.earliest("pk").pk])
    for model in admin.site._registry:
        yield reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_add")


def every_page() -> Iterator[str]:
    """The list of every registered model, and the form of one of its rows."""
    yield reverse("admin:index")
    yield from (reverse(f"admin:production_task_{name}") for name in ("board", "reviewers"))
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"{name}_changelist")
        row = model._default_manager.first()
        assert row is not None, name
        yield reverse(f"{name}_change", args=[row.pk])
    for task in Task.objects.all():
        yield review_of(task)
