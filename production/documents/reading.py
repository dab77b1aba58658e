"""The documents of one production, read into a plan. Never raises for what stands in them: it says what it could not
make out, with line numbers."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from production.documents.findings import Findings, Remark
from production.documents.markdown import Heading, Place, Text, blocks, clean, unquoted
from production.documents.pictures import Shown, facts, read_map, read_pictures, shown_by
from production.documents.tables import Columns, Document, Said, rows_by_clip
from production.outside import storable

Json = dict[str, Any]
Rows = dict[int, dict[str, Said]]
MOST_BYTES = 500_000  # a long one has 100,000
STORY, ASSETS, VIDEO = "02_story_script.md", "03_assets.md", "04_video_prompts.md"
AUDIO, SOUND = "05_audio_generation.md", "06_sound_effects_prompts.md"
NEEDED = (STORY, ASSETS, VIDEO, SOUND)  # without the fifth, the story script's audio column counts

SPOKEN = ("audio script", "narration", "voiceover", "voice over", "spoken", "dialogue", "script", "audio")
STORY_COLUMNS: Columns = {"narration": SPOKEN, "visual?": ("visual", "image", "picture", "shown", "description")}
VIDEO_COLUMNS: Columns = {
    "seed?": ("seed", "composite", "source", "start", "input", "reference", "image"),
    "motion": ("motion", "movement", "animation", "prompt", "action"),
    "camera?": ("camera",),
}
AUDIO_COLUMNS: Columns = {"narration": ("narration", "text", "script", "spoken", "voiceover", "dialogue", "line")}
SOUND_COLUMNS: Columns = {"sound": ("prompt", "sound", "sfx", "effect", "description", "ambien")}
SPEAKER = re.compile(r"(?:narrator|narration|voice-?\s?over|vo)(?:\s*\([^)]*\))?\s*[:–—]\s*", re.IGNORECASE)
FIELDS = {
    "title": ("title", "video title", "working title"),
    "story": ("story", "logline", "synopsis", "concept", "summary", "overview", "premise"),
    "description": ("description", "video description", "youtube description"),
    "tags": ("tags", "youtube tags", "keywords"),
}
WHAT_IT_IS = re.compile(r"^(?:0?2\s*(?:[.:–—-]\s*)?)?(?:story\s*script|story|script)\s*(?:[:–—-]+\s*|$)", re.IGNORECASE)
DIRECTION = re.compile(r"[(\[][^)\]]{1,60}[)\]]\s*(?=[\"“„«])")


@dataclass
class Reading:
    """`plan` is whole only where there are no `faults`. `places`: where a part of the plan (a JSON path) stands;
    `seeds`: what the shot list says of a clip's seed image."""

    plan: Json = field(default_factory=dict)
    faults: list[Remark] = field(default_factory=list)
    notes: list[Remark] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)
    seeds: dict[int, str] = field(default_factory=dict)

    def place(self, path: str) -> Place:
        """The nearest place known for a JSON path such as "$.clips[2].narration"."""
        while path and path not in self.places:
            path = re.sub(r"(?:\.\w+|\[\d+\])$", "", path) if path != "$" else ""
        return self.places.get(path, Place(STORY))


def read(folder: Path, *, spare_tags: Iterable[str] = ()) -> Reading:
    """The plan in the documents of `folder`. `spare_tags` are taken where they name too few.

    Errors: none for what stands in the files; a folder or file that can't be read is a fault.
    """
    findings = Findings()
    documents = {name: _open(folder, name, findings) for name in (*NEEDED, AUDIO)}
    if findings.faults:
        return Reading(faults=findings.faults)
    present = {name: document for name, document in documents.items() if document}
    return _Reader(present, findings).reading(list(spare_tags))


