"""An open page asks often: that costs little, and tells who else is there."""

import datetime as dt

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from production.models import Presence, Take
from production.stages import Status
from tests.factories import make_operator, make_production, make_take

pytestmark = pytest.mark.django_db


def poll(client: Client, task, tag: str = ""):
    headers = {"If-None-Match": tag} if tag else {}
    return client.get(reverse("admin:production_task_progress", args=[task.pk]), headers=headers)


def login(name: str) -> Client:
    client = Client()
    client.force_login(make_operator(username=name))
    return client


def test_poll_of_nothing_new_is_304_for_one_query_beside_the_login(django_assert_num_queries: DjangoAssertNumQueries):
    olga, task = login("olga"), make_production(Status.GENERATING_VIDEO, clips=20)
    tag = poll(olga, task)["ETag"]
    with django_assert_num_queries(3):
        reply = poll(olga, task, tag)
    assert (reply.status_code, reply.content) == (304, b"")


def test_poll_tells_what_is_new():
    olga, task = login("olga"), make_production(Status.GENERATING_VIDEO)
    before = poll(olga, task)
    make_take(task, "clip", 1, state=Take.State.WAITING)
    after = poll(olga, task, before["ETag"])
    assert after.status_code == 200
    assert after.json()["version"] != before.json()["version"]


def test_poll_names_who_else_is_there_until_they_have_gone():
    olga, anna, task = login("olga"), login("anna"), make_production(Status.VIDEO_READY)
    alone = poll(olga, task)
    poll(anna, task)
    both = poll(olga, task, alone["ETag"])
    assert (alone.json()["others"], both.json()["others"]) == ("", "anna")
    assert both.json()["version"] == alone.json()["version"]
    Presence.objects.filter(user__username="anna").update(seen=timezone.now() - dt.timedelta(minutes=1))
    assert poll(olga, task, both["ETag"]).json()["others"] == ""
    assert poll(anna, make_production(Status.VIDEO_READY)).json()["others"] == ""


def test_poll_writes_a_beat_now_and_then(django_assert_num_queries: DjangoAssertNumQueries):
    olga, task = login("olga"), make_production(Status.VIDEO_READY)
    poll(olga, task)
    Presence.objects.update(seen=timezone.now() - dt.timedelta(seconds=9))
    tag = poll(olga, task)["ETag"]
    assert Presence.objects.get().seen > timezone.now() - dt.timedelta(seconds=5)
    Presence.objects.update(seen=timezone.now() + dt.timedelta(hours=1))  # the clock was put back
    poll(olga, task, tag)
    assert Presence.objects.get().seen < timezone.now()


def test_poll_of_no_task_is_not_found():
    assert login("olga").get(reverse("admin:production_task_progress", args=[7])).status_code == 404


def test_takes_of_a_piece_that_is_not_there_are_not_found():
    olga, task = login("olga"), make_production(Status.VIDEO_READY)
    for kind, position in (("clip", 99), ("nonsense", 1)):
        url = reverse("admin:production_task_takes", args=[task.pk, kind, position])
        assert olga.get(url).status_code == 404
