"""Deciding as people do it, alone and beside others: undo, a second yes, takes side by side, the words of a video."""

import datetime as dt
import re
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from production import decisions, handling
from production.models import Cap, Provider, Take, Task
from production.stages import Status
from tests.browser.conftest import Witness
from tests.factories import fresh, make_operator, make_production, make_take
from tests.pages import review_of

SUCCESS = "p.toast.success"


@pytest.fixture
def annas(chromium: Browser, live_server: LiveServer, transactional_db: None) -> Iterator[Page]:
    """A second person's browser."""
    client = Client()
    client.force_login(make_operator(username="anna"))
    context = chromium.new_context(base_url=live_server.url, viewport={"width": 390, "height": 844}, has_touch=True)
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}])
    page, witness = context.new_page(), Witness()
    witness.watch(page, live_server.url)
    yield page
    witness.leave(page)
    context.close()


def approve(page: Page) -> None:
    page.keyboard.press("a")
    page.keyboard.press("Enter")


# ---------------------------------------------------------------- yes, no, and back


def test_newcomer_says_yes_at_every_gate_with_keys_alone(page: Page) -> None:
    """One video a gate: what lies between them is proven by the journeys."""
    gates = [Status.ASSETS_READY, Status.VIDEO_READY, Status.AUDIO_READY, Status.FINAL_REVIEW]
    tasks = [make_production(status) for status in gates]
    page.goto("/admin/production/task/next/")
    for _ in tasks:
        with page.expect_navigation():
            approve(page)
        expect(page.locator(SUCCESS)).to_be_visible()
    expect(page.locator(".toasts")).to_contain_text("Nothing else waits for you")
    after = [Status.ASSETS_APPROVED, Status.VIDEO_APPROVED, Status.AUDIO_APPROVED, Status.APPROVED]
    assert [fresh(task).status for task in tasks] == after


def test_undo_by_keyboard_brings_the_task_back(page: Page) -> None:
    first, second = make_production(Status.ASSETS_READY), make_production(Status.VIDEO_READY)
    page.goto(review_of(first))
    approve(page)
    page.wait_for_url(f"**{review_of(second)}")
    expect(page.locator("#undo-form")).to_contain_text(re.compile(r"\d s"))
    page.keyboard.press("u")
    page.wait_for_url(f"**{review_of(first)}")
    expect(page.locator("#status")).to_have_text("Assets Ready")
    assert not first.approvals.exists()


def test_second_yes_names_the_first(page: Page) -> None:
    task = make_production(Status.VIDEO_READY)
    page.route("**/progress/", lambda route: route.fulfill(status=304))
    page.goto(review_of(task))
    decisions.approve(task, by="anna")
    approve(page)
    expect(page.locator(SUCCESS)).to_contain_text("anna has approved this already")


def test_two_at_one_task_see_each_other(page: Page, annas: Page) -> None:
    task = make_production(Status.VIDEO_READY)
    annas.goto(review_of(task))
    annas.wait_for_load_state("networkidle")
    page.goto(review_of(task))
    expect(page.locator("#others")).to_have_text("anna has this open too.")


def test_page_of_what_somebody_else_has_decided_turns_over(page: Page) -> None:
    task = make_production(Status.VIDEO_READY)
    page.goto(review_of(task))
    decisions.reject(task, by="anna", reason="too dark")
    expect(page.locator("#status")).to_have_text("Video Error", timeout=15_000)


def test_yes_to_another_price_is_asked_again(page: Page) -> None:
    task = make_production(Status.ASSETS_READY, clips=2)
    page.goto(review_of(task))
    Provider.objects.filter(pk="video").update(prices={"clip": "0.50"})
    approve(page)
    expect(page.locator("dialog[open] .sum")).to_have_text("at most $1.00")
    expect(page.locator("p.toast.error")).to_contain_text("the price has changed")
    assert fresh(task).status == Status.ASSETS_READY
    page.keyboard.press("Enter")
    expect(page.locator(SUCCESS)).to_contain_text("Assets approved")


