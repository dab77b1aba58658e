"""The self-test of a channel: each check against the sandbox's vendors, by command and by the button."""

import datetime as dt
import io
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from channels_app import selftest
from channels_app.models import Channel, CheckResult, Token
from channels_app.selftest import CHECKS, Finding, Level
from production import selftest as production_selftest
from production.models import Job, NotionBoard, Provider
from production.stages import Status
from publishing.models import YouTubeAccount
from sandbox.client import SandboxClient, board_properties
from tests.factories import NUMBERS, fresh, make_channel, make_staff
from tests.vendor import Vendor

pytestmark = pytest.mark.django_db
LABELS = [status.label for status in Status]
VOICE = "21m00Tcm4TlvDq8ikWAM"


@pytest.fixture
def channel(vendors: SandboxClient) -> Channel:
    """A channel of which everything is in order."""
    channel = make_channel(name="Wild Bees", slug="wild-bees", voice_id=VOICE)
    set_board(vendors, LABELS, "Wild Bees")
    token = f"sandbox-refresh-{next(NUMBERS)}"
    vendors.set_account(token, f"UC-{token}", "Wild Bees")
    YouTubeAccount.objects.create(channel=channel, refresh_token=token, youtube_channel_id=f"UC-{token}")
    return channel


def set_board(vendors: SandboxClient, labels: list[str], *channels: str, without: str = "") -> None:
    properties = board_properties(list(channels), labels, ["High", "Normal", "Low"])
    properties.pop(without, None)
    _, source = vendors.create_database("Videos", properties)
    NotionBoard.objects.update_or_create(pk=1, defaults={"data_source_id": source})


def found(channel: Channel, name: str) -> Finding:
    return CHECKS[name][1](channel)


def test_command(*arguments: str) -> tuple[list[str], str]:
    out, failed = io.StringIO(), ""
    try:
        call_command("test_channel", *arguments, stdout=out)
    except CommandError as error:
        failed = str(error)
    return out.getvalue().splitlines(), failed


test_command.__test__ = False


# ---------------------------------------------------------------- the command


def test_test_channel_passes_where_all_is_in_order(channel: Channel) -> None:
    said, failed = test_command("wild-bees")
    assert failed == ""
    assert said[0] == "Wild Bees (wild-bees)"
    assert [line.split()[0] for line in said[1:]] == ["pass"] * len(CHECKS)
    assert "  pass  Voice: ElevenLabs has “Rachel”" in said
    assert set(channel.checks.values_list("name", "level")) == {(name, "pass") for name in CHECKS}


def test_test_channel_fails_with_a_line_and_a_remedy_each(channel: Channel, settings: Settings) -> None:
    Channel.objects.update(voice_id="missing-voice")
    settings.DISK_RESERVE = 10**18
    YouTubeAccount.objects.all().delete()
    said, failed = test_command("--all")
    assert failed == "3 checks failed"
    lines = [line for line in said if line.startswith("  fail")]
    assert "  fail  Voice: ElevenLabs has no voice missing-voice → Choose one of that account's" in lines[0]
    assert all(" → " in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "or say --all"), (["--all", "x"], "or say --all"), (["wasps"], "no channel wasps; there are wild-bees")],
)
def test_test_channel_of_what_there_is_not(channel: Channel, arguments: list[str], message: str) -> None:
    assert message in test_command(*arguments)[1]


def test_test_channel_buys_nothing(channel: Channel, vendors: SandboxClient) -> None:
    before = vendors.spent_usd()
    test_command("wild-bees")
    assert vendors.spent_usd() == before


# ---------------------------------------------------------------- Notion


def test_notion_without_a_board(channel: Channel) -> None:
    NotionBoard.objects.all().delete()
    assert found(channel, "notion").level == Level.FAIL
    assert found(channel, "board").remedy == "Make one: manage.py notion_board create."


def test_notion_with_a_board_that_is_not_shared(channel: Channel) -> None:
    NotionBoard.objects.update(data_source_id="00000000-0000-4000-8000-000000000000")
    finding = found(channel, "notion")
    assert "not shared with the integration" in finding.found
    assert "Share the board" in finding.remedy


def test_notion_that_is_away(channel: Channel, settings: Settings, dead_address: str) -> None:
    settings.ADDRESSES = settings.ADDRESSES | {"NOTION_BASE_URL": dead_address}
    assert "no answer" in found(channel, "notion").found
    assert found(channel, "board").found == "Can't be looked at while Notion does not answer"


def test_board_that_lacks_something(channel: Channel, vendors: SandboxClient) -> None:
    set_board(vendors, LABELS[1:], "Wasps", without="Story Direction")
    finding = found(channel, "board")
    assert "“Story Direction” (text) is missing" in finding.found
    assert all(word in finding.found for word in ("Draft", "Wild Bees"))
    assert "notion_board repair" in finding.remedy


