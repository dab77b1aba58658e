"""Documents of the hand-run process: read, written, and never a crash."""

import re
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from production import documents, planning
from production.documents import reading
from tests.production.plans import Json, plans


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans())
def test_write_and_read_again_is_the_same_plan(plan: Json):
    with tempfile.TemporaryDirectory() as folder:
        documents.write(plan, Path(folder))
        reading = documents.read(Path(folder))
    assert [str(fault) for fault in reading.faults] == []
    assert reading.plan == plan


FIVE = ["02_story_script", "03_assets", "04_video_prompts", "05_audio_generation", "06_sound_effects_prompts"]
HALFMADE = Path(__file__).parent / "halfmade"
ATMOSPHERE = "Painterly documentary look, blue hour, thin fog, grain of 35 mm film.\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of documents as people and models wrote them, to be spoilt."""
    return Path(shutil.copytree(HALFMADE, tmp_path / "production"))


def change(folder: Path, name: str, before: str, after: str) -> None:
    (path,) = folder.glob(f"{name}*")
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))


def faults(folder: Path) -> list[str]:
    return [str(fault) for fault in documents.read(folder).faults]


def notes(folder: Path) -> list[str]:
    reading = documents.read(folder)
    assert not reading.faults
    return [str(note) for note in reading.notes]


# ---------------------------------------------------------------- as they were written


def test_read_understands_documents_written_by_hand():
    reading = documents.read(HALFMADE)
    assert [str(fault) for fault in reading.faults] == []
    plan = reading.plan
    planning.check_whole(plan)
    assert plan["title"] == "The Lamplighter of the Last Lake"
    assert plan["story"].startswith("A lamplighter walks out on the ice")
    assert plan["tags"] == ["lakes", "ice", "night walks"]
    assert [(asset["key"], asset["kind"], asset["reference"]) for asset in plan["assets"]] == [
        ("lamplighter_core", "character", ""),
        ("lamplighter_kneeling", "character", "lamplighter_core"),
        ("brass_lantern", "prop", ""),
        ("frozen_lake", "environment", ""),
        ("ice_crack", "environment", ""),
    ]
    assert [asset["prompt"] for asset in plan["assets"]] == [
        ATMOSPHERE + "A woman of sixty in a long oilskin coat, a lantern in her left hand.",
        ATMOSPHERE + "The same woman kneeling, her face near the ice.",
        ATMOSPHERE + "A brass lantern on wet stone, soft light from the left.",
        ATMOSPHERE + "A frozen lake under a clear evening sky, no people.",
        ATMOSPHERE + "A crack in black ice, seen from near.",
    ]
    assert [(clip["layout"], clip["character"], clip["environment"]) for clip in plan["clips"]] == [
        ("composite", "lamplighter_core", "frozen_lake"),
        ("split", "lamplighter_kneeling", "ice_crack"),
        ("composite", "frozen_lake", "frozen_lake"),
    ]
    assert plan["clips"][1] == {
        "narration": "Below the ice the water stands still and keeps what it was given; it is four degrees warm.",
        "motion_prompt": "Her breath clouds; the crack runs on. Static camera.",
        "sound_prompt": "Ice singing, slow drips",
        "layout": "split",
        "character": "lamplighter_kneeling",
        "environment": "ice_crack",
    }
    assert plan["clips"][0]["motion_prompt"] == "She lifts the lantern and walks on.\nSlow push in."


def test_read_says_what_it_guessed_or_left_out():
    assert notes(HALFMADE) == [
        "02_story_script.md:20: row left out: “Total” is no clip's number",
        "03_assets.md:15: “old_map” is in the manifest but has no master prompt: left out",
        "05_audio_generation.md:10: clip 2 is spoken otherwise in 02_story_script.md:18: this one counts",
        "03_assets.md:27: clip 3 shows “frozen_lake” alone",
        "02_story_script.md:1: no description is given: taken from the story",
    ]


