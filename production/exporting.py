"""A task goes out as an import reads it: its plan as documents, its finished takes as files."""

import shutil
from pathlib import Path
from typing import Any

from production import documents, workspace
from production.models import Take, Task

Json = dict[str, Any]
LIES_IN = {  # where the hand-run process keeps a piece's file
    "image": "assets",
    "composite": "assets/composites/clip_{:02}.png",
    "split": "assets/composites/clip_{:02}_split.png",
    "clip": "videos/clip_{:02}.mp4",
    "narration": "audio/clip_{:02}.mp3",
    "sound": "audio/clip_{:02}_sfx.mp3",
}


class ExportingError(Exception):
    """There is nothing to write yet."""


def export(task: Task, folder: Path, *, media: bool) -> list[Path]:
    """Write the task's plan as documents, with `media` also its selected takes, where an import finds them.

    Returns the paths. Errors: ExportingError where there is no plan yet, OSError.
    """
    plan = plan_of(task)
    if not plan["clips"]:
        raise ExportingError(f"Task {task.pk} has no plan yet")
    written = documents.write(plan, folder)
    if media:
        written += [_export_take(take, folder) for take in task.takes.filter(selected=True) if take.kind in LIES_IN]
    return written


def plan_of(task: Task) -> Json:
    """The plan as its rows say now, a person's edits included; in the form of `planning.outputs_of`."""
    return {
        "title": task.title,
        "story": task.story,
        "description": task.description,
        "tags": task.tags,
        "assets": [
            {
                "key": asset.key,
                "kind": asset.kind,
                "prompt": asset.prompt,
                "reference": asset.reference.key if asset.reference else "",
            }
            for asset in task.assets.select_related("reference")
        ],
        "clips": [
            {
                "narration": clip.narration,
                "motion_prompt": clip.motion_prompt,
                "sound_prompt": clip.sound_prompt,
                "layout": clip.layout,
                "character": clip.character.key,
                "environment": clip.environment.key,
            }
            for clip in task.clips.select_related("character", "environment")
        ],
    }


def _export_take(take: Take, folder: Path) -> Path:
    name = LIES_IN[take.kind].format(take.position)
    if take.kind == "image":
        asset = take.task.assets.get(number=take.position)
        name = f"assets/{asset.kind}s/{asset.key}.png"
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(workspace.file_of(take), path)
    return path
