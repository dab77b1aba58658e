"""A review as a person does it: with the keyboard, looking and listening."""

import datetime as dt
import re

import pytest
from django.contrib.sessions.models import Session
from django.http import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from production import decisions, looking, media, workspace
from production.models import Cap, Provider, Take
from production.stages import REVIEWS, Status
from tests.browser.conftest import Witness
from tests.factories import PASSWORD, fresh, make_channel, make_production, make_take, make_task
from tests.media import ffmpeg
from tests.pages import review_of
from tests.production.test_planning import at_plan_stop


def test_approve_by_keyboard_goes_to_the_next_task(page: Page) -> None:
    first, second = make_production(Status.ASSETS_READY, clips=2), make_production(Status.VIDEO_READY)
    page.goto(review_of(first))
    page.keyboard.press("a")
    expect(page.locator("dialog[open] .sum")).to_have_text("at most $0.84")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{review_of(second)}**")
    expect(page.locator("p.toast")).to_contain_text("Assets approved")
    assert fresh(first).approvals.get().by == "olga"


def test_next_task_is_fetched_ahead(page: Page) -> None:
    task, following = make_production(Status.AUDIO_READY), make_production(Status.ASSETS_READY)
    media = reverse("take-file", args=[following.takes.get(kind="image", position=1).pk])
    with page.expect_response(lambda answer: answer.url.endswith(media)):
        page.goto(review_of(task))


def test_reject_by_keyboard_with_a_reason(page: Page) -> None:
    task = make_production(Status.ASSETS_READY)
    page.goto(review_of(task))
    page.keyboard.press("x")
    page.keyboard.type("The lantern looks like a bucket")
    page.keyboard.press("Control+Enter")
    expect(page.locator("p.toast.success")).to_contain_text("Rejected")
    assert fresh(task).status == Status.ASSET_ERROR
    assert task.changes.last().reason == "The lantern looks like a bucket"


def test_reject_without_a_reason_stays(page: Page) -> None:
    task = make_production(Status.ASSETS_READY)
    page.goto(review_of(task))
    page.keyboard.press("x")
    page.keyboard.press("Control+Enter")
    expect(page.locator("dialog[open]")).to_be_visible()
    assert fresh(task).status == Status.ASSETS_READY


def test_redo_of_one_piece_by_keyboard(page: Page) -> None:
    task = make_production(Status.VIDEO_READY, clips=3)
    page.goto(review_of(task))
    for key in ("j", "j", "r", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("dialog[open] .sum")).to_have_text("at most $0.42")
    words = page.get_by_label("Clip 2, in these words")
    expect(words).to_have_value("Motion 2: she lifts the lantern, then the camera glides back.")
    words.fill("She puts the lantern down; the camera stands still")
    page.keyboard.press("Control+Enter")
    expect(page.locator("p.toast.success")).to_contain_text("Making 1 again")
    assert fresh(task).status == Status.GENERATING_VIDEO
    take = task.takes.live().get()
    assert (take.kind, take.position, take.prompt) == (
        "clip",
        2,
        "She puts the lantern down; the camera stands still",
    )


def test_seek_in_a_clip_plays_from_there(page: Page, witness: Witness) -> None:
    task = make_production(Status.VIDEO_READY, clips=1)
    page.goto(review_of(task))
    reached = page.evaluate(
        """async () => {
            const video = document.querySelector("video");
            const happens = (name) => new Promise((done) => video.addEventListener(name, done, { once: true }));
            if (video.readyState < 1) await happens("loadedmetadata");
            video.currentTime = 7;
            await happens("seeked");
            await video.play();
            while (video.currentTime < 7.2) await happens("timeupdate");
            video.pause();
            return video.currentTime;
        }"""
    )
    assert 7.2 <= reached <= 10
    assert 206 in {answer.status for answer in witness.answers if "/media/take/" in answer.url}


