"""Where people go."""

from django.urls import reverse

from production.models import Task


def review_of(task: Task) -> str:
    return reverse("admin:production_task_review", args=[task.pk])
