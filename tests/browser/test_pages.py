"""Every page of the admin, opened: nothing breaks the policy, and nobody is kept out by how it is made."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from playwright.sync_api import Page, Response, expect

from channels_app.models import Channel
from production.models import Task
from production.stages import Status
from tests.browser.conftest import Witness
from tests.factories import make_production
from tests.house import make_busy_house
from tests.pages import every_form, every_page, review_of

SERIOUS = ("serious", "critical")


@pytest.fixture
def house(page: Page) -> Channel:
    return make_busy_house()


def goto(page: Page, url: str, witness: Witness) -> Response:
    """A form that nobody may open is refused, which Chromium calls an error."""
    reply = page.goto(url)
    assert reply is not None
    assert reply.status in (200, 403), url
    if reply.status == 403:
        witness.faults.clear()
    return reply


def test_every_page_keeps_to_the_policy(page: Page, house: Channel, witness: Witness) -> None:
    """Chromium says each breach as an error of the console; the page's fixture fails on any."""
    for url in (*every_page(), *every_form()):
        reply = goto(page, url, witness)
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


def barriers(page: Page, theme: str) -> list[str]:
    """What keeps somebody out of the page as it is. In the dark only colours differ."""
    options = {"runOnly": ["color-contrast"]} if theme == "dark" else {}
    found = Axe().run(page, options=options).response["violations"]
    serious = (one for one in found if one["impact"] in SERIOUS)
    return [f"{page.url} {one['id']}: {node['html'][:200]}" for one in serious for node in one["nodes"]]


def set_theme(page: Page, theme: str) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_serious_barrier(page: Page, house: Channel, witness: Witness, theme: str) -> None:
    set_theme(page, theme)
    task = Task.objects.get(status=Status.UPLOADING)
    takes = reverse("admin:production_task_takes", args=[task.pk, "image", 1])
    told = []
    for url in (*every_page(), *every_form(), takes):
        if goto(page, url, witness).ok:
            expect(page.locator("html")).to_have_class(
                re.compile(r"\bdark\b" if theme == "dark" else r"^((?!\bdark\b).)*$")
            )
            told += barriers(page, theme)
    assert not told, "\n".join(told)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_dialogs_and_questions_have_no_serious_barrier(page: Page, theme: str) -> None:
    set_theme(page, theme)
    task = make_production(Status.FINAL_REVIEW)
    page.goto(review_of(task))
    told = []
    for name in page.evaluate("[...document.querySelectorAll('dialog')].map(dialog => dialog.id)"):
        page.evaluate("name => document.getElementById(name).showModal()", name)
        told += barriers(page, theme)
        page.evaluate("name => document.getElementById(name).close()", name)
    for action in ("approve_selected", "reject_selected", "retry_selected"):
        page.goto(reverse("admin:production_task_changelist"))
        page.locator("[name=_selected_action]").first.check()
        page.locator("[name=action]").first.select_option(action)
        page.evaluate("document.querySelector('#changelist-form').submit()")
        expect(page.locator(".decide-many")).to_be_visible()
        told += barriers(page, theme)
    assert not told, "\n".join(told)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_login_has_no_serious_barrier(page: Page, theme: str) -> None:
    set_theme(page, theme)
    page.context.clear_cookies()
    page.goto(overview())
    expect(page.get_by_label("Username")).to_be_visible()
    assert barriers(page, theme) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_charts_are_drawn_in_the_colours_of_the_theme(page: Page, house: Channel, theme: str) -> None:
    set_theme(page, theme)
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
