"""A real Chromium before the live server: logged in, and strict about what a page may do."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, Request, Response
from pytest_django.live_server_helper import LiveServer

from tests.chromium import CHROMIUM
from tests.factories import make_operator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "browser":
            item.add_marker(pytest.mark.browser)
            if CHROMIUM is None and "CI" not in os.environ:
                item.add_marker(pytest.mark.skip(reason="Chromium is not installed (Debian: apt install chromium)"))


@dataclass
class Witness:
    """What a page did while it was looked at."""

    faults: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)
    asking: set[Request] = field(default_factory=set)

    def watch(self, page: Page, home: str) -> None:
        page.on("request", lambda request: self.asking.add(request))
        page.on("requestfinished", lambda request: self.asking.discard(request))
        page.on("requestfailed", lambda request: self.asking.discard(request))
        page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", lambda request: self._note(request, home))
        page.on("response", lambda answer: self.answers.append(answer))

    def leave(self, page: Page) -> None:
        """Close the tab when the server has answered: a request that it is still at would lock rows while the tables
        are emptied for the next test."""
        page.route("**/*", lambda route: route.abort())
        for _ in range(100):
            if not any(request.resource_type in ("document", "fetch") for request in self.asking):
                break
            page.wait_for_timeout(50)
        page.close()

    def _note(self, request: Request, home: str) -> None:
        if not request.url.startswith((f"{home}/", "data:", "blob:")):
            self.outside.append(request.url)


@pytest.fixture
def context(chromium: Browser, live_server: LiveServer, transactional_db: None) -> Iterator[BrowserContext]:
    """A browser in which the operator olga is logged in."""
    client = Client()
    client.force_login(make_operator(username="olga"))
    context = chromium.new_context(base_url=live_server.url, viewport={"width": 1440, "height": 900})
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}])
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
def page(context: BrowserContext, live_server: LiveServer, witness: Witness) -> Iterator[Page]:
    """A tab; the test fails if its pages had an error or asked anybody else for anything."""
    page = context.new_page()
    witness.watch(page, live_server.url)
    yield page
    faults, outside = [*witness.faults], [*witness.outside]
    witness.leave(page)
    assert faults == []
    assert outside == []
