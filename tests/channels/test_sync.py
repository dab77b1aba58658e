"""`sync_channels` and `export_channels` as an operator runs them."""

import io
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from channels_app.models import Channel, Token
from tests import ROOT
from tests.factories import make_channel, media
from tests.media import picture

pytestmark = pytest.mark.django_db
BEES = """\
name: Wild Bees
language: de
voice_stability: 0.55
gates: [assets, video, audio, sfx]
tags: [bees, "no"]
colour: amber
emoji: 🐝
tokens:
  KIE_API_KEY: {env: WILD_KIE_KEY}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """CHANNELS_DIR, with one channel."""
    settings.CHANNELS_DIR = tmp_path / "channels"
    settings.CHANNELS_DIR.mkdir()
    (settings.CHANNELS_DIR / "wild-bees.yaml").write_text(BEES)
    monkeypatch.setenv("WILD_KIE_KEY", "kie-of-the-bees\n")
    return settings.CHANNELS_DIR


def sync(*paths: object, **words: object) -> list[str]:
    """The lines it says, those of standard error too; a failure is the last one."""
    out = io.StringIO()
    try:
        call_command("sync_channels", *map(str, paths), stdout=out, stderr=out, no_color=True, **words)
    except CommandError as error:
        out.write(f"FAILED {error}")
    return out.getvalue().splitlines()


def amend(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


# ---------------------------------------------------------------- what a file says becomes the channel's


def test_sync_creates_changes_and_then_does_nothing(folder: Path) -> None:
    assert sync() == ["wild-bees: created"]
    channel = Channel.objects.get(slug="wild-bees")
    assert (channel.name, channel.language, channel.voice_stability) == ("Wild Bees", "de", Decimal("0.55"))
    assert (channel.tags, channel.gates[-1], channel.privacy) == (["bees", "no"], "sfx", "private")
    assert channel.tokens.get().value == "kie-of-the-bees"
    assert sync() == ["wild-bees: unchanged"]
    amend(folder / "wild-bees.yaml", "0.55", "0.60")
    amend(folder / "wild-bees.yaml", "amber", "teal")
    assert sync() == ["wild-bees: changed in voice_stability, colour"]
    assert sync() == ["wild-bees: unchanged"]


def test_sync_leaves_what_the_file_does_not_say(folder: Path) -> None:
    sync()
    Channel.objects.update(style="ink drawing")
    amend(folder / "wild-bees.yaml", "language: de", "language: fr")
    assert sync() == ["wild-bees: changed in language"]
    assert Channel.objects.get().style == "ink drawing"


def test_sync_unchanged_writes_nothing(folder: Path) -> None:
    sync()
    with CaptureQueriesContext(connection) as queries:
        sync()
    assert not [query for query in queries if re.match("INSERT|UPDATE|DELETE", query["sql"])]


def test_sync_dry_run_only_tells(folder: Path) -> None:
    assert sync(dry_run=True) == ["wild-bees: would be created"]
    assert not Channel.objects.exists()
    sync()
    amend(folder / "wild-bees.yaml", "language: de", "language: fr")
    assert sync(dry_run=True) == ["wild-bees: would be changed in language"]
    assert Channel.objects.get().language == "de"


def test_sync_deletes_and_switches_off_nothing(folder: Path) -> None:
    other = make_channel(slug="other")
    assert sync() == ["wild-bees: created", "No usable file speaks of other: left as they are."]
    other.refresh_from_db()
    assert other.active


def test_sync_of_named_files_speaks_of_no_others(folder: Path) -> None:
    make_channel(slug="other")
    assert sync(folder / "wild-bees.yaml") == ["wild-bees: created"]
    assert sync(folder, folder / "wild-bees.yaml") == ["wild-bees: unchanged"]


def test_sync_without_a_folder_says_what_to_do(settings: Settings, tmp_path: Path) -> None:
    settings.CHANNELS_DIR = tmp_path / "nowhere"
    (said,) = sync()
    assert said.endswith("nowhere: make it, set CHANNELS_DIR or name files")


# ---------------------------------------------------------------- one channel's faults are not another's


def test_sync_of_a_bad_file_names_it_and_stops_no_other(folder: Path) -> None:
    (folder / "a-bad.yaml").write_text("name: Bad\nclips_per_video: 61\ngates: [lunch]\n")
    found = sync()
    assert found[0] == f"{folder}/a-bad.yaml:2: clips_per_video: Ensure this value is less than or equal to 60."
    assert found[1].startswith(f"{folder}/a-bad.yaml:3: gates: Item 1 in the array did not validate")
    assert "Write one of plan, assets" in found[1]
    assert found[2:] == ["wild-bees: created", "FAILED 1 of 2 files can't be used: their channels are as they were"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("privacy: secret", "privacy: Value 'secret' is not a valid choice. Write one of private, unlisted, public."),
        ("name: Taken", "name: Channel with this Name already exists."),
        ('name: ""', "name: This field cannot be blank."),
        ("slug: a b", "slug: Enter a valid “slug”"),
        ("emoji: bee", "emoji: “bee” is no emoji; one is 🐝."),
        ("voice_style: 1.01", "voice_style: Ensure this value is less than or equal to 1."),
        ("tokens: {KIE_APIKEY: {env: A}}", "tokens.KIE_APIKEY: no script reads KIE_APIKEY; there are ELEVENLABS"),
        ("tokens: {KIE_API_KEY: {env: NOT_THERE}}", "tokens.KIE_API_KEY: the environment has no NOT_THERE; set it"),
        ("tokens: {KIE_API_KEY: {env: SECRET_KEY}}", "tokens.KIE_API_KEY: SECRET_KEY is this installation's own"),
        ("tokens: {KIE_API_KEY: {env: ENCRYPTION_KEY}}", "tokens.KIE_API_KEY: ENCRYPTION_KEY is this installation's"),
        ("tokens: {KIE_API_KEY: {env: DATABASE_URL}}", "tokens.KIE_API_KEY: DATABASE_URL is this installation's"),
        ("tokens: {KIE_API_KEY: {env: EMAIL_URL}}", "tokens.KIE_API_KEY: EMAIL_URL is this installation's own"),
        ("tokens: {KIE_API_KEY: {env: SECRET_KEY_FILE}}", "tokens.KIE_API_KEY: SECRET_KEY_FILE is this installation's"),
        ("intro: /etc/passwd", "intro: /etc/passwd is no file in or below"),
        ("intro: ../secret.mp4", "intro: ../secret.mp4 is no file in or below"),
        ("intro: link.mp4", "intro: link.mp4 is no file in or below"),
        ("intro: none.mp4", "intro: none.mp4 is no file in or below"),
        ("watermark: bad.yaml", "watermark: bad.yaml is not a readable PNG, JPEG or WebP."),
    ],
)
def test_sync_changes_nothing_of_a_channel_with_a_fault(folder: Path, line: str, said: str) -> None:
    make_channel(name="Taken")
    before = make_channel(slug="bad", name="Bad", language="de")
    (folder.parent / "secret.mp4").write_bytes(b"x")
    (folder / "link.mp4").symlink_to(folder.parent / "secret.mp4")
    path = folder / "bad.yaml"
    path.write_text(f"language: fr\n{line}\nname: Bad\n" if "slug" in line else f"language: fr\n{line}\n")
    found = sync(path)
    assert found[0].startswith(f"{path}:2: {said}")
    assert "FAILED" in found[-1]
    before.refresh_from_db()
    assert (before.language, before.tokens.count()) == ("de", 0)


def test_sync_of_a_new_channel_without_a_name_says_so(folder: Path) -> None:
    (folder / "new.yaml").write_text("language: fr\n")
    assert sync(folder / "new.yaml")[0] == (
        f"{folder}/new.yaml:1: name: This field cannot be blank. It has to be in the file."
    )


def test_sync_of_two_files_of_one_channel_takes_the_first(folder: Path) -> None:
    (folder / "z.yaml").write_text("slug: wild-bees\nlanguage: fr\n")
    found = sync()
    assert found[1] == f"{folder}/z.yaml:1: slug: “wild-bees” is {folder}/wild-bees.yaml's already; give it another"
    assert Channel.objects.get().language == "de"


# ---------------------------------------------------------------- secrets


def test_sync_blank_never_overwrites_a_stored_secret(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync()
    for blank in ("", "  \n"):
        monkeypatch.setenv("WILD_KIE_KEY", blank)
        assert sync() == ["wild-bees: unchanged; KIE_API_KEY: WILD_KIE_KEY is empty here, the stored one stays"]
    assert Token.objects.get().value == "kie-of-the-bees"


def test_sync_takes_a_new_secret_and_shows_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync()
    monkeypatch.setenv("WILD_KIE_KEY", "$another")
    assert sync() == ["wild-bees: changed in tokens.KIE_API_KEY"]
    assert Token.objects.get().value == "$another"


def test_sync_reads_a_secret_from_a_file_as_settings_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WILD_KIE_KEY")
    monkeypatch.setenv("WILD_KIE_KEY_FILE", str(folder / "key"))
    assert "WILD_KIE_KEY_FILE can't be read; mend its path" in sync()[0]
    (folder / "key").write_text("from a file\n")
    sync()
    assert Token.objects.get().value == "from a file"


def test_sync_heals_a_secret_that_no_key_opens(folder: Path) -> None:
    sync()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE channels_token SET value = 'gAAAA-not-ours'")
    assert sync() == ["wild-bees: changed in tokens.KIE_API_KEY"]
    assert Token.objects.get().value == "kie-of-the-bees"


# ---------------------------------------------------------------- branding


def test_sync_brings_branding_and_keeps_what_is_the_same(folder: Path) -> None:
    (folder / "brand").mkdir()
    (folder / "brand/intro.mp4").write_bytes(media(".mp4", 1))
    (folder / "brand/mark.png").write_bytes(picture())
    amend(folder / "wild-bees.yaml", "language", "intro: brand/intro.mp4\nwatermark: brand/mark.png\nlanguage")
    assert sync() == ["wild-bees: created"]
    first = Channel.objects.get()
    assert Path(first.intro.path).read_bytes() == media(".mp4", 1)
    assert first.intro.name.startswith("wild-bees/branding/")
    assert sync() == ["wild-bees: unchanged"]
    (folder / "brand/mark.png").write_bytes(picture(colour="red"))
    assert sync() == ["wild-bees: changed in watermark"]
    assert Channel.objects.get().watermark.name != first.watermark.name
    amend(folder / "wild-bees.yaml", "brand/intro.mp4", '""')
    assert sync() == ["wild-bees: changed in intro"]
    assert not Channel.objects.get().intro


# ---------------------------------------------------------------- and back


def test_export_and_sync_are_a_round_trip(folder: Path, tmp_path: Path) -> None:
    (folder / "mark.png").write_bytes(picture())
    amend(folder / "wild-bees.yaml", "language", "watermark: mark.png\nlanguage")
    sync()
    out, target = io.StringIO(), tmp_path / "out"
    call_command("export_channels", str(target), stdout=out)
    assert out.getvalue().splitlines() == [f"{target}/wild-bees.yaml"]
    text = (target / "wild-bees.yaml").read_text()
    assert "kie-of-the-bees" not in text
    assert "KIE_API_KEY:\n    env: WILD_BEES_KIE_API_KEY" in text
    assert sync(target) == [
        "wild-bees: unchanged; KIE_API_KEY: WILD_BEES_KIE_API_KEY is empty here, the stored one stays"
    ]
    before = Channel.objects.values().get()
    Channel.objects.all().delete()
    amend(target / "wild-bees.yaml", "WILD_BEES_KIE_API_KEY", "WILD_KIE_KEY")
    assert sync(target) == ["wild-bees: created"]
    after = Channel.objects.values().get()
    moved = {"id", "created", "watermark"}
    assert {k: v for k, v in after.items() if k not in moved} == {k: v for k, v in before.items() if k not in moved}


def test_export_of_a_channel_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There is no channel wasps"):
        call_command("export_channels", str(tmp_path), "wasps")


def test_the_how_to_s_example_is_a_channel(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", (ROOT / "docs/how-to.md").read_text(), re.DOTALL)
    path = tmp_path / "wild-bees.yaml"
    path.write_text(example[1].replace("intro: wild-bees/intro.mp4\n", ""))
    assert sync(path) == ["wild-bees: created"]
