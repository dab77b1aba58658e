"""Productions begun by hand become tasks: documents the plan, files finished takes."""

import io
import shutil
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from channels_app.models import Channel
from production import (
    decisions,
    documents,
    exporting,
    flow,
    gates,
    lifecycle,
    looking,
    notion,
    recipes,
    workspace,
)
from production.documents.pictures import KINDS
from production.models import Asset, LedgerEntry, NotionBoard, Take, Task
from production.stages import REVIEWS, STAGE, STAGES, STEPS, Status, Verb
from sandbox.client import SandboxClient
from tests.factories import make_channel, make_plan, make_production, make_task, media
from tests.production.test_documents import HALFMADE
from tests.sandboxes import make_board

pytestmark = pytest.mark.django_db
PAGE = "0b1c2d3e-0000-4000-8000-000000000001"
IMAGES = ["characters/lamplighter_core", "characters/lamplighter_kneeling", "props/brass_lantern",
          "environments/frozen_lake", "environments/ice_crack"]  # fmt: skip
STILLS = ["clip_01_lamplighter_core_frozen_lake.png", "clip_02_split.png"]


@pytest.fixture
def folder(tmp_path: Path, settings: Settings) -> Path:
    """Documents of three clips, without any media; Notion is not connected."""
    settings.NOTION_API_KEY = ""
    return Path(shutil.copytree(HALFMADE, tmp_path / "production"))


def put(folder: Path, *names: str, content: bytes = b"") -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content or media(path.suffix, 2 if path.suffix != ".png" else 0, f"#{number + 1:02}4466"))


def put_images(folder: Path) -> None:
    put(folder, *(f"assets/{name}.png" for name in IMAGES))


def put_all(folder: Path) -> None:
    put_images(folder)
    put(folder, *(f"assets/composites/{name}" for name in STILLS))
    put(folder, *(f"videos/clip_0{n}.mp4" for n in (1, 2, 3)))
    put(folder, *(f"audio/clip_0{n}.mp3" for n in (1, 2, 3)))
    put(folder, *(f"audio/clip_0{n}_sfx.mp3" for n in (1, 2, 3)))


def run(folder: Path, channel: Channel, **options: Any) -> str:
    out = io.StringIO()
    call_command("import_production", folder, channel=channel.slug, stdout=out, **{"page": PAGE} | options)
    return out.getvalue()


def imported(folder: Path, **options: Any) -> Task:
    run(folder, options.pop("channel", None) or make_channel(), **options)
    return Task.objects.get()


def test_kinds_are_those_of_assets():
    assert set(KINDS) == set(Asset.Kind.values)


# ---------------------------------------------------------------- what comes of it


def test_import_makes_the_plan_and_adopts_what_is_there(folder: Path):
    put_images(folder)
    put(folder, f"assets/composites/{STILLS[0]}", "videos/clip_01.mp4", "audio/clip_02.mp3", "audio/clip_02_sfx.mp3")
    task = imported(folder)
    assert (task.status, task.page_id, task.title) == (Status.QUEUED, PAGE, "The Lamplighter of the Last Lake")
    assert exporting.plan_of(task) == documents.read(HALFMADE).plan
    takes = {take.name: take for take in task.takes.all()}
    images = [f"image {n}" for n in range(1, 6)]
    steps = {take.name for take in takes.values() if take.kind == "plan"}
    assert len(steps) == len(STEPS)
    assert set(takes) - steps == {*images, "composite 1", "composite 3", "clip 1", "narration 2", "sound 2"}
    for take in takes.values():
        assert (take.state, take.selected, take.attempt, take.token is None) == (Take.State.DONE, True, 0, False)
        assert workspace.fingerprint(workspace.file_of(take)) == (take.sha256, take.size)
    assert takes["clip 1"].sha256 == workspace.fingerprint(folder / "videos/clip_01.mp4")[0]
    assert takes["clip 1"].seconds == pytest.approx(2, abs=0.2)
    assert {finding["code"] for finding in takes["clip 1"].findings} >= {"frozen", "length"}
    assert looking.poster_of(workspace.file_of(takes["narration 2"])).is_file()
    assert takes["composite 3"].sha256 == takes["image 4"].sha256  # the lake alone is its own still
    assert workspace.canonical(takes["image 1"], "characters/lamplighter_core").exists()
    assert not LedgerEntry.objects.exists()