def test_seek_in_a_large_clip_takes_part_after_part(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[HttpResponseBase] = []  # Chromium's cache shows the parts as one

    def noted(*args: object, **words: object) -> HttpResponseBase:
        sent.append(serve(*args, **words))
        return sent[-1]

    serve = media.serve
    monkeypatch.setattr(media, "serve", noted)
    monkeypatch.setattr(media, "PART", 500_000)
    task = make_production(Status.VIDEO_READY, clips=1)
    clip = task.takes.get(kind="clip")
    path = workspace.file_of(clip)
    grain = "testsrc2=s=1280x720:r=24:d=10,noise=c0s=40:c0f=t"
    coder = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-b:v", "3M", "-movflags", "+faststart")
    ffmpeg("-f", "lavfi", "-i", grain, *coder, path)
    assert path.stat().st_size > 4 * media.PART
    page.goto(review_of(task))
    reached = page.evaluate(
        """async () => {
            const video = document.querySelector("video");
            const happens = (name) => new Promise((done) => video.addEventListener(name, done, { once: true }));
            if (video.readyState < 1) await happens("loadedmetadata");
            video.muted = true;
            for (const at of [8, 1, 5]) { video.currentTime = at; await happens("seeked"); }
            await video.play();
            while (video.currentTime < 5.5) await happens("timeupdate");
            return video.currentTime;
        }"""
    )
    assert 5.5 <= reached <= 10
    parts = [answer for answer in sent if answer["Content-Type"] == "video/mp4"]
    assert {answer.status_code for answer in parts} == {206}
    assert max(int(answer["Content-Length"]) for answer in parts) == media.PART


def test_findings_stand_at_their_piece_and_posters_before_it(page: Page) -> None:
    task = make_production(Status.VIDEO_READY, clips=2)
    files = {("clip", take.position): workspace.file_of(take) for take in task.takes.filter(kind="clip")}
    for (_, position), looked in looking.look_over(files, {}).items():
        task.takes.filter(kind="clip", position=position).update(findings=looked.findings, measured=looked.measured)
    page.goto(review_of(task))
    expect(page.locator("#clip-1 .flags .error")).to_have_text("Stands still for 10.0 s")
    expect(page.locator("#decision")).to_contain_text("Look closely at")
    poster = page.locator("#clip-1 video").get_attribute("poster")
    assert poster == reverse("take-poster", args=[task.takes.get(kind="clip", position=1).pk])


def test_space_plays_a_narration_and_only_one_at_a_time(page: Page) -> None:
    page.goto(review_of(make_production(Status.AUDIO_READY)))
    playing = "[...document.querySelectorAll('audio')].map((audio) => !audio.paused)"
    page.keyboard.press("j")
    page.keyboard.press(" ")
    page.wait_for_function(f"() => {playing}[0]")
    page.keyboard.press("j")
    page.keyboard.press(" ")
    page.wait_for_function(f"() => {playing}[1] && !{playing}[0]")


def test_older_take_is_compared_and_picked(page: Page) -> None:
    task = make_production(Status.ASSETS_READY)
    older = task.takes.of("image", 1).get()
    make_take(task, "image", 1)
    page.goto(review_of(task))
    page.get_by_role("link", name="1 other take").click()
    page.get_by_role("button", name="Use this one").click()
    expect(page.locator("p.toast")).to_contain_text("it is")
    assert fresh(older).selected


def test_page_turns_over_by_itself_while_the_system_works(page: Page) -> None:
    task = make_production(Status.GENERATING_VIDEO, clips=2)
    make_take(task, "clip", 1, state=Take.State.WAITING)
    page.goto(review_of(task))
    expect(page.locator("#progress")).to_contain_text("clip 0/2")
    Take.objects.of("clip", 1).filter(task=task).update(state=Take.State.CANCELLED)
    make_take(task, "clip", 1)
    expect(page.locator("#progress")).to_contain_text("clip 1/2")
    expect(page.locator("#clip-1 video")).to_be_visible()


def test_focus_stays_on_a_piece_that_is_put_in_place_anew(page: Page) -> None:
    task = make_production(Status.GENERATING_VIDEO, clips=2)
    make_take(task, "clip", 2, state=Take.State.WAITING)
    page.goto(review_of(task))
    page.evaluate("window.sameDocument = true")
    page.locator("#clip-2").focus()
    Take.objects.of("clip", 2).filter(task=task).update(state=Take.State.CANCELLED)
    make_take(task, "clip", 2)
    expect(page.locator("#clip-2 video")).to_be_visible()
    expect(page.locator("#clip-2")).to_be_focused()
    page.get_by_role("button", name="Cancel").focus()
    make_take(task, "clip", 1)
    expect(page.locator("#clip-1 video")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    assert page.evaluate("window.sameDocument")


def test_page_of_a_session_that_has_ended_says_so(page: Page) -> None:
    task = make_production(Status.GENERATING_VIDEO)
    page.goto(review_of(task))
    Session.objects.all().delete()
    expect(page.locator("#changed")).to_contain_text("You are logged out")
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Log in").click()
    opened.value.wait_for_url(f"**/login/?next={review_of(task)}")
    opened.value.close()


def test_words_half_written_when_the_session_ends_can_be_saved_after_a_login_beside_them(page: Page) -> None:
    task = make_production(Status.FINAL_REVIEW)
    page.goto(review_of(task))
    page.get_by_role("textbox", name="Description").fill("Long thought over")
    Session.objects.all().delete()
    expect(page.locator("#changed")).to_contain_text("You are logged out", timeout=15_000)
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Log in").click()
    beside = opened.value
    beside.get_by_label("Username").fill("olga")
    beside.get_by_label("Password").fill(PASSWORD)
    beside.get_by_role("button", name="Log in").click()
    expect(beside.locator("#status")).to_have_text("Final Review")
    beside.close()
    page.get_by_role("button", name="Save words").click()
    expect(page.locator("p.toast.success")).to_contain_text("Saved")
    assert fresh(task).description == "Long thought over"


def test_page_without_scripts_says_that_nothing_can_be_decided(
    context: BrowserContext, live_server: LiveServer
) -> None:
    assert context.browser is not None
    bare = context.browser.new_context(base_url=live_server.url, java_script_enabled=False)
    bare.add_cookies([{**cookie} for cookie in context.cookies()])  # type: ignore[typeddict-item]
    page = bare.new_page()
    page.goto(review_of(make_production(Status.VIDEO_READY)))
    expect(page.get_by_text("Your browser runs no scripts")).to_be_visible()
    expect(page.locator("#clip-1 video")).to_be_visible()
    Witness().leave(page)
    bare.close()


def test_retry_by_keyboard(page: Page) -> None:
    task = make_task(Status.ASSET_ERROR, reason="The text model was away")
    page.goto(review_of(task))
    expect(page.locator("#decision")).to_contain_text("The text model was away")
    page.keyboard.press("t")
    expect(page.locator("p.toast.success")).to_contain_text("Trying")
    assert fresh(task).status == Status.GENERATING_ASSETS


def test_second_press_of_a_button_decides_nothing_twice(page: Page) -> None:
    task = make_task(Status.ASSET_ERROR, reason="The text model was away")
    page.goto(review_of(task))
    page.locator("#retry").dblclick()
    expect(page.locator("p.toast.success")).to_contain_text("Trying")
    expect(page.locator("p.toast.error")).to_have_count(0)
    assert task.changes.filter(verb="retry").count() == 1


def test_every_gate_opens_without_a_fault(page: Page) -> None:
    channel = make_channel(gates=["assets", "composites", "video", "audio", "sfx"])
    for status in REVIEWS:
        page.goto(review_of(make_production(status, channel=channel)))
        expect(page.locator("#status")).to_have_text(status.label)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_phone_shows_every_button_of_every_gate(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    channel = make_channel(gates=["assets", "composites", "video", "audio", "sfx"])
    for status in (*REVIEWS, Status.ASSET_ERROR):
        page.goto(review_of(make_production(status, channel=channel, title=f"{status.label} {'of a long title ' * 5}")))
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        buttons = page.locator("#decision button").all()
        assert len(buttons) >= 3
        for button in buttons:
            expect(button).to_be_in_viewport(ratio=1)


def test_held_up_task_says_why_and_when_it_goes_on(page: Page) -> None:
    task = make_production(Status.GENERATING_VIDEO, clips=2)
    make_take(task, "clip", 1, state=Take.State.WAITING)
    Cap.objects.create(meter="channel_day", channel=task.channel, usd="0.20")
    page.goto(review_of(task))
    decision = page.locator("#decision")
    expect(decision).to_contain_text("Held up")
    expect(decision.locator("time.due")).to_have_text(re.compile(r"^in \d+ (hour|minute|second)s?( \(.+\))?$"))
    expect(decision).not_to_contain_text("UTC")


def test_what_is_due_already_happens_any_moment(page: Page) -> None:
    task = make_production(Status.GENERATING_VIDEO, clips=1)
    make_take(task, "clip", 1, state=Take.State.SUBMITTED, ref="job-1", due_at=timezone.now() - dt.timedelta(minutes=1))
    page.goto(review_of(task))
    expect(page.locator("#blocker time")).to_have_text("any moment now")


def test_forms_show_moments_in_the_zone_of_the_reader(page: Page) -> None:
    task = make_task(Status.QUEUED)
    change = task.changes.last()
    page.clock.set_fixed_time(change.at)
    page.goto(reverse("admin:production_statuschange_change", args=[change.pk]))
    shown = page.evaluate(
        "at => new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' }).format(new Date(at))",
        change.at.isoformat(),
    )
    expect(page.locator("time.clock")).to_have_text(shown)


@pytest.mark.parametrize("width", [390, 1440])
def test_lists_fit_the_screen(page: Page, width: int) -> None:
    """Whatever is in them: a row that is cut off hides its last columns."""
    make_production(Status.VIDEO_READY, title="A title of a length that creators do choose now and then for a video")
    Provider.objects.filter(pk="voice").update(
        closed_until=timezone.now() + dt.timedelta(hours=2), closed_reason="w " * 90
    )
    page.set_viewport_size({"width": width, "height": 900})
    for name in ("task", "take", "provider", "cap", "ledgerentry", "alert", "statuschange", "heartbeat"):
        page.goto(reverse(f"admin:production_{name}_changelist"))
        cut = page.evaluate(
            "[...document.querySelectorAll('#result_list td, #result_list th[class^=field]')]"
            ".filter(cell => cell.offsetParent && cell.getBoundingClientRect().right > innerWidth)"
            ".map(cell => cell.className.split(' ')[0])"
        )
        assert cut == [], name
        assert page.evaluate("document.documentElement.scrollWidth") == width, name


def test_overview_and_list_open_without_a_fault(page: Page) -> None:
    make_production(Status.VIDEO_READY, title="Ice")
    page.goto("/admin/")
    page.get_by_role("link", name="Start reviewing").click()
    expect(page.get_by_role("heading", name="Ice")).to_be_visible()
    page.goto("/admin/production/task/?who=you")
    expect(page.get_by_role("link", name="Ice")).to_be_visible()


def test_step_in_writing_survives_another_persons_rewrite(page: Page) -> None:
    """While olga writes, Bea is faster: olga's words stay under her hands, and come back beside Bea's."""
    task = at_plan_stop()
    page.goto(review_of(task))
    step = page.locator(".piece-plan", has_text="Narration").first
    step.locator("summary").click()
    step.locator("textarea").fill("narration: [Mine, Too]")
    decisions.rewrite(task, 5, "narration: [Bea's, Words]", by="bea")
    expect(page.locator("#changed")).to_be_visible(timeout=15_000)
    expect(step.locator("textarea")).to_have_value("narration: [Mine, Too]")
    step.get_by_role("button", name="Save").click()
    beside = page.locator("#unsaved")
    expect(beside.locator(".words")).to_contain_text("Bea's")
    expect(beside.locator("textarea")).to_have_value("narration: [Mine, Too]")
    beside.get_by_role("button", name="Save mine in its place").click()
    expect(page.locator("p.toast.success")).to_contain_text("rewritten")
    assert [clip.narration for clip in task.clips.all()] == ["Mine", "Too"]