def test_read_without_the_narration_table_takes_the_story_script(folder: Path):
    (folder / "05_audio_generation.md").unlink()
    spoken = [clip["narration"] for clip in documents.read(folder).plan["clips"]]
    assert spoken[0] == "Every night the lamplighter walks out to a lake that nobody has seen freeze to the ground."
    assert spoken[1].startswith("Below the ice the water stands still & keeps")
    assert spoken[2] == "So the lake breathes on, and her light goes home."


def test_read_without_the_clip_table_looks_at_the_seed_images(folder: Path):
    change(folder, "03", "| Clip # |", "| Remark |")
    change(folder, "04", "clip_02_split.png", "clip_02_split_lamplighter_kneeling_ice_crack.png")
    clips = documents.read(folder).plan["clips"]
    assert [(clip["layout"], clip["character"], clip["environment"]) for clip in clips] == [
        ("composite", "lamplighter_core", "frozen_lake"),
        ("split", "lamplighter_kneeling", "ice_crack"),
        ("composite", "frozen_lake", "frozen_lake"),
    ]


def test_read_takes_a_table_with_a_row_for_each_asset(folder: Path):
    change(folder, "03", "| Clip # | Environment | Character(s) | Props | Notes |", "| Used in clips | Asset |")
    change(folder, "03", "|--------|-------------|--------------|-------|-------|", "|---|---|")
    change(folder, "03", "| **01** | frozen_lake | lamplighter_core | brass_lantern | wide |", "| 1, 3 | frozen_lake |")
    change(
        folder, "03", "| **02** | `ice_crack.png` | Lamplighter (kneeling) | – | split screen |", "| 2 | ice crack |"
    )
    change(folder, "03", "| **03** | `frozen_lake.png` | – | – | no one |", "| 1–3 | `lamplighter_core.png` |")
    shown = [(clip["character"], clip["environment"]) for clip in documents.read(folder).plan["clips"]]
    assert shown == [
        ("lamplighter_core", "frozen_lake"),
        ("lamplighter_core", "ice_crack"),
        ("lamplighter_core", "frozen_lake"),
    ]


def test_read_fills_in_tags_and_says_so(folder: Path):
    change(folder, "02", "**Tags:** lakes, ice, night walks", "")
    reading = documents.read(folder, spare_tags=["nature", "science"])
    assert reading.plan["tags"][:4] == ["nature", "science", "lamplighter", "last"]
    assert any("too few tags" in str(note) for note in reading.notes)


def test_read_takes_two_prompts_below_one_heading(folder: Path):
    change(folder, "03", "#### 5) Ice crack", "")
    plan = documents.read(folder).plan
    assert [asset["key"] for asset in plan["assets"]][3:] == ["frozen_lake", "ice_crack"]
    assert plan["assets"][4]["prompt"] == ATMOSPHERE + "A crack in black ice, seen from near."


def test_read_takes_files_with_a_longer_name(folder: Path):
    (folder / "03_assets.md").rename(folder / "03_Assets (final).md")
    assert documents.read(folder).plan == documents.read(HALFMADE).plan


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("name", "before", "after", "fault"),
    [
        ("02", "Audio Script", "Sheep", "02_story_script.md:1: no table with clip numbers and narration was found"),
        ("02", "# 02 – Story Script: The Lamplighter of the Last Lake", "", "02_story_script.md:1: no title"),
        ("04", "| **2** |", "| **4** |", "04_video_prompts.md:1: clip 2 has no motion"),
        (
            "04",
            "She lifts the lantern and walks on.<br>Slow push in.",
            "",
            "04_video_prompts.md:7: clip 1 has no motion",
        ),
        (
            "04",
            "walks on.<br>",
            "walks on | on.",
            "04_video_prompts.md:7: clip 1: more cells than the table has columns",
        ),
        ("05", "**Clip 03**", "**Clip 02**", "05_audio_generation.md:11: clip 2 stands here and in line 10"),
        ("06", "Ice singing, slow drips", "", "06_sound_effects_prompts.md:6: clip 2 has no sound"),
        ("06", "| **3** |", "| three |", "06_sound_effects_prompts.md:1: clip 3 has no sound"),
        ("03", "Reference image: lamplighter_core", "Reference image: lamplighter_kneeling", ""),
        (
            "03",
            "### Environments\n\n#### `frozen",
            "## Rest\n\n#### `old",
            "03_assets.md:62: which kind is “old_lake”?",
        ),
    ],
)
def test_read_names_file_line_and_fault(folder: Path, name: str, before: str, after: str, fault: str):
    change(folder, name, before, after)
    found = faults(folder)
    if fault:
        assert [line for line in found if line.startswith(fault)], found
    else:
        assert found == []


