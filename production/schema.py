"""The columns of the Notion board, said once: the database is built and checked from this table, its page in docs/ is
written from it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from channels_app.models import Privacy
from production.stages import ERRORS, HOLDING, REVIEWS, STAGES, Status

Json = dict[str, Any]
KINDS = {  # as Notion's own menu calls them
    "title": "title",
    "rich_text": "text",
    "select": "select",
    "status": "status",
    "url": "URL",
    "date": "date",
    "number": "number",
    "files": "files & media",
    "last_edited_time": "last edited time",
}


@dataclass(frozen=True)
class Property:
    """One column of the board. `options` of a select: name and colour."""

    name: str
    kind: str
    who: str  # fills it: creator, system, both
    says: str
    options: tuple[tuple[str, str], ...] = ()

    def allows(self, kind: str) -> bool:
        """Whether it can be read and written where it is of this kind."""
        return kind == self.kind or (self.name == "Status" and kind == "status")

    def config(self, channels: Iterable[str]) -> Json:
        """As the API takes it."""
        if self.kind == "select":
            named = self.options if self.name != "Channel" else tuple((name, "default") for name in channels)
            return {"select": {"options": [{"name": name, "color": colour} for name, colour in named]}}
        return {self.kind: {"format": "dollar"} if self.kind == "number" else {}}


def _colour(status: Status) -> str:
    """By meaning, as in the admin: yellow waits for a person, blue is at work, red has failed, green is agreed on."""
    if status in ERRORS:
        return "red"
    if status in HOLDING or status == Status.ASSEMBLY_READY:
        return "blue"
    if status in REVIEWS:
        return "yellow"
    if status in {stage.approved for stage in STAGES} | {Status.PUBLISHED}:
        return "green"
    return "purple" if status == Status.QUEUED else "gray"


# fmt: off
# A table is read by its columns.
SCHEMA = (
    Property("Title",           "title",            "creator", "What the video is called at first"),
    Property("Channel",         "select",           "creator", "One option a configured channel; new ones are added by themselves"),
    Property("Topic",           "rich_text",        "creator", "What it is about"),
    Property("Story Direction", "rich_text",        "creator", "How it should be told; may be empty"),
    Property("Status",          "select",           "both",    "Set it to Queued to begin; the system goes on from there", tuple((status.label, _colour(status)) for status in Status)),
    Property("Priority",        "select",           "both",    "Who is made first", (("High", "red"), ("Normal", "default"), ("Low", "gray"))),
    Property("Error Log",       "rich_text",        "system",  "What went wrong and what happens next, the newest last"),
    Property("YouTube URL",     "url",              "system",  "Where the video is"),
    Property("Updated",         "last_edited_time", "Notion",  "When the row was changed last"),
    Property("Retry",           "rich_text",        "system",  "Which attempt comes next, and when"),
    Property("Privacy",         "select",           "creator", "Who may see the video; empty: as its channel wants it", tuple((privacy, "default") for privacy in Privacy.values)),
    Property("Publish At",      "date",             "creator", "When it is to be public; until then YouTube keeps it private"),
    Property("Progress",        "rich_text",        "system",  "How far the running stage is"),
    Property("Cost",            "number",           "system",  "USD so far; an unknown outcome counts as its upper bound"),
    Property("Assets",          "files",            "system",  "Film, composites and images, where the channel stores them here or in R2/S3"),
)
# fmt: on
NEEDED = [each for each in SCHEMA if each.name not in ("Updated", "Assets")]  # read or written for every channel