def _open(folder: Path, name: str, findings: Findings) -> Document | None:
    """A file of that name, also `03_Assets (final).md`."""
    stem = name.removesuffix(".md")
    try:
        there = sorted(path for path in folder.glob("*.[mM][dD]") if path.name.lower().startswith(stem))
        path = next((path for path in there if path.name == name), there[0] if there else folder / name)
        if not there and name == AUDIO:
            return None
        if len(there) > 1:
            findings.note(Place(path.name), f"read; {', '.join(p.name for p in there if p != path)} left aside")
        return Document(path.name, blocks(_text(path)))
    except UnicodeDecodeError as error:
        findings.fault(Place(name, error.object[: error.start].count(b"\n") + 1), "not UTF-8 text")
    except FileNotFoundError:
        findings.fault(Place(name), f"missing in {folder}")
    except (OSError, ValueError) as error:
        findings.fault(Place(name), f"can't be read: {error}")
    return None


def _text(path: Path) -> str:
    """Errors: OSError, UnicodeDecodeError, ValueError where it is too long."""
    if path.stat().st_size > MOST_BYTES:
        raise ValueError("over 500 kB")
    return str(storable(path.read_bytes().decode("utf-8-sig")))


class _Reader:
    """Puts together what the documents say of each clip."""

    def __init__(self, documents: dict[str, Document], findings: Findings) -> None:
        self.documents, self.findings = documents, findings
        self.places: dict[str, Place] = {}
        self.story = rows_by_clip(documents[STORY], STORY_COLUMNS, findings)
        self.video = rows_by_clip(documents[VIDEO], VIDEO_COLUMNS, findings)
        self.sound = rows_by_clip(documents[SOUND], SOUND_COLUMNS, findings)
        self.audio: Rows = {}
        if AUDIO in documents:
            self.audio = rows_by_clip(documents[AUDIO], AUDIO_COLUMNS, findings)
        self.pictures = read_pictures(documents[ASSETS], findings)
        self.shown = read_map(documents[ASSETS], self.pictures, findings)

    def reading(self, spare_tags: list[str]) -> Reading:
        numbers = sorted({*self.story, *self.video, *self.sound, *self.audio})
        if gaps := sorted(set(range(1, len(numbers) + 1)) - set(numbers)):
            self.findings.fault(
                Place(self.documents[STORY].name), f"there is no clip {gaps[0]}, but a clip {numbers[-1]}"
            )
        clips = [clip for number in numbers if (clip := self._clip(number))]
        for at, picture in enumerate(self.pictures):
            self.places[f"$.assets[{at}]"] = picture.place
        plan = {"assets": [facts(picture) for picture in self.pictures], "clips": clips}
        plan = self._words(plan, spare_tags) | plan
        seeds = {number: said["seed"].text for number, said in self.video.items() if "seed" in said}
        return Reading(plan, self.findings.faults, self.findings.notes, self.places, seeds)

    # ---------------------------------------------------------------- a clip

    def _clip(self, number: int) -> Json | None:
        spoken = self._narration(number)
        motion, sound = self._cell(self.video, VIDEO, number, "motion"), self._cell(self.sound, SOUND, number, "sound")
        shown = self._shown(number)
        if not (spoken and motion and sound and shown):
            return None
        path = f"$.clips[{number - 1}]"
        parts = {"narration": spoken, "motion_prompt": motion, "sound_prompt": sound}
        self.places |= {f"{path}.{part}": said.place for part, said in parts.items()} | {path: shown.place}
        camera = self.video[number].get("camera")
        words = {part: said.text for part, said in parts.items()}
        if camera and camera.text and camera.text not in words["motion_prompt"]:
            words["motion_prompt"] += f"; {camera.text}"
        return words | {"layout": shown.layout, "character": shown.character, "environment": shown.environment}

    def _narration(self, number: int) -> Said | None:
        """From the narration table where there is one, else from the story script."""
        there = self.audio if self.audio else self.story
        name = AUDIO if self.audio else STORY
        said = self._cell(there, name, number, "narration")
        script = self.story.get(number, {}).get("narration")
        if said and script and spoken(script.text) != spoken(said.text):
            self.findings.note(said.place, f"clip {number} is spoken otherwise in {script.place}: this one counts")
        return Said(spoken(said.text), said.place) if said else None

    def _cell(self, rows: Rows, name: str, number: int, role: str) -> Said | None:
        if not rows:
            return None  # its table is missing as a whole, which is said already
        said = rows.get(number, {}).get(role)
        if said and said.text:
            return said
        self.findings.fault(said.place if said else Place(self.documents[name].name), f"clip {number} has no {role}")
        return None

    def _shown(self, number: int) -> Shown | None:
        """What the clip-to-asset table says, else the name of the seed image."""
        seed = self.video.get(number, {}).get("seed")
        shown = self.shown.get(number)
        if not shown and seed:
            shown = shown_by([("", "", seed.text, seed.place)], self.pictures)
        if not shown:
            if self.pictures:
                place = seed.place if seed else Place(self.documents[ASSETS].name)
                self.findings.fault(
                    place, f"clip {number}: no picture is named in the clip-to-asset table or seed image"
                )
            return None
        if seed and "split" in seed.text.lower() and shown.character != shown.environment:
            shown = Shown(shown.character, shown.environment, "split", shown.place)
        if shown.character == shown.environment:
            self.findings.note(shown.place, f"clip {number} shows “{shown.character}” alone")
        return shown

    # ---------------------------------------------------------------- what is said of the film

    def _words(self, plan: Json, spare_tags: list[str]) -> Json:
        document = self.documents[STORY]
        said = _said_of_film(document)
        first = next((b for b in document.blocks if isinstance(b, Heading) and b.level == 1), None)
        title = said.get("title") or Said(WHAT_IT_IS.sub("", first.text) if first else "", document.at(1))
        told = said.get("story") or Said(" ".join(clip["narration"] for clip in plan["clips"])[:2000], document.at(1))
        about = said.get("description") or told
        tags = [
            tag for tag in re.split(r"[,;\n]|\s(?=#)", said["tags"].text if "tags" in said else "") if tag.strip(" #`")
        ]
        tags = list(dict.fromkeys(tag.strip(" #`") for tag in tags))
        if len(tags) < 3:
            keys = [asset["key"].replace("_", " ") for asset in plan["assets"]]
            spare = [*spare_tags, *re.findall(r"[^\W\d_]{4,30}", title.text.lower()), *keys]
            tags = list(dict.fromkeys([*tags, *(tag for tag in spare if len(tag) <= 30)]))[:8]
            self.findings.note(document.at(1), f"too few tags: {', '.join(tags)}")
        for name in ("story", "description"):
            if name not in said:
                self.findings.note(
                    document.at(1), f"no {name} is given: taken from the {'story' if name != 'story' else 'narration'}"
                )
        self.places |= {"$.title": title.place, "$.story": told.place, "$.description": about.place}
        self.places["$.tags"] = said["tags"].place if "tags" in said else document.at(1)
        if not title.text:
            self.findings.fault(document.at(1), "no title: begin with a heading such as “# The deepest lake”")
        return {"title": title.text.replace("\n", " "), "story": told.text, "description": about.text, "tags": tags}


