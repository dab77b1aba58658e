"""Many at once, and what staff limited to channels meet."""

from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from channels_app.models import ChannelLimit
from production.models import Task
from production.stages import Status
from tests.browser.conftest import Witness
from tests.factories import make_channel, make_production, make_staff
from tests.pages import review_of


def test_ten_are_approved_at_once_each_with_its_result(page: Page) -> None:
    channel = make_channel()
    for number in range(10):
        make_production(Status.ASSETS_READY, channel=channel, title=f"Film {number}")
    page.goto(f"{reverse('admin:production_task_changelist')}?who=you")
    page.locator("#action-toggle").check()
    page.locator("select[name=action]").select_option("approve_selected")
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".decide-many tbody tr")).to_have_count(10)
    expect(page.locator(".decide-many tbody")).to_contain_text("at most $0.84")
    assert Task.objects.filter(status=Status.ASSETS_READY).count() == 10
    page.get_by_role("button", name="Approve 10").click()
    for number in range(10):
        expect(page.get_by_text(f"“Film {number}”: Assets approved")).to_be_visible()
    assert Task.objects.filter(status=Status.ASSETS_APPROVED).count() == 10


def test_limited_reviewer_meets_a_404_on_a_foreign_clip(
    page: Page, context: BrowserContext, live_server: LiveServer, witness: Witness
) -> None:
    own, foreign = make_production(Status.VIDEO_READY), make_production(Status.VIDEO_READY, title="Foreign film")
    lina = make_staff("view_task", "change_task", username="lina")
    ChannelLimit.objects.create(user=lina).channels.add(own.channel)
    log_in(context, lina, live_server.url)
    page.goto(f"{reverse('admin:production_task_changelist')}?who=you")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    expect(page.locator("body")).not_to_contain_text("Foreign film")
    clips = [reverse("take-file", args=[task.takes.get(kind="clip", position=1).pk]) for task in (own, foreign)]
    page.goto(review_of(own))
    asked = page.evaluate("urls => Promise.all(urls.map(url => fetch(url).then(reply => reply.status)))", clips)
    assert asked == [200, 404]
    for url in (review_of(foreign), clips[1]):
        reply = page.goto(url)
        assert reply is not None
        assert reply.status == 404
    witness.faults.clear()  # Chromium's own word for each 404


def log_in(context: BrowserContext, user: User, home: str) -> None:
    client = Client()
    client.force_login(user)
    context.clear_cookies()
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": home}])
