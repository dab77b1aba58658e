"""A production begun by hand is imported half-made and goes on to YouTube; nothing that was there is bought again."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django import Settings

from production.models import Task
from production.stages import Status
from tests.factories import media
from tests.journeys.conftest import Journey
from tests.production.test_documents import HALFMADE

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
THERE = [
    "assets/characters/lamplighter_core.png",
    "assets/characters/lamplighter_kneeling.png",
    "assets/props/brass_lantern.png",
    "assets/environments/frozen_lake.png",
    "assets/environments/ice_crack.png",
    "assets/composites/clip_01_lamplighter_core_frozen_lake.png",
    "videos/clip_01.mp4",
    "audio/clip_01.mp3",
    "audio/clip_02.mp3",
    "audio/clip_01_sfx.mp3",
]


def test_journey_of_a_half_made_production(journey: Callable[..., Journey], tmp_path: Path, settings: Settings) -> None:
    folder = Path(shutil.copytree(HALFMADE, tmp_path / "byhand"))
    for name in THERE:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(media(Path(name).suffix, {".mp4": 10.0, ".mp3": 6.0}.get(Path(name).suffix, 0)))
    run = journey(clips=2)
    page_id = run.queue("The last lake", Status=Status.DRAFT.label)
    settings.NOTION_API_KEY = ""  # of this process alone: the row is named
    settings.ELEVENLABS_VOICE_ID = run.stack.environment["ELEVENLABS_VOICE_ID"]  # another voice is another narration
    call_command("import_production", folder, channel=run.rehearsal.channel.slug, page=page_id, stage="composites")
    task = run.watch_to(page_id, Status.PUBLISHED)

    assert Task.objects.count() == 1
    paid = Counter((call["vendor"], call["operation"]) for call in run.sandbox.paid())
    assert sorted(paid.items()) == [
        (("elevenlabs", "sound-generation"), 2), (("elevenlabs", "text-to-speech"), 1), (("kie", "createTask"), 2),
    ]  # fmt: skip
    made = task.takes.filter(attempt__gt=0, kind__in=["clip", "narration", "sound"])
    assert sorted((take.kind, take.position) for take in made) == [
        ("clip", 2), ("clip", 3), ("narration", 3), ("sound", 2), ("sound", 3),
    ]  # fmt: skip
    assert [video["sha256"] for video in run.sandbox.videos()] == [task.takes.get(kind="film").sha256]
    assert run.sandbox.page(page_id)["properties"]["Status"] == "Published"
