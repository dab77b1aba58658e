"""The addresses of the pages measure: ours, and a plain admin with Django's changelist as it comes."""

from django.contrib.admin import AdminSite, ModelAdmin
from django.urls import path

from config.urls import urlpatterns as ours
from production.models import Task


class StockTasks(ModelAdmin):  # type: ignore[type-arg] # it is generic for mypy alone
    list_display = ("title", "channel", "status", "priority", "status_since")
    list_filter = ("channel", "status", "priority")
    search_fields = ("title",)


stock = AdminSite(name="stock")
stock.register(Task, StockTasks)
urlpatterns = [path("stock/", stock.urls), *ours]