def test_board_is_looked_at_for_this_channel_alone(channel: Channel, vendors: SandboxClient) -> None:
    """What its people read names no other channel, and another's name is no fault of theirs."""
    for name in ("Wasps", "Hornets, and more"):
        make_channel(name=name)
    assert found(channel, "board").level == Level.PASS
    set_board(vendors, LABELS, "Somebody")
    finding = found(channel, "board")
    assert (finding.level, finding.found) == (Level.FAIL, "“Channel” lacks the options Wild Bees.")


# ---------------------------------------------------------------- vendors


def test_models_that_gemini_does_not_have(channel: Channel, settings: Settings) -> None:
    settings.MODELS = settings.MODELS | {"GEMINI_TEXT_MODEL": "gemini-of-old"}
    finding = found(channel, "models")
    assert (finding.level, finding.found) == (Level.FAIL, "Gemini has no gemini-of-old for this key")


@pytest.mark.parametrize("check", ["models", "voice", "speech", "clips"])
def test_vendor_that_refuses_the_channel_s_own_key(channel: Channel, check: str) -> None:
    for name in ("GEMINI_API_KEY", "ELEVENLABS_API_KEY", "KIE_API_KEY"):
        Token.objects.create(channel=channel, name=name, value="wrong")
    assert found(channel, check).level == Level.FAIL
    assert found(make_channel(voice_id=VOICE), check).level == Level.PASS


@pytest.mark.parametrize(
    ("check", "address"),
    [("models", "GEMINI"), ("voice", "ELEVENLABS"), ("speech", "ELEVENLABS"), ("clips", "KIE")],
)
def test_vendor_that_is_away_or_talks_nonsense(
    channel: Channel, settings: Settings, check: str, address: str, dead_address: str
) -> None:
    settings.ADDRESSES = settings.ADDRESSES | {f"{address}_BASE_URL": dead_address}
    assert "did not answer" in found(channel, check).found
    for body, status in ((b"<html>", 200), (b"[1]", 200), (b"{}", 500), (b'{"character_limit": "many"}', 200)):
        with closing(Vendor()) as vendor:
            settings.ADDRESSES = settings.ADDRESSES | {f"{address}_BASE_URL": vendor.url}
            vendor.say("/", body, status)
            finding = found(channel, check)
            assert finding.level == Level.FAIL or check == "voice"


def test_vendor_that_never_ends_is_left(channel: Channel, settings: Settings) -> None:
    with closing(Vendor()) as vendor:
        settings.ADDRESSES = settings.ADDRESSES | {"GEMINI_BASE_URL": vendor.url}
        vendor.say("/", b" " * (production_selftest.MOST_BYTES + 1))
        assert found(channel, "models").found == "Gemini did not answer (ValueError)"


def test_vendor_without_a_key(channel: Channel, settings: Settings) -> None:
    settings.KIE_API_KEY = ""
    assert found(channel, "clips").remedy == "Set KIE_API_KEY, or give the channel its own."


def test_voice_that_nobody_chose(settings: Settings, vendors: SandboxClient) -> None:
    settings.ELEVENLABS_VOICE_ID = ""
    assert found(make_channel(), "voice").found == "No voice is chosen"
    settings.ELEVENLABS_VOICE_ID = VOICE
    assert found(make_channel(), "voice").level == Level.PASS


def test_voice_with_a_key_that_may_only_speak(channel: Channel, settings: Settings) -> None:
    with closing(Vendor()) as vendor:
        settings.ADDRESSES = settings.ADDRESSES | {"ELEVENLABS_BASE_URL": vendor.url}
        vendor.say("/", {"detail": {"status": "missing_permissions"}}, 401)
        assert found(channel, "voice").level == Level.WARN


@pytest.mark.parametrize(("used", "level"), [(0, Level.PASS), (950, Level.WARN), (1000, Level.FAIL)])
def test_speech_by_what_is_left(channel: Channel, settings: Settings, used: int, level: str) -> None:
    with closing(Vendor()) as vendor:
        settings.ADDRESSES = settings.ADDRESSES | {"ELEVENLABS_BASE_URL": vendor.url}
        vendor.say("/", {"character_limit": 1000, "character_count": used})
        assert found(channel, "speech").level == level


@pytest.mark.parametrize(("left", "level"), [(0, Level.FAIL), (100, Level.WARN), (100_000, Level.PASS)])
def test_clips_by_what_a_video_takes(channel: Channel, vendors: SandboxClient, left: int, level: str) -> None:
    vendors.set_credits(left)
    finding = found(channel, "clips")
    vendors.set_credits(1_000_000)
    assert finding.level == level
    assert "a video of 18 clips takes 7.56" in finding.found


def test_disk_that_fills_up(channel: Channel, settings: Settings) -> None:
    settings.DISK_RESERVE = production_selftest.workspace.free_bytes() * 2 // 3
    assert found(channel, "disk").level == Level.WARN


# ---------------------------------------------------------------- YouTube


def test_youtube_consent_for_another_channel(channel: Channel) -> None:
    YouTubeAccount.objects.update(youtube_channel_id="UC-other")
    finding = found(channel, "youtube")
    assert finding.found.endswith(", not to UC-other")
    assert "Reconnect the right channel" in finding.remedy
    YouTubeAccount.objects.update(youtube_channel_id="")
    assert found(channel, "youtube").level == Level.WARN


