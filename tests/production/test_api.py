"""The management API, as a script uses it."""

import pytest
from django.test import Client
from pytest_django import Settings

from production.stages import Status
from tests.factories import make_channel, make_take, make_task

TOKEN = "a-token-of-the-tests"
pytestmark = pytest.mark.django_db


@pytest.fixture
def api(settings: Settings) -> Client:
    settings.API_TOKEN = TOKEN
    return Client(headers={"Authorization": f"Bearer {TOKEN}"})


def test_list_tasks_by_status_and_channel(api):
    channel = make_channel()
    wanted = make_task(Status.QUEUED, channel=channel)
    make_task(Status.QUEUED)
    make_task(Status.DRAFT, channel=channel)
    said = api.get("/api/tasks", {"status": "queued", "channel_id": channel.pk}).json()
    assert (said["success"], [row["id"] for row in said["data"]]) == (True, [wanted.pk])
    assert said["data"][0]["channel"] == channel.name
    assert said["pagination"] == {"page": 1, "pages": 1, "total": 1}


def test_list_tasks_page_by_page_in_as_many_queries(api, django_assert_max_num_queries):
    for _ in range(5):
        make_task(Status.QUEUED)
    with django_assert_max_num_queries(2):
        said = api.get("/api/tasks", {"per_page": 2, "page": 3}).json()
    assert len(said["data"]) == 1
    assert said["pagination"] == {"page": 3, "pages": 3, "total": 5}


def test_get_task_says_why_it_waits(api):
    task = make_task(Status.QUEUED, channel=make_channel(active=False))
    said = api.get(f"/api/tasks/{task.pk}").json()["data"]
    assert said["waits_for"]["reason"] == f"Channel {task.channel} is switched off: nothing new starts"
    assert said["waits_for"]["who"] == "you"
    assert said["cost_usd"] == "0"


def test_get_take_says_why_it_waits(api):
    take = make_take(make_task(Status.GENERATING_ASSETS), "image", 1, state="failed", error="refused")
    said = api.get(f"/api/takes/{take.pk}").json()["data"]
    assert (said["piece"], said["waits_for"]["reason"]) == ("image 1", "image 1 failed: refused")


def test_retry_task_from_its_error_only(api):
    failed, draft = make_task(Status.ASSET_ERROR), make_task()
    assert api.post(f"/api/tasks/{failed.pk}/retry").json()["data"]["status"] in (Status.QUEUED, Status.CLAIMED)
    reply = api.post(f"/api/tasks/{draft.pk}/retry")
    assert (reply.status_code, reply.json()["error"]["code"]) == (409, "conflict")
    assert failed.changes.last().by == "api"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/tasks/999999", 404, "not_found"),
        ("/api/tasks?status=asleep", 422, "invalid"),
        ("/api/tasks?per_page=5000", 422, "invalid"),
    ],
)
def test_what_does_not_fit_is_said(api, path, status, code):
    reply = api.get(path)
    assert (reply.status_code, reply.json()["success"], reply.json()["error"]["code"]) == (status, False, code)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}])
@pytest.mark.parametrize("known", [TOKEN, ""])
def test_nobody_gets_in_without_the_token(client, settings: Settings, headers, known):
    settings.API_TOKEN = known
    reply = client.get("/api/tasks", headers=headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, "unauthorized")


def test_description_names_every_address(api):
    paths = api.get("/api/openapi.json").json()["paths"]
    assert {"/api/tasks", "/api/tasks/{task_id}", "/api/tasks/{task_id}/retry", "/api/takes/{take_id}"} == set(paths)
