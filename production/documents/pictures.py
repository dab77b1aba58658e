"""The assets document: master prompts under headings, each with a file name, and which clip shows what."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from production.documents.findings import Findings
from production.documents.markdown import Block, Code, Heading, Place, Table, Text, clean
from production.documents.tables import Document, clip_numbers, find_columns

KINDS = {  # Asset.Kind: words of the headings and folders that tell it
    "character": ("character", "figure", "creature", "animal", "people", "person"),
    "environment": ("environment", "background", "location", "setting", "backdrop", "landscape"),
    "prop": ("prop", "object", "item"),
}
PREFIXES = {"char": "character", "env": "environment", "bg": "environment", "prop": "prop"}
ATMOSPHERE = re.compile(r"atmosphere|global style|style block|global look|global prompt", re.IGNORECASE)
FILE = re.compile(r"(?<![\w.-])((?:[\w.-]{1,80}/){0,8})([\w-]{1,80})\.png\b", re.IGNORECASE)  # bounded: no long search
LABEL = re.compile(
    r"(?:[-–•]\s*)?(?:suggested\s+)?(?:output\s+)?(?:file\s*name|file|save as|output|path|name)\s*:?\s*", re.IGNORECASE
)
REFERENCE = re.compile(r"(?:use\s+)?references?(?: image| picture| file)?s?\s*:\s*(.*)", re.IGNORECASE)
PROMPT = re.compile(r"(?:(?:master|image|full)\s+)?prompt\s*:\s*", re.IGNORECASE)
PLACEHOLDER = re.compile(
    r"[\[{(<]{1,3}\s{0,9}(?:insert\s+|use\s+|add\s+)?(?:the\s+)?global atmosphere(?: block)?[^\])}>]{0,40}[\])}>]{1,3}"
)
OWN_HEADING = 4  # a heading this deep names one picture
IN_CLIPS = re.compile(r"clip|scene|shot", re.IGNORECASE)
ROLES = {
    "layout?": ("layout", "composition", "type"),
    "character?": ("character", "left", "subject", "figure"),
    "environment?": ("environment", "right", "background", "location", "setting"),
}


@dataclass(frozen=True)
class Picture:
    """An image the plan asks for; `names`: what else it is called, as slugs."""

    key: str
    kind: str
    prompt: str
    reference: str
    place: Place
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shown:
    """What a clip shows: keys of pictures."""

    character: str
    environment: str
    layout: str
    place: Place


@dataclass
class Section:
    """A heading with what stands below it up to the next one."""

    heading: Heading
    blocks: list[Block] = field(default_factory=list)

    @property
    def codes(self) -> list[Code]:
        return [block for block in self.blocks if isinstance(block, Code) and block.text]

    @property
    def prompts(self) -> list[Code]:
        """The code blocks but for those that only name a file; one that stands alone is a prompt whatever it says."""
        return [code for code in self.codes if not _is_file_name(code)] or self.codes

    @property
    def texts(self) -> list[Text]:
        return [block for block in self.blocks if isinstance(block, Text) and block.text]


# ---------------------------------------------------------------- master prompts


def read_pictures(document: Document, findings: Findings) -> list[Picture]:
    """Every picture that has a prompt, in the order of drawing: a reference comes before what it is for."""
    found: dict[str, Picture] = {}
    atmosphere, kind, depth = "", "", 0
    listed = _listed(document)
    for section in _sections(document):
        title, level = section.heading.text, section.heading.level
        if ATMOSPHERE.search(title):
            atmosphere = _prompt_of(section)
        elif _is_picture(section):
            for picture in _pictures(document, section, kind, listed, findings):
                _add(found, picture, findings)
        elif told := _kind_told(title):
            kind, depth = told, level
        elif level <= depth:
            kind = ""
    _note_unprompted(document, found, listed, findings)
    if not found:
        findings.fault(document.at(1), "no master prompt was found: each needs a heading, a file name and a code block")
    return _in_order([_with(picture, atmosphere, found, findings) for picture in found.values()], findings)


def _sections(document: Document) -> Iterator[Section]:
    section = Section(Heading(1, "", 1))
    for block in document.blocks:
        if isinstance(block, Heading):
            yield section
            section = Section(block)
        else:
            section.blocks.append(block)
    yield section


def _is_picture(section: Section) -> bool:
    """Deep enough a heading with a prompt below it, or any with a prompt and a file name."""
    if section.heading.level >= OWN_HEADING:
        return bool(_prompt_of(section)) and not IN_CLIPS.match(section.heading.text)
    return bool(section.codes) and bool(_files(section))


def _files(section: Section) -> list[tuple[str, str, int]]:
    """(folder, stem, line) of the file names in heading and text, in order; those in references are not its own."""
    lines = [(section.heading.text, section.heading.line)]
    lines += [(line, text.line) for text in section.texts for line in text.text.split("\n")]
    lines += [(code.text, code.line) for code in section.codes if code not in section.prompts]
    named = [(FILE.search(line), number) for line, number in sorted(lines, key=lambda it: it[1]) if not _refers(line)]
    return [(match[1].lower(), match[2], number) for match, number in named if match]


def _refers(line: str) -> re.Match[str] | None:
    return REFERENCE.match(line.lstrip("-–• "))


def _is_file_name(code: Code) -> bool:
    return bool(FILE.fullmatch(LABEL.sub("", code.text, count=1)))


def _prompt_of(section: Section) -> str:
    """The first code block, else the text without its labels."""
    if section.prompts:
        return section.prompts[0].text
    lines = [line for text in section.texts for line in text.text.split("\n")]
    kept = [line for line in lines if not _refers(line) and not (FILE.search(line) and len(line) < 120)]
    return PROMPT.sub("", clean("\n".join(kept)), count=1)


def _pictures(
    document: Document, section: Section, kind: str, listed: dict[str, tuple[str, int]], findings: Findings
) -> Iterator[Picture]:
    """One, or as many as there are pairs of file name and code block."""
    files, codes = _files(section), section.prompts
    if len(codes) > 1 and len(files) == len(codes):
        for file, code in zip(files, codes, strict=True):
            yield _picture(document.at(code.line), file[1], file, code.text, "", kind, listed, findings)
        return
    for code in codes[1:]:
        findings.note(document.at(code.line), f"a second code block below “{section.heading.text[:60]}” is left out")
    file = files[0] if files else ("", "", 0)
    references = [match[1] for text in section.texts for line in text.text.split("\n") if (match := _refers(line))]
    line = codes[0].line if codes else section.heading.line
    prompt = _prompt_of(section)
    title = section.heading.text
    yield _picture(document.at(line), title, file, prompt, " ".join(references), kind, listed, findings)


def _picture(
    place: Place,
    title: str,
    file: tuple[str, str, int],
    prompt: str,
    reference: str,
    kind: str,
    listed: dict[str, tuple[str, int]],
    findings: Findings,
) -> Picture:
    folder, stem, _ = file
    bare = re.sub(r"^[\d.\s):-]+|\([^()]{0,200}\)|`", "", FILE.sub("", title)).strip() or title
    key = _key(stem or bare) or f"image-{place.line}"
    told = (
        _kind_told(folder) or kind or listed.get(_slug(key), ("", 0))[0] or PREFIXES.get(_slug(key).split("_")[0], "")
    )
    if not told:
        where = ", ".join(f"{word}s" for word in KINDS)
        findings.fault(place, f"which kind is “{key}”? Put it under a heading that says {where}")
    if not stem:
        findings.note(place, f"“{title[:60]}” has no file name; it is called “{key}”")
    return Picture(key, told, prompt, reference, place, tuple(filter(None, {_slug(stem or bare), _slug(bare)})))


def _add(found: dict[str, Picture], picture: Picture, findings: Findings) -> None:
    before = found.get(picture.key)
    if before and before.prompt != picture.prompt:
        findings.fault(picture.place, f"“{picture.key}” has another prompt in line {before.place.line}; keep one")
    found.setdefault(picture.key, picture)


def _with(picture: Picture, atmosphere: str, found: dict[str, Picture], findings: Findings) -> Picture:
    """With the atmosphere before its prompt (or where it says so), and its reference as a key."""
    prompt = picture.prompt
    if atmosphere and PLACEHOLDER.search(prompt.lower()):
        start, end = PLACEHOLDER.search(prompt.lower()).span()  # type: ignore[union-attr]
        prompt = clean(prompt[:start] + atmosphere + prompt[end:])
    elif atmosphere and atmosphere not in prompt:
        prompt = f"{atmosphere}\n{prompt}"
    meant = [key for key in mentioned(picture.reference, list(found.values())) if key != picture.key]
    if picture.reference and not meant:
        findings.note(picture.place, f"the reference of “{picture.key}” leads to no picture here: left out")
    return Picture(picture.key, picture.kind, prompt, meant[0] if meant else "", picture.place, picture.names)


def _in_order(pictures: list[Picture], findings: Findings) -> list[Picture]:
    """As they stand, but a picture never before its reference."""
    ordered: dict[str, Picture] = {}
    waiting = list(pictures)
    while ready := [one for one in waiting if not one.reference or one.reference in ordered]:
        first = ready[0]
        ordered[first.key] = first
        waiting.remove(first)
    for picture in waiting:
        findings.fault(picture.place, f"the reference of “{picture.key}” leads back to itself")
    return list(ordered.values())


# ---------------------------------------------------------------- manifest


def _listed(document: Document) -> dict[str, tuple[str, int]]:
    """Files of the manifest lists: slug -> (kind by heading or folder, line)."""
    found: dict[str, tuple[str, int]] = {}
    kind = ""
    for block in document.blocks:
        if isinstance(block, Heading):
            kind = _kind_told(block.text) or (kind if block.level >= OWN_HEADING else "")
        elif isinstance(block, Text) and block.listed:
            for match in FILE.finditer(block.text):
                found.setdefault(_slug(match[2]), (_kind_told(match[1].lower()) or kind, block.line))
    return found


def _note_unprompted(
    document: Document, found: dict[str, Picture], listed: dict[str, tuple[str, int]], findings: Findings
) -> None:
    known = {name for picture in found.values() for name in (_slug(picture.key), *picture.names)}
    for name, (_, line) in listed.items():
        if name not in known and not IN_CLIPS.match(name):
            findings.note(document.at(line), f"“{name}” is in the manifest but has no master prompt: left out")


def _kind_told(words: str) -> str:
    """The kind that a heading or folder tells, by the word that comes first."""
    places = [(words.lower().find(word), kind) for kind, all_words in KINDS.items() for word in all_words]
    return min((place for place in places if place[0] >= 0), default=(0, ""))[1]


# ---------------------------------------------------------------- which clip shows what


def read_map(document: Document, pictures: list[Picture], findings: Findings) -> dict[int, Shown]:
    """What the clip-to-asset table says, by clip; either a row a clip or a row an asset."""
    said: dict[int, list[tuple[str, str, str, Place]]] = {}
    for table in document.tables:
        roles = find_columns(table.header, ROLES)
        if roles and IN_CLIPS.search(table.header[roles["number"]]):
            _read_map_table(document, table, roles, pictures, said)
    shown = {number: shown_by(cells, pictures) for number, cells in said.items()}
    return {number: it for number, it in shown.items() if it}


def _read_map_table(
    document: Document,
    table: Table,
    roles: dict[str, int],
    pictures: list[Picture],
    said: dict[int, list[tuple[str, str, str, Place]]],
) -> None:
    for row in table.rows:
        cells = {role: row.cells[at] for role, at in roles.items()}
        others = " ; ".join(text for at, text in enumerate(row.cells) if at != roles["number"])
        for number in clip_numbers(cells["number"]):
            pair = (cells.get("character", ""), cells.get("environment", ""), others, document.at(row.line))
            said.setdefault(number, []).append(pair)


def shown_by(said: list[tuple[str, str, str, Place]], pictures: list[Picture]) -> Shown | None:
    """From (character, environment, everything) of all its rows; None where no picture is named."""
    kinds = {picture.key: picture.kind for picture in pictures}
    keys = list(dict.fromkeys(key for row in said for key in mentioned(row[2], pictures)))
    if not keys:
        return None
    left = [key for row in said for key in mentioned(row[0], pictures)]
    right = [key for row in said for key in mentioned(row[1], pictures)]
    layout = "split" if any(re.search(r"split|two halves|side by side", row[2], re.IGNORECASE) for row in said) else ""
    scenes = right or [key for key in keys if kinds[key] == "environment" and key not in left[:1]]
    figures = left or [key for key in keys if kinds[key] == "character" and key not in scenes[:1]]
    figures = figures or [key for key in keys if kinds[key] == "prop" and key not in scenes[:1]]
    if layout and not right and len(keys) > 1:
        figures, scenes = keys[:1], keys[1:2]
    pair = [*figures[:1], *scenes[:1]] or keys[:1]
    return Shown(pair[0], pair[-1], layout or "composite", said[0][3])


def mentioned(words: str, pictures: list[Picture]) -> list[str]:
    """Keys of the pictures that `words` name, in order; file names count before everything else."""
    stems = [match[2] for match in FILE.finditer(words)]
    keys = {picture.key for picture in pictures}
    exact = [stem.lower() for stem in stems if stem.lower() in keys]
    if exact and len(exact) == len(stems):
        return list(dict.fromkeys(exact))
    return _named_in(" ; ".join(stems) if stems else words, pictures)


def _named_in(words: str, pictures: list[Picture]) -> list[str]:
    """By any of their names, the longest first, so that “hero” is not found in “hero_sad”."""
    text = f"_{_slug(words)}_"
    names = {name: picture.key for picture in pictures for name in (*picture.names, _slug(picture.key)) if name}
    found: list[tuple[int, str]] = []
    for name in sorted(names, key=len, reverse=True):
        while (at := text.find(f"_{name}_")) >= 0:
            found.append((at, names[name]))
            text = text[: at + 1] + "\0" * len(name) + text[at + 1 + len(name) :]
    return list(dict.fromkeys(key for _, key in sorted(found)))


# ---------------------------------------------------------------- names


def _slug(words: str) -> str:
    plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def _key(words: str) -> str:
    """As the plan's keys are: kept as it is where it may be."""
    lower = words.lower()
    return lower if re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,59}", lower) else _slug(words)[:60].strip("_")


def facts(picture: Picture) -> dict[str, Any]:
    """The picture as a plan has it."""
    return {"key": picture.key, "kind": picture.kind, "prompt": picture.prompt, "reference": picture.reference}