def spoken(text: str) -> str:
    """A narration without “Narrator:” or “(softly)” before its quotes."""
    before = SPEAKER.match(text) or DIRECTION.match(text)
    return unquoted(text[before.end() :]) if before else text


def _said_of_film(document: Document) -> dict[str, Said]:
    """Title, story, description and tags: rows of a table of two columns, “**Title:** …”, or text below a heading."""
    found: dict[str, Said] = {}
    below = ""
    for block in document.blocks:
        if isinstance(block, Heading):
            below = _field(block.text)
        elif isinstance(block, Text):
            for name, text in _labelled(block.text, below):
                found.setdefault(name, Said(text, document.at(block.line)))
    for table in document.tables:
        for row in table.rows:
            if len(row.cells) == 2 and (name := _field(row.cells[0])) and row.cells[1]:
                found.setdefault(name, Said(row.cells[1], document.at(row.line)))
    return found


def _labelled(text: str, below: str) -> list[tuple[str, str]]:
    """(field, text) of each labelled line; text without a label belongs to the heading above it."""
    found: list[tuple[str, str]] = []
    for line in text.split("\n"):
        label, colon, rest = line.partition(":")
        if colon and rest.strip() and (name := _field(label)):
            found.append((name, rest.strip()))
    return found or ([(below, clean(text))] if below and below != "title" else [])


def _field(label: str) -> str:
    bare = re.sub(r"[^\w ]", "", label).strip().lower()
    return next((name for name, labels in FIELDS.items() if bare in labels), "")
