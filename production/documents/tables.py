"""Tables whose columns have changing names and order: which column is which, and what they say of each clip."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from production.documents.findings import Findings
from production.documents.markdown import Block, Place, Row, Table, unquoted

MOST_CLIPS = 200  # a row numbered higher counts something else, such as a year
NUMBER = re.compile(r"(?:used in )?(?:clip|scene|shot|segment)s?(?: (?:no|nr|number|id))?|no|nr|number|id|")
WHICH = re.compile(
    r"(?:(?:clip|scene|shot|segment)s?|#|no|nr|number)?[\s._#-]*0*(\d{1,4})(?:\s*[.:)(](?!\S).*|\s*[(\n].*|\s+[-–—]\s.*)?",
    re.IGNORECASE | re.DOTALL,
)
Columns = dict[
    str, tuple[str, ...]
]  # a column's role: words of its header, the surest first; "?" after an optional role


@dataclass(frozen=True)
class Said:
    """A cell and its place."""

    text: str
    place: Place


@dataclass(frozen=True)
class Document:
    """One of the files, parsed."""

    name: str
    blocks: list[Block]

    def at(self, line: int) -> Place:
        return Place(self.name, line)

    @property
    def tables(self) -> Iterator[Table]:
        return (block for block in self.blocks if isinstance(block, Table))


def rows_by_clip(document: Document, columns: Columns, findings: Findings) -> dict[int, dict[str, Said]]:
    """What the document's tables with these columns say of each clip, by role. Other tables are passed over."""
    found: dict[int, dict[str, Said]] = {}
    for table in document.tables:
        if roles := find_columns(table.header, columns):
            for row in table.rows:
                _take(document, row, roles, found, findings)
    if not found:
        wanted = " and ".join(role for role in columns if not role.endswith("?"))
        there = "; ".join(", ".join(table.header) for table in document.tables) or "none"
        findings.fault(
            document.at(1), f"no table with clip numbers and {wanted} was found; tables there: {there[:200]}"
        )
    return found


def find_columns(header: list[str], columns: Columns) -> dict[str, int] | None:
    """Where each role's column is; None where the number or one that has to be there lacks."""
    names = [re.sub(r"[^\w#]+", " ", name.lower()).strip() for name in header]
    number = next((at for at, name in enumerate(names) if NUMBER.fullmatch(name.replace("#", "").strip())), None)
    if number is None:
        return None
    roles = {"number": number}
    for role, words in columns.items():
        free = [at for at in range(len(names)) if at not in roles.values()]
        at = next((at for word in words for at in free if word in names[at]), None)
        if at is not None:
            roles[role.rstrip("?")] = at
        elif not role.endswith("?"):
            return None
    return roles


def _take(
    document: Document, row: Row, roles: dict[str, int], found: dict[int, dict[str, Said]], findings: Findings
) -> None:
    place, words = document.at(row.line), row.cells[roles["number"]]
    number = clip_number(words)
    if number is None:
        if any(row.cells):
            findings.note(place, f"row left out: “{words[:40]}” is no clip's number")
        return
    if row.surplus:
        findings.fault(place, f"clip {number}: more cells than the table has columns; write \\| for a | within one")
    said = {role: Said(unquoted(row.cells[at]), place) for role, at in roles.items() if role != "number"}
    before = found.setdefault(number, said)
    if any(said[role].text != before[role].text for role in said.keys() & before.keys()):
        there = next(iter(before.values())).place.line
        findings.fault(place, f"clip {number} stands here and in line {there} with different words; keep one")


def clip_number(words: str) -> int | None:
    match = WHICH.fullmatch(words.strip())
    return int(match[1]) if match and 1 <= int(match[1]) <= MOST_CLIPS else None


def clip_numbers(words: str) -> list[int]:
    """All clips of a cell such as "1, 3, 5–7"."""
    numbers: list[int] = []
    for first, last in re.findall(r"(\d{1,3})(?:\s*[-–—]\s*(\d{1,3}))?", words):
        numbers += range(int(first), min(int(last or first), MOST_CLIPS) + 1)
    return [number for number in numbers if 1 <= number <= MOST_CLIPS]