def test_approve_says_what_the_caps_leave(page: Page) -> None:
    task = make_production(Status.ASSETS_READY, clips=2)
    Cap.objects.create(meter="channel_day", channel=task.channel, usd="0.50")
    page.goto(review_of(task))
    page.keyboard.press("a")
    expect(page.locator("dialog[open] .rooms")).to_contain_text("Left for the channel today")
    expect(page.locator("dialog[open]")).to_contain_text("will hold some of it")


def test_reject_by_a_reason_without_words(page: Page) -> None:
    task = make_production(Status.VIDEO_READY)
    page.goto(review_of(task))
    page.keyboard.press("x")
    page.keyboard.press("Alt+1")
    page.keyboard.press("Control+Enter")
    expect(page.locator(SUCCESS)).to_contain_text("Rejected")
    assert task.decisions.get().codes == ["prompt"]
    assert task.changes.last().reason == "Not what was asked for"


def test_decision_says_how_long_and_how_much(page: Page) -> None:
    task = make_production(Status.AUDIO_READY, clips=1)
    page.goto(review_of(task))
    page.keyboard.press("j")
    page.keyboard.press(" ")
    page.wait_for_function("() => document.querySelector('.piece audio').currentTime > 0.5")
    page.keyboard.press(" ")
    approve(page)
    expect(page.locator(SUCCESS)).to_be_visible()
    decision, take = task.decisions.get(), task.takes.get(kind="narration")
    assert 0 < decision.seconds < 60
    assert 0 < decision.played[str(take.pk)] < 1
    assert decision.shown == [take.pk]


# ---------------------------------------------------------------- pieces


def test_redo_of_two_clips_each_in_its_own_words(page: Page) -> None:
    task = make_production(Status.VIDEO_READY, clips=3)
    page.goto(review_of(task))
    for key in ("j", "r", "j", "r", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("dialog[open] .sum")).to_have_text("at most $0.84")
    page.get_by_label("Clip 1, in these words").fill("She waves")
    page.get_by_label("Clip 2, in these words").fill("She sits down")
    page.keyboard.press("Control+Enter")
    expect(page.locator(SUCCESS)).to_contain_text("Making 2 again")
    assert [take.prompt for take in task.takes.live().order_by("position")] == ["She waves", "She sits down"]


def test_older_take_is_picked_by_keyboard_and_the_difference_shown(page: Page) -> None:
    task = make_production(Status.VIDEO_READY, clips=2)
    older = task.takes.of("clip", 2).get()
    make_take(task, "clip", 2, prompt=older.prompt.replace("lifts", "drops"), usd="0.42")
    page.goto(review_of(task))
    page.keyboard.press("g")
    page.keyboard.press("c")
    expect(page.locator("#takes .column")).to_have_count(2)
    expect(page.locator("#takes")).to_contain_text("$0.42")
    expect(page.locator("#takes .words del")).to_have_text("drops")
    expect(page.locator("#takes .words ins")).to_have_text("lifts")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator(SUCCESS)).to_contain_text("it is")
    assert fresh(older).selected


def test_clip_plays_muted_under_the_pointer_and_aloud_by_key(page: Page) -> None:
    page.goto(review_of(make_production(Status.VIDEO_READY, clips=2)))
    video = page.locator("#clip-1 video")
    video.hover()
    page.wait_for_function("() => { const v = document.querySelector('#clip-1 video'); return !v.paused && v.muted }")
    page.mouse.move(2, 2)
    page.wait_for_function("() => document.querySelector('#clip-1 video').paused")
    page.keyboard.press("j")
    page.keyboard.press(" ")
    page.wait_for_function("() => { const v = document.querySelector('#clip-1 video'); return !v.paused && !v.muted }")


def test_film_plays_clip_after_clip_before_it_is_one(page: Page) -> None:
    task = make_production(Status.AUDIO_READY, clips=2)
    page.goto(review_of(task))
    page.keyboard.press("f")
    expect(page.locator("#film .subtitle")).to_contain_text("Sentence 1")
    page.wait_for_function("() => show.narration.currentTime > 0 && show.clip.currentTime > 0")
    page.evaluate("show.narration.currentTime = show.narration.duration - 0.1")
    expect(page.locator("#film .subtitle")).to_contain_text("Sentence 2")
    page.keyboard.press("Escape")
    page.wait_for_function("() => show.narration.paused && show.clip.paused")


