"""A plan as the documents that `reading` reads; what is read again equals what was written."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from production.documents.markdown import cell, clean, fence, table, unquoted
from production.documents.reading import ASSETS, AUDIO, SOUND, STORY, VIDEO, spoken

Json = dict[str, Any]
SECONDS = "10 s"  # a clip's length


def write(plan: Json, folder: Path) -> list[Path]:
    """The five documents, written into `folder`. Returns their paths. Errors: OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {STORY: _story, ASSETS: _assets, VIDEO: _video, AUDIO: _audio, SOUND: _sound}
    for name, page in pages.items():
        (folder / name).write_text("\n".join(page(plan)), encoding="utf-8")
    return [folder / name for name in pages]


def _story(plan: Json) -> Iterator[str]:
    yield f"# {_line(plan['title'])}\n"
    fields = [(name, plan[name]) for name in ("title", "story", "description")] + [("tags", ", ".join(plan["tags"]))]
    yield table(["Field", "Text"], [[name.capitalize(), cell(clean(text))] for name, text in fields])
    yield "## Scenes\n"
    yield table(["Scene", "Visual prompt", "Audio script", "Duration"], list(_scenes(plan)))


def _scenes(plan: Json) -> Iterator[list[str]]:
    for number, clip in enumerate(plan["clips"], 1):
        shown = f"**Shows:** {clip['character']}, {clip['environment']}<br>**Motion:** {_cell(clip['motion_prompt'])}"
        yield [f"**{number}**", shown, _speech(clip["narration"]), SECONDS]


def _assets(plan: Json) -> Iterator[str]:
    yield "# Assets\n"
    yield "## Manifest\n"
    for asset in plan["assets"]:
        yield f"- `{_path(asset)}`"
    yield "\n## Clip to asset\n"
    kinds = {asset["key"]: asset["key"] + ".png" for asset in plan["assets"]}
    rows = [
        [f"**{number}**", clip["layout"], f"`{kinds[clip['character']]}`", f"`{kinds[clip['environment']]}`"]
        for number, clip in enumerate(plan["clips"], 1)
    ]
    yield table(["Clip", "Layout", "Character or left", "Environment or right"], rows)
    yield "## Master prompts\n"
    for number, asset in enumerate(plan["assets"], 1):
        yield from _asset(number, asset)


def _asset(number: int, asset: Json) -> Iterator[str]:
    yield f"#### {number}. {asset['key']}\n"
    yield f"**File:** `{_path(asset)}`\n"
    if asset["reference"]:
        yield f"**Reference:** `{asset['reference']}.png`\n"
    yield fence(clean(asset["prompt"]))


def _path(asset: Json) -> str:
    return f"assets/{asset['kind']}s/{asset['key']}.png"


def _video(plan: Json) -> Iterator[str]:
    yield "# Video prompts\n"
    rows = [
        [f"**{number}**", f"`assets/composites/clip_{number:02}.png`", _cell(clip["motion_prompt"]), SECONDS]
        for number, clip in enumerate(plan["clips"], 1)
    ]
    yield table(["Clip", "Seed image", "Motion prompt", "Duration"], rows)


def _audio(plan: Json) -> Iterator[str]:
    yield "# Audio generation\n"
    rows = [[f"**{number}**", _speech(clip["narration"])] for number, clip in enumerate(plan["clips"], 1)]
    yield table(["Clip", "Narration"], rows)


def _sound(plan: Json) -> Iterator[str]:
    yield "# Sound effects\n"
    rows = [[f"**{number}**", _cell(clip["sound_prompt"]), SECONDS] for number, clip in enumerate(plan["clips"], 1)]
    yield table(["Clip", "Sound prompt", "Duration"], rows)


def _line(text: str) -> str:
    return cell(clean(text)).replace("<br>", " ")


def _cell(text: str) -> str:
    """As it is, unless a reader would take its own quotes for ours."""
    text = clean(text)
    return cell(text if unquoted(text) == text else f"“{text}”")


def _speech(text: str) -> str:
    """In quotes, as narrations are; where the text's own quotes forbid that, behind a label."""
    text = clean(text)
    quoted = f"“{text}”"
    return cell(quoted if spoken(unquoted(quoted)) == text else f"Narrator: {text}")
