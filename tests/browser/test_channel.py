"""A channel's page: its self-test by one button, its settings under tabs."""

from django.contrib.sessions.models import Session
from django.urls import reverse
from playwright.sync_api import Page, expect

from channels_app import selftest
from sandbox.client import SandboxClient
from tests.browser.conftest import Witness
from tests.factories import fresh, make_channel


def test_self_test_by_one_button_shows_results_as_they_come(page: Page, vendors: SandboxClient) -> None:
    channel = make_channel(name="Wild Bees", emoji="🐝", colour="amber")
    page.goto(reverse("admin:channels_channel_change", args=[channel.pk]))
    test = page.locator("#self-test")
    expect(test.locator(".badge-amber")).to_contain_text("🐝 Wild Bees")
    test.get_by_role("button", name="Test this channel").click()
    expect(test.get_by_text("Looking", exact=True)).to_have_count(len(selftest.CHECKS))
    selftest.look(channel, "disk")
    expect(test.get_by_role("row", name="Disk")).to_contain_text("GB are free")
    expect(test.get_by_role("button", name="Looking")).to_be_disabled()
    selftest.answer(channel.pk)
    expect(test.get_by_role("row", name="YouTube account")).to_contain_text("Connect one at YouTube accounts.")
    expect(test.get_by_role("button", name="Test this channel")).to_be_enabled()
    expect(test.locator("time").first).to_contain_text("ago")


def test_channel_s_settings_are_under_tabs_and_saved_together(page: Page) -> None:
    channel = make_channel(name="Wild Bees")
    page.goto(reverse("admin:channels_channel_change", args=[channel.pk]))
    page.locator("#id_emoji").fill("🐝")
    page.locator("#channel_form a").get_by_text("Look", exact=True).click()
    page.locator("#id_style").fill("Macro photographs")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/admin/channels/channel/")
    assert (fresh(channel).emoji, fresh(channel).style) == ("🐝", "Macro photographs")


def test_file_sent_after_the_session_has_ended_says_to_log_in_again(page: Page, witness: Witness) -> None:
    channel = make_channel(name="Wild Bees")
    url = reverse("admin:channels_channel_change", args=[channel.pk])
    page.goto(url)
    page.locator("#channel_form a").get_by_text("Look", exact=True).click()
    page.locator("#id_intro").set_input_files({"name": "intro.mp4", "mimeType": "video/mp4", "buffer": b"x"})
    Session.objects.all().delete()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".refused")).to_contain_text("Nothing was done")
    assert page.evaluate("document.documentElement.className") == "scripted"
    assert [fault for fault in witness.faults if "status of 403" not in fault] == []
    witness.faults.clear()
    page.get_by_role("link", name="Log in again").click()
    page.wait_for_url(f"**/login/?next={url}")