def test_image_is_shown_large_and_the_next_one(page: Page) -> None:
    page.goto(review_of(make_production(Status.ASSETS_READY)))
    page.keyboard.press("j")
    page.keyboard.press(" ")
    expect(page.locator("#look strong")).to_have_text("image 1")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#look strong")).to_have_text("image 2")
    page.keyboard.press("z")
    expect(page.locator("#look")).to_have_class("is-full")
    page.keyboard.press("Escape")
    expect(page.locator("#look")).not_to_be_visible()


def test_help_names_every_key(page: Page) -> None:
    page.goto(review_of(make_production(Status.ASSETS_READY)))
    for key in ("a", "x"):
        page.keyboard.press(key)
        expect(page.locator("dialog[open]")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("dialog[open]")).to_have_count(0)
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_contain_text("take back your last yes or no")


# ---------------------------------------------------------------- what will be published


def test_words_are_edited_in_place_in_the_zone_of_the_reader(page: Page) -> None:
    task = make_production(Status.FINAL_REVIEW)
    still = task.takes.filter(kind="composite").first()
    due = (timezone.localtime() + dt.timedelta(days=2)).replace(hour=9, minute=30, second=0, microsecond=0)
    page.goto(review_of(task))
    page.keyboard.press("e")
    page.keyboard.press("Control+A")
    page.keyboard.type("What the ice keeps")
    page.get_by_role("textbox", name="Description").fill("Über 25 Millionen Jahre")
    expect(page.locator("[data-bytes]")).to_have_text("24 of 5000 bytes")
    page.get_by_label("Goes public at").fill(f"{due:%Y-%m-%dT%H:%M}")
    moment = page.evaluate("value => new Date(value).toISOString()", f"{due:%Y-%m-%dT%H:%M}")
    page.get_by_label("Synthetic media").select_option("false")
    page.locator(f"[name=thumbnail][value='{still.pk}']").check()
    page.get_by_role("button", name="Save words").click()
    expect(page.locator(SUCCESS)).to_contain_text("Saved")
    task = Task.objects.get(pk=task.pk)
    assert (task.title, task.description) == ("What the ice keeps", "Über 25 Millionen Jahre")
    assert task.publish_at == dt.datetime.fromisoformat(moment)
    assert (task.synthetic_media, task.thumbnail_id) == (False, still.pk)
    expect(page.get_by_label("Goes public at")).to_have_value(f"{due:%Y-%m-%dT%H:%M}")


def test_words_that_are_refused_are_still_there(page: Page) -> None:
    task = make_production(Status.FINAL_REVIEW)
    still = task.takes.filter(kind="composite").first()
    page.goto(review_of(task))
    page.get_by_role("textbox", name="Description").fill("Long thought over")
    page.get_by_label("Tags").fill("ice, lake")
    page.get_by_label("Goes public at").fill("2001-01-01T09:30")
    page.get_by_label("Synthetic media").select_option("false")
    page.locator("[name=privacy]").select_option("unlisted")
    page.locator(f"[name=thumbnail][value='{still.pk}']").check()
    page.get_by_role("button", name="Save words").click()
    expect(page.locator("p.toast.error")).to_contain_text("That moment is over")
    assert not fresh(task).description
    expect(page.locator("#words-form [data-unsaved]")).to_be_visible()
    expect(page.get_by_label("Goes public at")).to_have_value("2001-01-01T09:30")
    page.get_by_label("Goes public at").fill("")
    page.get_by_role("button", name="Save words").click()
    expect(page.locator(SUCCESS)).to_contain_text("Saved")
    saved = fresh(task)
    assert (saved.description, saved.tags, saved.privacy) == ("Long thought over", ["ice", "lake"], "unlisted")
    assert (saved.synthetic_media, saved.thumbnail_id) == (False, still.pk)


