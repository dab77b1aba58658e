"""The screens of production, one concern a file."""

from django.contrib import admin

from production.admin import alerts, lanes, notion, operations, people, tasks

admin.site.index_title = "Overview"

__all__ = ["alerts", "lanes", "notion", "operations", "people", "tasks"]
