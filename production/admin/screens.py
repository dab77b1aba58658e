"""Pages about all tasks at once: the board, and how people decide."""

from typing import Any

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag

from production import reviewing, status_board
from production.admin import charts

KEPT = 60  # seconds; one picture serves everybody who asks for the same within its version


def board_page(request: HttpRequest, site: dict[str, Any]) -> TemplateResponse:
    wanted = status_board.Wanted.of(request.user, request.GET.dict())
    version = status_board.version(wanted)
    context = {
        "title": "Board",
        "choices": status_board.choices(wanted),
        "wanted": wanted,
        "version": quote_etag(version),
        "columns": _columns(wanted, version),
    }
    return TemplateResponse(request, "admin/production/board.html", site | context)


def columns(request: HttpRequest) -> HttpResponse:
    """What an open board asks for every few seconds: 304 while nothing is new."""
    wanted = status_board.Wanted.of(request.user, request.GET.dict())
    version = status_board.version(wanted)
    etag = quote_etag(version)
    unchanged = get_conditional_response(request, etag=etag)
    response = unchanged or HttpResponse(_columns(wanted, version))
    response["ETag"], response["Cache-Control"] = etag, "private, no-cache"
    return response


def _columns(wanted: status_board.Wanted, version: str) -> str:
    key = f"board:{version}"
    found: str | None = cache.get(key)
    if found is None:
        found = render_to_string("admin/production/board_columns.html", {"groups": status_board.read(wanted)})
        cache.set(key, found, KEPT)
    return found


def reviewers_page(request: HttpRequest, site: dict[str, Any]) -> TemplateResponse:
    decisions = reviewing.decisions(request.user)
    context = {
        "title": "Reviewers",
        "reviewers": reviewing.reviewers(decisions),
        "gates": reviewing.gates(request.user),
        "chart": charts.of_reviewers((decision.at, decision.by) for decision in decisions),
        "hasty": reviewing.HASTY,
        "days": reviewing.LOOK_BACK.days,
    }
    return TemplateResponse(request, "admin/production/reviewers.html", site | context)
