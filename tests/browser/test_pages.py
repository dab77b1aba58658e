"""Every page of the admin, opened: nothing breaks the policy, and nobody is kept out by how it is made."""

import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import Page, expect

from channels_app.models import Channel
from production import review
from production.models import Task
from production.stages import Status
from tests.browser.conftest import Witness
from tests.house import make_busy_house
from tests.pages import every_page, review_of

SERIOUS = ("serious", "critical")


@pytest.fixture
def house(page: Page) -> Channel:
    return make_busy_house()


def test_every_page_keeps_to_the_policy(page: Page, house: Channel, witness: Witness) -> None:
    """Chromium says each breach as an error of the console; the page's fixture fails on any."""
    for url in (*every_page(), reverse("admin:password_change"), reverse("admin:production_cap_add")):
        reply = page.goto(url)
        assert reply is not None
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy, url
        scripts = re.search(r"script-src ([^;]+)", policy)
        assert scripts is not None
        assert scripts[1] in ("'self'", "'self' 'unsafe-eval'"), url
        assert witness.faults == [], url


def test_review_keeps_to_the_strict_policy(page: Page, house: Channel) -> None:
    reply = page.goto(review_of(Task.objects.first() or Task()))
    assert reply is not None
    assert "unsafe" not in reply.headers["content-security-policy"]


def test_answers_without_a_page_have_the_strict_policy(page: Page) -> None:
    for url in ("/health", "/api/tasks", "/admin/no/such/page/"):
        policy = page.request.get(url).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


def overview() -> str:
    return reverse("admin:index")


def board() -> str:
    return reverse("admin:production_task_board")


def reviewers() -> str:
    return reverse("admin:production_task_reviewers")


def tasks() -> str:
    return reverse("admin:production_task_changelist")


def lanes() -> str:
    return reverse("admin:production_provider_changelist")


def channel_form() -> str:
    return reverse("admin:channels_channel_change", args=[Channel.objects.earliest("pk").pk])


def user_form() -> str:
    return reverse("admin:auth_user_change", args=[User.objects.earliest("pk").pk])


def gate() -> str:
    task = Task.objects.get(status=Status.ASSET_ERROR)
    assert review.read(task).verbs
    return review_of(task)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("place", [overview, board, reviewers, tasks, lanes, channel_form, user_form, gate])
def test_page_has_no_serious_barrier(page: Page, house: Channel, place: Callable[[], str], theme: str) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.goto(place())
    expect(page.locator("html")).to_have_class(re.compile("dark") if theme == "dark" else re.compile("^(?!.*dark)"))
    found = Axe().run(page).response["violations"]
    told = [f"{one['id']}: {node['html'][:200]}" for one in found if one["impact"] in SERIOUS for node in one["nodes"]]
    assert told == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_charts_are_drawn_in_the_colours_of_the_theme(page: Page, house: Channel, theme: str) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.goto(overview())
    drawn = page.evaluate("Object.values(Chart.instances).map(chart => chart.data.datasets[0].backgroundColor)")
    shade = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--working')")
    assert shade in drawn


def test_chart_has_its_numbers_as_a_table(page: Page, house: Channel) -> None:
    page.goto(overview())
    figure = page.locator("figure", has_text="Cost in 7 days")
    expect(figure.locator("canvas")).to_have_attribute("aria-label", re.compile("numbers are in the table"))
    figure.locator("summary").click()
    expect(figure.get_by_role("row").nth(1)).to_contain_text("0.03")