def test_import_makes_nothing_again_that_is_there(folder: Path, at_once: None):
    put_all(folder)
    task = imported(folder, channel=make_channel(gates=[]), stage="assembly")
    assert task.status == Status.SFX_READY
    assert flow.start_waiting(task.channel_id) == 1
    assert [take.kind for take in task.takes.exclude(state=Take.State.DONE)] == ["film"]


def test_import_goes_on_with_what_lacks_and_asks_at_the_gate(folder: Path):
    put_images(folder)
    (folder / "assets/props/brass_lantern.png").unlink()
    task = imported(folder)
    flow.start_waiting(task.channel_id)
    task.refresh_from_db()
    assert task.status == Status.GENERATING_ASSETS
    assert [take.name for take in task.takes.live()] == ["image 3"]


def test_import_at_a_stage_approves_what_comes_before(folder: Path):
    put_images(folder)
    put(folder, *(f"assets/composites/{name}" for name in STILLS))
    task = imported(folder, stage="video", channel=make_channel(gates=["assets", "composites", "video"]), by="olga")
    assert task.status == Status.COMPOSITES_READY
    assert [(yes.stage, yes.by) for yes in task.approvals.order_by("pk")] == [
        ("assets", "olga"),
        ("composites", "olga"),
    ]
    assert not any(gates.is_gate_open(task, STAGE[name]) for name in ("assets", "composites"))


def test_import_keeps_a_clip_whose_picture_is_lost(folder: Path):
    """It is the operator's: made from what nobody has any more, and wanted all the same."""
    put(folder, "videos/clip_01.mp4", "assets/environments/frozen_lake.png")
    task = imported(folder)
    clip = task.takes.get(kind="clip")
    (need,) = [need for need in recipes.needs(task, STAGE["video"]) if need.position == 1]
    assert (need.recipe, clip.overruled_by, recipes.is_current(clip, need)) == (None, "import", True)


def test_import_survives_a_mended_topic(folder: Path):
    put_images(folder)
    task = imported(folder)
    Task.objects.update(topic="Another topic")
    flow.start_waiting(task.channel_id)
    assert not task.takes.filter(kind="plan").exclude(state=Take.State.DONE).exists()


# ---------------------------------------------------------------- its row


def test_import_without_page_adds_a_row(folder: Path, vendors: SandboxClient):
    put(folder, "assets/environments/frozen_lake.png")
    channel = make_channel()
    board = NotionBoard.objects.create(data_source_id=make_board(vendors, channel.name))
    task = imported(folder, channel=channel, page="")
    (row,) = vendors.pages(board.data_source_id)
    assert row["id"] == task.page_id
    assert [row["properties"][name] for name in ("Title", "Channel", "Status")] == [task.title, channel.name, "Draft"]


def test_import_that_was_broken_off_adds_no_second_row(folder: Path, vendors: SandboxClient):
    put(folder, "assets/environments/frozen_lake.png")
    channel, plan = make_channel(), documents.read(HALFMADE).plan
    board = NotionBoard.objects.create(data_source_id=make_board(vendors, channel.name)).data_source_id
    words = {"title": plan["title"], "topic": plan["story"], "status": "Draft"}
    row = notion.create(board, channel=channel.name, **words)
    vendors.create_page(board, {"Title": plan["title"], "Channel": channel.name})  # a person's own
    task = imported(folder, channel=channel, page="")
    assert task.page_id == row
    assert len(vendors.pages(board)) == 2


def test_import_for_a_row_takes_its_words(folder: Path, vendors: SandboxClient):
    put(folder, "assets/environments/frozen_lake.png")
    channel = make_channel()
    cells = {"Title": "My own title", "Topic": "Ice", "Channel": channel.name, "Status": "Draft"}
    page = vendors.create_page(make_board(vendors, channel.name), cells)["id"]
    task = imported(folder, channel=channel, page=page)
    assert (task.title, task.topic, task.page_id) == ("My own title", "Ice", page)
    assert notion.fetch(page).title == "My own title"


# ---------------------------------------------------------------- what is refused


def refused(folder: Path, **options: Any) -> str:
    channel = options.pop("channel", None) or make_channel()
    before = Task.objects.count()
    with pytest.raises(CommandError) as error:
        run(folder, channel, **options)
    assert Task.objects.count() == before
    return str(error.value)


