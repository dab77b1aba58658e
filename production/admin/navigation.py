"""The sidebar: what people do first stands first."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse_lazy

from channels_app import access
from production import asking
from production.models import Alert

Item = dict[str, Any]


def _item(title: str, icon: str, url: str, permission: str = "", **more: Any) -> Item:
    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{url}")} | _guard(permission) | more


def _guard(permission: str) -> Item:
    return {"permission": lambda request: request.user.has_perm(permission)} if permission else {}


def _model(title: str, icon: str, label: str, **more: Any) -> Item:
    """The list of a model, for those who may see it."""
    app, _, model = label.partition(".")
    return _item(title, icon, f"{app}_{model}_changelist", f"{app}.view_{model}", **more)


def _is_among_tasks(request: HttpRequest) -> bool:
    """The board and the reviewers stand below the tasks' address, but have items of their own."""
    match = request.resolver_match
    own = ("production_task_board", "production_task_reviewers")
    return bool(
        match and match.url_name and match.url_name.startswith("production_task_") and match.url_name not in own
    )


def _badge(request: HttpRequest) -> Item:
    """How many tasks wait for a person; nothing where none does."""
    count = asking.queue(request.user).count() if request.user.has_perm("production.view_task") else 0
    return {"badge": str(count), "badge_variant": "warning"} if count else {}


def _alarm(request: HttpRequest) -> Item:
    """How many causes of trouble are open."""
    count = (
        access.seen_by(Alert.objects.open(), request.user).count()
        if request.user.has_perm("production.view_alert")
        else 0
    )
    return {"badge": str(count), "badge_variant": "danger"} if count else {}


def groups(request: HttpRequest) -> list[Item]:
    """UNFOLD's sidebar navigation."""
    work = [
        _item("Overview", "space_dashboard", "index"),
        _item(
            "Review",
            "rate_review",
            "production_task_next",
            "production.view_task",
            **_badge(request),
        ),
        _item("Board", "view_kanban", "production_task_board", "production.view_task"),
        _model("Tasks", "movie", "production.task", active=_is_among_tasks),
        _model("Takes", "burst_mode", "production.take"),
    ]
    channels = [
        _model("Channels", "live_tv", "channels.channel"),
        _model("YouTube accounts", "smart_display", "publishing.youtubeaccount"),
        _model("Uploads", "cloud_upload", "publishing.upload"),
    ]
    money = [
        _model("Lanes", "alt_route", "production.provider"),
        _model("Ledger", "payments", "production.ledgerentry"),
        _model("Caps", "block", "production.cap"),
    ]
    notion = [
        _model("Database", "table", "production.notionboard"),
        _model("Events", "webhook", "production.notionevent"),
        _model("Writes", "call_made", "production.notionwrite"),
        _model("Files in rows", "attach_file", "production.sharedfile"),
        _model("Differences", "difference", "production.notiondrift"),
    ]
    operation = [
        _model("Alerts", "notifications", "production.alert", **_alarm(request)),
        _model("History", "history", "production.statuschange"),
        _model("Workers", "memory", "production.heartbeat"),
        _model("Failed jobs", "error", "production.failedjob"),
        _item("Reviewers", "hourglass_top", "production_task_reviewers", "production.view_statuschange"),
        _model("Users", "person", "auth.user"),
        _model("Groups", "group", "auth.group"),
    ]
    titled = {"": work, "Channels": channels, "Lanes and money": money, "Notion": notion, "Operation": operation}
    return [{"title": title, "separator": bool(title), "items": items} for title, items in titled.items()]
