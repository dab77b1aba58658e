"""A Markdown document as a flat list of blocks with line numbers, its inline marks gone: `**1**` is "1", `<br>` a new
line. And the way back: text that comes out of a table's cell as it went in."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from markdown_it import MarkdownIt
from markdown_it.token import Token

PARSER = MarkdownIt("commonmark").enable("table")
PARSER.disable(["link", "image", "reference"])  # brackets are words of a prompt here, and many of them take minutes
BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
MARKS = re.compile(r"([\\`*_\[\]<>&|~!])")  # what means something within a cell
QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»"}


@dataclass(frozen=True)
class Place:
    """Where something stands, as people and editors read it."""

    file: str
    line: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Heading:
    line: int
    text: str
    level: int


@dataclass(frozen=True)
class Text:
    """A paragraph; `listed`: within a list."""

    line: int
    text: str
    listed: bool


@dataclass(frozen=True)
class Code:
    line: int
    text: str


@dataclass
class Row:
    """`surplus`: the line has more cells than the table has columns, so some of it is lost."""

    line: int
    cells: list[str] = field(default_factory=list)
    surplus: bool = False


@dataclass
class Table:
    line: int
    header: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)


Block = Heading | Text | Code | Table


def blocks(source: str) -> list[Block]:
    """What stands in the document, from top to bottom; lines count from 1. Takes any text."""
    lines = re.split("\r\n?|\n", source)
    return [_counted(block, lines) if isinstance(block, Table) else block for block in _blocks(PARSER.parse(source))]


def _blocks(tokens: list[Token]) -> Iterator[Block]:
    stream, items, line = iter(tokens), 0, 1
    for token in stream:
        line = _line(token, line)
        if token.type in ("list_item_open", "list_item_close"):
            items += token.nesting
        elif token.type in ("fence", "code_block"):
            yield Code(line, clean(token.content))
        elif token.type == "table_open":
            yield _table(stream, line)
        elif token.type == "heading_open":
            yield Heading(line, _plain(next(stream)), int(token.tag[1]))
        elif token.type == "inline":
            yield Text(line, _plain(token), listed=items > 0)


def _table(stream: Iterator[Token], line: int) -> Table:
    """The table that has just begun; its first row is its header."""
    rows: list[Row] = []
    for token in stream:
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            rows.append(Row(line))
        elif token.type == "inline":
            rows[-1].line = _line(token, line)
            rows[-1].cells.append(_plain(token))
    return Table(line, rows[0].cells, rows[1:])


def _line(token: Token, before: int) -> int:
    return token.map[0] + 1 if token.map else before


def _counted(table: Table, lines: list[str]) -> Table:
    """Marks the rows whose line has more cells than there are columns."""
    for row in table.rows:
        bare = re.sub(r"^\||(?<!\\)\|$", "", lines[row.line - 1].strip())
        row.surplus = len(re.findall(r"(?<!\\)\|", bare)) >= len(table.header)
    return table


def _plain(inline: Token) -> str:
    """The text of an inline token, as a reader sees it."""
    return clean("".join(map(_piece, inline.children or [])))


def _piece(token: Token) -> str:
    if token.type in ("softbreak", "hardbreak"):
        return "\n"
    if token.type == "html_inline":
        return "\n" if BREAK.fullmatch(token.content) else ""
    return token.content


def clean(text: str) -> str:
    """Without space at the ends of text and lines."""
    return "\n".join(line.strip() for line in text.splitlines()).strip()


# ---------------------------------------------------------------- quotes


def unquoted(text: str) -> str:
    """Without the pair of quotes around all of it; “a” and “b” has none."""
    if len(text) < 2 or text[-1] != QUOTES.get(text[0]):
        return text
    inner = text[1:-1]
    return inner.strip() if _stands_alone(inner, text[0], text[-1]) else text


def _stands_alone(inner: str, opening: str, closing: str) -> bool:
    """Whether the quotes around `inner` belong to each other."""
    if opening == closing:
        return opening not in inner
    depth = 0
    for character in inner:
        depth += (character == opening) - (character == closing)
        if depth < 0:
            return False
    return depth == 0


# ---------------------------------------------------------------- the way back


def cell(text: str) -> str:
    """The source of a table's cell that is read as `text`."""
    return "<br>".join(MARKS.sub(r"\\\1", line) for line in text.split("\n"))


def table(header: list[str], rows: list[list[str]]) -> str:
    """The source of a table; the cells are ready-made source."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def fence(text: str) -> str:
    """The source of a code block, its fence longer than any run of backticks within."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}\n{text}\n{ticks}\n"