def test_import_refuses_what_it_can_not_do_in_one_line(folder: Path):
    alone = "03_assets.md:27: clip 3 shows “frozen_lake” alone: make its picture first, or name a character too"
    assert refused(folder) == alone
    put(folder, "assets/environments/frozen_lake.png")
    put(folder, "videos/clip_02.mp4", content=b"half a film")
    assert refused(folder).startswith("videos/clip_02.mp4:1: clip_02.mp4 is not a readable mp4 file")
    (folder / "videos/clip_02.mp4").unlink()
    assert refused(folder, stage="video") == "image 1 is missing: begin at assets, not at video"
    assert "--page ID, or set NOTION_API_KEY" in refused(folder, page="")
    assert "is no Notion page id" in refused(folder, page="abc")
    with pytest.raises(CommandError, match="There is no channel “none”"):
        call_command("import_production", folder, channel="none")


def test_import_names_the_line_of_what_the_check_of_plans_refuses(folder: Path):
    path = folder / "06_sound_effects_prompts.md"
    path.write_text(path.read_text().replace("Ice singing", "Ice singing " * 50))
    assert refused(folder).startswith("06_sound_effects_prompts.md:6: $.clips[1].sound_prompt")


def test_import_twice_is_refused(folder: Path):
    put(folder, "assets/environments/frozen_lake.png")
    task = imported(folder)
    assert "has this Notion row already" in refused(folder, channel=task.channel)
    other = PAGE.replace("1", "2")
    assert "was made from the same documents already" in refused(folder, channel=task.channel, page=other)


def test_import_that_breaks_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings):
    put_images(folder)
    monkeypatch.setattr(lifecycle, "move", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(folder, make_channel())
    assert not Task.objects.exists()
    files = [path for path in settings.WORKSPACE_ROOT.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} <= {".turns"}, "locks are nobody's"


def test_dry_run_tells_and_changes_nothing(folder: Path, settings: Settings):
    put_images(folder)
    said = run(folder, make_channel(), page="", dry_run=True)
    assert "02_story_script.md:20: row left out" in said
    assert "clip 2: split of lamplighter_kneeling and ice_crack" in said
    assert "image: 5 there; to be made: none" in said
    assert "clip: 0 there; to be made: 1, 2, 3" in said
    assert not Task.objects.exists()
    assert not settings.WORKSPACE_ROOT.exists()


@pytest.mark.parametrize("stage", [stage.name for stage in STAGES[1:]])
def test_begin_at_refuses_while_something_before_lacks(stage: str):
    task = make_task()
    make_plan(task)
    with pytest.raises(decisions.DecisionError, match="plan 1 is missing: it can begin at assets"):
        decisions.begin_at(task, stage, by="olga")


def test_begin_at_upload_passes_every_gate():
    """A whole film counts as reviewed by who says so."""
    done = make_production(Status.FINAL_REVIEW)
    decisions.cancel(done, by="olga")
    decisions.begin_at(done, "upload", by="olga")
    done.refresh_from_db()
    assert done.status == Status.APPROVED
    assert done.changes.filter(verb=Verb.PRESENT, by="olga").exists()
    assert not gates.is_gate_open(done, REVIEWS[Status.FINAL_REVIEW])


# ---------------------------------------------------------------- round trip


def test_export_and_import_is_the_same_production(tmp_path: Path, settings: Settings):
    settings.NOTION_API_KEY = ""
    task = make_production(Status.SFX_READY, clips=4, assets=3)
    plan = {"story": "Once", "description": "About", "tags": ["a", "b", "c"]}
    Task.objects.filter(pk=task.pk).update(**plan)
    task.refresh_from_db()
    call_command("export_production", task.pk, tmp_path / "out", media=True, stdout=io.StringIO())
    run(tmp_path / "out", make_channel(), stage="assembly")
    again = Task.objects.exclude(pk=task.pk).get()
    assert exporting.plan_of(again) == exporting.plan_of(task)
    assert again.status == Status.SFX_READY
    facts = ("kind", "position", "sha256")
    files = [sorted(each.takes.exclude(kind="plan").values_list(*facts)) for each in (task, again)]
    assert files[0] == files[1]
    assert len(files[0]) == 3 + 4 * 4


def test_export_names_what_lacks(tmp_path: Path):
    for number, why in ((0, "There is no task 0"), (make_task().pk, "has no plan yet")):
        with pytest.raises(CommandError, match=why):
            call_command("export_production", number, tmp_path)
