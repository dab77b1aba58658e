"""The management API, `/api/`: what the tasks are at and why they wait, and another try. For scripts, not for people.

`Authorization: Bearer API_TOKEN`; without that setting nobody gets in. Every answer is an envelope: `{"success": true,
"data": …}`, with `pagination` for lists, or `{"success": false, "error": {"code": …, "message": …}}`. The description
is at `/api/openapi.json`.
"""

import datetime as dt
import hmac
from decimal import Decimal
from typing import Any, Generic, TypeVar

from django.conf import settings
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from ninja import NinjaAPI, Query, Schema
from ninja.errors import AuthenticationError, ValidationError
from ninja.security import HttpBearer
from pydantic import Field

from production import decisions, explain, outbox
from production.errors import IllegalMoveError, StaleError
from production.models import Take, Task
from production.stages import Status

MOST_A_PAGE = 100
Data = TypeVar("Data")


class ApiToken(HttpBearer):
    def authenticate(self, request: HttpRequest, token: str) -> str | None:
        """The one token of API_TOKEN, compared in constant time."""
        known = str(settings.API_TOKEN)
        return "api" if known and hmac.compare_digest(token.encode(), known.encode()) else None


api = NinjaAPI(title="Content operations", version="1", auth=ApiToken(), docs_url=None, urls_namespace="api")


# ---------------------------------------------------------------- what is said


class Blocker(Schema):
    """Why it isn't running; `until` where that is known, `who` is to do something: you, system or provider."""

    reason: str
    until: dt.datetime | None
    who: str


class TaskOut(Schema):
    id: int
    title: str
    channel_id: int
    channel: str = Field(alias="channel.name")
    status: str
    priority: str = Field(alias="get_priority_display")
    status_since: dt.datetime
    stuck_since: dt.datetime | None
    page_id: str
    youtube_url: str


class TaskDetail(TaskOut):
    cost_usd: Decimal
    waits_for: Blocker


class TakeOut(Schema):
    id: int
    task_id: int
    piece: str = Field(alias="name")
    number: int
    state: str
    lane: str = Field(alias="lane_id")
    attempt: int
    error: str
    waits_for: Blocker


class Pagination(Schema):
    page: int
    pages: int
    total: int


class One(Schema, Generic[Data]):
    success: bool = True
    data: Data


class Many(Schema, Generic[Data]):
    success: bool = True
    data: list[Data]
    pagination: Pagination


class Error(Schema):
    code: str
    message: str


class Failed(Schema):
    success: bool = False
    error: Error


class TaskFilter(Schema):
    status: Status | None = None
    channel_id: int | None = None
    page: int = Field(1, ge=1)
    per_page: int = Field(50, ge=1, le=MOST_A_PAGE)


# ---------------------------------------------------------------- what can be asked

REFUSED = {400: Failed, 401: Failed, 404: Failed, 422: Failed}


@api.get("/tasks", response={200: Many[TaskOut]} | REFUSED)
def list_tasks(request: HttpRequest, wanted: Query[TaskFilter]) -> dict[str, Any]:
    """Tasks, the newest first."""
    chosen = {name: value for name, value in wanted.dict(include={"status", "channel_id"}).items() if value is not None}
    tasks = Task.objects.select_related("channel").filter(**chosen).order_by("-pk")
    page = Paginator(tasks, wanted.per_page).get_page(wanted.page)
    pagination = {"page": page.number, "pages": page.paginator.num_pages, "total": page.paginator.count}
    return {"data": list(page), "pagination": pagination}


@api.get("/tasks/{task_id}", response={200: One[TaskDetail]} | REFUSED)
def get_task(request: HttpRequest, task_id: int) -> dict[str, Any]:
    """One task, what it has cost, and why it isn't running."""
    return {"data": _detail(_task(task_id))}


@api.post("/tasks/{task_id}/retry", response={200: One[TaskDetail], 409: Failed} | REFUSED)
def retry_task(request: HttpRequest, task_id: int) -> dict[str, Any]:
    """From the point of failure. 409 where nothing has failed."""
    decisions.retry(_task(task_id), by="api")
    return {"data": _detail(_task(task_id))}


@api.get("/takes/{take_id}", response={200: One[TakeOut]} | REFUSED)
def get_take(request: HttpRequest, take_id: int) -> dict[str, Any]:
    """One take and why it isn't running."""
    take = get_object_or_404(Take.objects.select_related("task", "channel", "lane"), pk=take_id)
    return {"data": _with(take, waits_for=explain.why_take(take))}


def _task(task_id: int) -> Task:
    return get_object_or_404(Task.objects.select_related("channel"), pk=task_id)


def _detail(task: Task) -> Task:
    return _with(task, cost_usd=outbox.cost(task), waits_for=explain.why(task))


Row = TypeVar("Row", Task, Take)


def _with(row: Row, **more: object) -> Row:
    for name, value in more.items():
        setattr(row, name, value)
    return row


# ---------------------------------------------------------------- what goes wrong


def _failed(request: HttpRequest, status: int, code: str, message: str) -> HttpResponse:
    return api.create_response(request, {"success": False, "error": {"code": code, "message": message}}, status=status)


@api.exception_handler(AuthenticationError)
def _unauthorized(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return _failed(request, 401, "unauthorized", "Send Authorization: Bearer with the value of API_TOKEN")


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return _failed(request, 404, "not_found", "There is no such row")


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """The first fault, with the place where it is."""
    first = error.errors[0]
    return _failed(request, 422, "invalid", f"{'.'.join(str(part) for part in first['loc'][1:])}: {first['msg']}")


@api.exception_handler(IllegalMoveError)
@api.exception_handler(StaleError)
def _conflict(request: HttpRequest, error: Exception) -> HttpResponse:
    return _failed(request, 409, "conflict", str(error))
