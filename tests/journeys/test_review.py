"""A newcomer carries a video from its first gate to YouTube with keys alone, over the running stack."""

from collections.abc import Callable

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, expect

from production import asking
from production.models import Decision
from production.stages import REVIEWS, Status
from tests.chromium import CHROMIUM
from tests.journeys.conftest import Journey

pytestmark = [
    pytest.mark.journey,
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt install chromium)"),
]


def test_journey_newcomer_publishes_with_keys_alone(journey: Callable[..., Journey], chromium: Browser) -> None:
    run = journey(clips=2, pages=True, UNDO_SECONDS="1")
    page_id = run.queue("Why cats purr")
    client = Client()
    client.force_login(run.rehearsal.operator)
    context = chromium.new_context(base_url=run.stack.url)
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": run.stack.url}])
    page = context.new_page()
    gates = []
    while (task := run.task(page_id)) is None or task.status != Status.PUBLISHED:
        run.watch(lambda: asking.queue(None).exists() or is_published(run, page_id), "gate")
        if is_published(run, page_id):
            break
        page.goto(reverse("admin:production_task_next"))
        gates.append(page.locator("#status").inner_text())
        page.keyboard.press("a")
        expect(page.locator("#approve")).to_be_visible()
        page.keyboard.press("Enter")
        # Not the toast: with an undo of one second the page may be loaded anew before anybody has read it.
        run.watch(lambda: Decision.objects.filter(task__page_id=page_id).count() == len(gates), "decision")
    context.close()
    assert gates == [status.label for status in REVIEWS if status.label in gates]
    assert gates == ["Assets Ready", "Video Ready", "Audio Ready", "Final Review"]
    task = run.task(page_id)
    assert task
    assert [d.verb for d in task.decisions.all()] == ["approve"] * 4
    assert all(decision.seconds is not None for decision in task.decisions.all())


def is_published(run: Journey, page_id: str) -> bool:
    task = run.task(page_id)
    return task is not None and task.status == Status.PUBLISHED