def test_read_names_references_that_lead_in_a_circle(folder: Path):
    change(
        folder,
        "03",
        "Suggested filename:** `lamplighter_core.png`",
        "File:** `lamplighter_core.png`\nReference: lamplighter_kneeling.png",
    )
    assert [line.split(": ")[1] for line in faults(folder)[:2]] == [
        "the reference of “lamplighter_core” leads back to itself",
        "the reference of “lamplighter_kneeling” leads back to itself",
    ]


def test_read_names_what_is_no_text_and_what_is_missing(folder: Path):
    (folder / "04_video_prompts.md").write_bytes(b"# one\n\n\xff")
    (folder / "06_sound_effects_prompts.md").unlink()
    (folder / "03_assets.md").write_bytes(b"x" * 500_001)
    assert faults(folder) == [
        "03_assets.md:1: can't be read: over 500 kB",
        "04_video_prompts.md:3: not UTF-8 text",
        f"06_sound_effects_prompts.md:1: missing in {folder}",
    ]


# ---------------------------------------------------------------- whatever stands in them

SOURCES = {path.stem: path.read_text() for path in HALFMADE.glob("*.md")}
MARKS = ["|", "\n", "| 1 | a |\n", "####", "```\n", "~~~\n", "> ", "- ", "<br>", "<div>\n", "\\", "\r", "\0", ".png"]
SCRAPS = st.sampled_from([*MARKS, "**", "[", "](", "1.", "\t", "|---|\n", "\u2028", "Clip", "&#0;"])


@st.composite
def spoilt(draw: st.DrawFn) -> dict[str, str]:
    """The documents with scraps of Markdown and of themselves put in and parts taken out."""
    found = {}
    for name, source in SOURCES.items():
        text = source
        for _ in range(draw(st.integers(0, 6))):
            start = draw(st.integers(0, len(text)))
            end = draw(st.integers(start, min(len(text), start + 200)))
            put = draw(SCRAPS | st.text(max_size=20) | st.just(text[start:end] * 2))
            text = text[:start] + put + text[end:]
        found[name] = text
    return found


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spoilt() | st.fixed_dictionaries({name: st.text() for name in FIVE}))
def test_read_of_spoilt_documents_never_crashes(texts: dict[str, str]):
    """It makes a plan that the check takes or speaks of, or names faults; each is one line with a file and a line."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts.items():
            (Path(folder) / f"{name}.md").write_bytes(text.encode(errors="surrogatepass"))
        reading = documents.read(Path(folder))
    if not reading.faults:
        with suppress(ValueError):
            planning.check_whole(reading.plan)
    for remark in (*reading.faults, *reading.notes):
        assert re.fullmatch(r"[\w ().]+\.md:[1-9]\d*: [^\n]+", str(remark)), str(remark)


@pytest.mark.parametrize("before", ["2", "story", "02."])
def test_title_of_many_blanks_takes_no_time(before):
    began = time.process_time()
    assert reading.WHAT_IT_IS.sub("", before + " " * 20_000 + "x")
    assert time.process_time() - began < 0.5