def test_words_written_while_somebody_else_saved_are_still_there(page: Page) -> None:
    task = make_production(Status.FINAL_REVIEW)
    handling.edit(task, {"description": "Two\nlines"}, by="olga")
    page.route("**/progress/", lambda route: route.fulfill(status=304))
    page.goto(review_of(task))
    page.get_by_label("Tags").fill("ice, lake")
    handling.edit(task, {"title": "Anna's"}, by="anna")
    page.get_by_role("button", name="Save words").click()
    expect(page.locator("p.toast.error")).to_contain_text("it has changed since you opened it")
    expect(page.get_by_label("Tags")).to_have_value("ice, lake")
    expect(page.locator("#words-form [data-unsaved]")).to_have_text("Not saved yet: it would change Title, Tags")
    page.get_by_role("button", name="Save words").click()
    expect(page.locator(SUCCESS)).to_contain_text("Saved")
    assert fresh(task).description == "Two\nlines"


def test_prompt_and_reason_of_a_redo_that_came_late_are_there_to_copy(page: Page) -> None:
    task = make_production(Status.VIDEO_READY, clips=2)
    page.route("**/progress/", lambda route: route.fulfill(status=304))
    page.goto(review_of(task))
    page.locator("#clip-2 .mark").click()
    page.get_by_role("button", name="Redo 1").click()
    page.get_by_label("Clip 2, in these words").fill("The bear turns")
    page.locator("#redo").get_by_label("Why (for the history)").fill("It stands still")
    decisions.approve(task, by="anna")
    page.get_by_role("button", name="Make again").click()
    expect(page.locator("p.toast.error")).to_contain_text("it has changed since you opened it")
    given = page.locator("#unsaved")
    expect(given.get_by_label("Clip 2, in these words")).to_have_value("The bear turns")
    expect(given.get_by_label("Why")).to_have_value("It stands still")
    given.get_by_role("link", name="Let it go").click()
    expect(given).to_have_count(0)


def test_words_to_publish_that_came_after_the_yes_are_there_to_copy(page: Page) -> None:
    task = make_production(Status.FINAL_REVIEW)
    page.route("**/progress/", lambda route: route.fulfill(status=304))
    page.goto(review_of(task))
    page.get_by_role("textbox", name="Description").fill("Long\nthought over")
    decisions.approve(task, by="anna")
    page.get_by_role("button", name="Save words").click()
    expect(page.locator("p.toast.error")).to_contain_text("it has changed since you opened it")
    given = page.locator("#unsaved").get_by_label("Description")
    expect(given).to_have_value("Long\nthought over")
    expect(given).not_to_be_editable()


# ---------------------------------------------------------------- by touch, in the dark


def test_phone_marks_and_decides_by_touch(annas: Page) -> None:
    task = make_production(Status.VIDEO_READY, clips=2)
    annas.goto(review_of(task))
    annas.locator("#clip-2 .mark").tap()
    annas.get_by_role("button", name="Redo 1").tap()
    annas.get_by_role("button", name="Make again").tap()
    expect(annas.locator(SUCCESS)).to_contain_text("Making 1 again")
    assert Take.objects.live().get(task=task).position == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_both_themes(page: Page, scheme: str) -> None:
    """WCAG AA: 4.5 to 1 for text of every colour that says something."""
    page.emulate_media(color_scheme=scheme)
    page.goto(review_of(make_production(Status.VIDEO_READY, clips=2)))
    contrast = page.evaluate(
        """() => {
            const css = getComputedStyle(document.documentElement);
            const light = (name) => {
                const probe = Object.assign(document.createElement("i"), {});
                probe.style.setProperty("color", css.getPropertyValue(name).trim());
                document.body.append(probe);
                const [r, g, b] = getComputedStyle(probe).color.match(/[\\d.]+/g).map((v) => v / 255);
                probe.remove();
                const lin = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                return 0.2126 * lin(r) + 0.7152 * lin(g) + 0.0722 * lin(b);
            };
            const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
            const pairs = [["--ink", "--panel"], ["--soft", "--panel"], ["--soft", "--paper"], ["--you", "--panel"],
                ["--you", "--you-wash"], ["--error", "--panel"], ["--error", "--error-wash"], ["--done", "--done-wash"],
                ["--working", "--panel"], ["--accent-ink", "--accent"], ["--ink", "--you-wash"],
                ["--accent", "--panel"]];
            return pairs.map(([a, b]) => [`${a} on ${b}`, ratio(a, b)]);
        }"""
    )
    assert [pair for pair, ratio in contrast if ratio < 4.5] == []