def test_youtube_consent_that_is_gone(channel: Channel) -> None:
    YouTubeAccount.objects.update(refresh_token="nobody's", access_token="", expires=None)
    assert "reconnect" in found(channel, "youtube").found
    assert YouTubeAccount.objects.get().trouble


def test_uploads_of_a_used_up_day(channel: Channel) -> None:
    Provider.objects.filter(pk="upload").update(daily_quota=0)
    assert found(channel, "uploads").level == Level.FAIL
    Provider.objects.filter(pk="upload").update(daily_quota=None)
    assert found(channel, "uploads").level == Level.WARN


# ---------------------------------------------------------------- the button


def checks_url(channel: Channel) -> str:
    return reverse("admin:channels_channel_checks", args=[channel.pk])


def press(client: Client, channel: Channel) -> str:
    return client.post(checks_url(channel), headers={"HX-Request": "true"}).content.decode()


def test_button_asks_and_a_worker_answers(operator_client: Client, channel: Channel, do: Callable[..., Any]) -> None:
    assert "Never" in operator_client.get(checks_url(channel)).content.decode()
    page = do(press, operator_client, channel)
    assert page.count("Looking</span>") == len(CHECKS)
    assert 'hx-trigger="every 1s"' in page
    assert Job.objects.get().cluster == "cpu"
    selftest.answer(channel.pk)
    page = operator_client.get(checks_url(channel)).content.decode()
    assert page.count(">Pass</span>") == len(CHECKS)
    assert "every 1s" not in page
    before = list(CheckResult.objects.values_list("at", flat=True))
    selftest.answer(channel.pk)  # a doubled ring
    assert list(CheckResult.objects.values_list("at", flat=True)) == before


def test_button_shows_results_as_they_come(operator_client: Client, channel: Channel) -> None:
    press(operator_client, channel)
    selftest.look(channel, "disk")
    page = operator_client.get(checks_url(channel)).content.decode()
    assert (page.count(">Pass</span>"), page.count("Looking</span>")) == (1, len(CHECKS) - 1)


def test_button_without_a_worker_says_so(operator_client: Client, channel: Channel) -> None:
    press(operator_client, channel)
    CheckResult.objects.update(asked=timezone.now() - selftest.LATE - dt.timedelta(seconds=1))
    page = operator_client.get(checks_url(channel)).content.decode()
    assert "No worker has answered" in page
    assert "every 1s" in page
    CheckResult.objects.update(asked=timezone.now() - selftest.PATIENCE - dt.timedelta(seconds=1))
    page = operator_client.get(checks_url(channel)).content.decode()
    assert "No worker has answered" in page
    assert "Test this channel" in page


def test_button_is_for_who_may_change_channels(client: Client, channel: Channel) -> None:
    client.force_login(make_staff("view_channel"))
    assert "Test this channel" not in client.get(checks_url(channel)).content.decode()
    assert client.post(checks_url(channel)).status_code == 403
    client.force_login(make_staff("view_task"))
    assert client.get(checks_url(channel)).status_code == 403
    assert not CheckResult.objects.exists()


def test_button_without_scripts_leads_back(operator_client: Client, channel: Channel) -> None:
    answer = operator_client.post(checks_url(channel))
    assert answer.url == reverse("admin:channels_channel_change", args=[channel.pk])
    assert operator_client.get(answer.url).status_code == 200


def test_check_that_breaks_is_its_own_trouble(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(channel: Channel) -> Finding:
        raise KeyError("a secret word")

    monkeypatch.setitem(CHECKS, "voice", ("Voice", breaks))
    said, failed = test_command("wild-bees")
    assert failed == "1 checks failed"
    assert "  fail  Voice: The check itself broke: KeyError → Look into the log." in said


def test_check_that_was_asked_again_meanwhile_stays_asked(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    def asks_again(channel: Channel) -> Finding:
        selftest.ask(channel)
        return Finding(Level.PASS, "")

    monkeypatch.setitem(CHECKS, "disk", ("Disk", asks_again))
    selftest.ask(channel)
    selftest.look(channel, "disk")
    assert fresh(channel.checks.get(name="disk")).asked is not None


def test_channel_list_shows_how_the_last_test_went(operator_client: Client, channel: Channel) -> None:
    url = reverse("admin:channels_channel_changelist")
    selftest.look(channel, "disk")
    assert "Ready" in operator_client.get(url).content.decode()
    channel.checks.update(level="fail")
    page = operator_client.get(url).content.decode()
    assert "1 failed" in page
    assert "badge-slate" in page


def test_check_whose_vendor_quotes_the_key_does_not_tell_it(channel: Channel, settings: Settings):
    settings.KIE_API_KEY = "the-very-key"
    with closing(Vendor()) as vendor:
        vendor.say("/", {"code": 500, "msg": "no credit for the-very-key"})
        settings.ADDRESSES = settings.ADDRESSES | {"KIE_BASE_URL": vendor.url}
        said = found(channel, "clips").found
    assert "no credit for ***" in said
