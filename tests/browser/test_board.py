"""The board as people have it open all day: it follows what happens by itself, on a desk and on a phone."""

import re

from django.urls import reverse
from playwright.sync_api import Page, expect

from production import lifecycle
from production.models import Task
from production.stages import Status, Verb
from tests.browser.conftest import Witness
from tests.factories import make_channel, make_task
from tests.pages import review_of

LIVE = 8_000  # ms: two rounds of asking


def open_board(page: Page, query: str = "") -> None:
    page.goto(f"{reverse('admin:production_task_board')}{query}")


def column(page: Page, status: Status) -> str:
    return f"[data-part={status.value}]"


def test_board_moves_a_card_without_a_reload(page: Page, witness: Witness) -> None:
    task = make_task(Status.QUEUED, title="Ice")
    still = make_task(Status.FINAL_REVIEW, title="Fire")
    open_board(page)
    page.evaluate("window.sameDocument = true")
    kept = page.locator(f"{column(page, Status.FINAL_REVIEW)} a").element_handle()
    expect(page.locator(f"{column(page, Status.QUEUED)} .card")).to_contain_text("Ice")
    lifecycle.move(Task.objects.get(pk=task.pk), Verb.CLAIM, by="tests")
    expect(page.locator(f"{column(page, Status.CLAIMED)} .card")).to_contain_text("Ice", timeout=LIVE)
    expect(page.locator(f"{column(page, Status.QUEUED)} .card")).to_have_count(0)
    assert page.evaluate("window.sameDocument")
    assert kept is not None
    assert kept.evaluate("one => one.isConnected"), "a column that has not changed was put in place anew"
    assert still.status == Status.FINAL_REVIEW


def test_unchanged_board_is_asked_for_and_not_sent(page: Page, witness: Witness) -> None:
    make_task(Status.QUEUED)
    open_board(page)
    with page.expect_response(lambda reply: "columns" in reply.url, timeout=LIVE) as reply:
        pass
    assert reply.value.status in (200, 304)  # 200 where a minute has just begun
    with page.expect_response(lambda reply: "columns" in reply.url and reply.status == 304, timeout=2 * LIVE):
        pass
    expect(page.locator("#live")).to_have_text("Live")


def test_focus_stays_on_a_card_that_is_put_in_place_anew(page: Page) -> None:
    task = make_task(Status.QUEUED, title="Ice")
    open_board(page)
    page.locator(f'a[href="{review_of(task)}"]').focus()
    make_task(Status.QUEUED, channel=task.channel, title="Fire")
    expect(page.locator(f"{column(page, Status.QUEUED)} .card")).to_have_count(2, timeout=LIVE)
    expect(page.locator(f'a[href="{review_of(task)}"]')).to_be_focused()


def test_filters_stand_in_the_address_and_stay_while_the_board_lives(page: Page) -> None:
    shown, hidden = make_task(Status.QUEUED, title="Ice"), make_task(Status.QUEUED, title="Fire")
    open_board(page)
    page.get_by_label("Channel").select_option(label=shown.channel.name)
    page.wait_for_url(re.compile(rf"\?channel={shown.channel_id}$"))
    expect(page.locator(".card")).to_have_count(1)
    make_task(Status.QUEUED, channel=shown.channel, title="Wind")
    make_task(Status.QUEUED, channel=hidden.channel, title="Rain")
    expect(page.locator(".card")).to_have_count(2, timeout=LIVE)
    expect(page.locator(".board")).not_to_contain_text("Rain")


def test_phone_folds_the_board_to_seven_stages(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    make_task(Status.ASSETS_READY, title="Ice")
    open_board(page)
    stages = page.locator(".stage")
    expect(stages).to_have_count(7)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate("[...document.querySelectorAll('.stage')].every(one => !one.open)")
    expect(stages.first.locator("summary")).to_contain_text("1 for you")
    stages.first.locator("summary").click()
    expect(page.get_by_role("link", name="Ice")).to_be_visible()
    make_task(Status.ASSETS_READY, channel=make_channel(), title="Fire")
    expect(page.get_by_role("link", name="Fire")).to_be_visible(timeout=LIVE)  # what is unfolded stays so


def test_desk_shows_all_columns_side_by_side(page: Page) -> None:
    open_board(page)
    tops = page.evaluate("[...document.querySelectorAll('.list')].map(one => one.getBoundingClientRect().top)")
    assert len(tops) == 26
    assert len(set(tops)) == 1
    assert page.evaluate("document.documentElement.scrollWidth") == 1440


def test_board_that_cannot_be_reached_says_so(page: Page, witness: Witness) -> None:
    open_board(page)
    page.route("**/columns/**", lambda route: route.abort())
    expect(page.locator("#live")).to_contain_text("No connection", timeout=LIVE)
    page.unroute("**/columns/**")
    expect(page.locator("#live")).to_have_text("Live", timeout=LIVE)
    witness.faults.clear()  # Chromium's own word for the request that was cut off
