"""A channel as a YAML file: read strictly, each fault with its line; written so that reading it gives the same again.

Which fields there are and what they take is asked of the model. YAML 1.1's surprises (`no` is false, 12:30 is 750) are
faults that say what to write instead. A secret never stands in a file, only the name of the variable that holds it.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import yaml
from django.contrib.postgres.fields import ArrayField
from django.db import models

from channels_app.models import Channel

MOST_BYTES = 100_000
MOST_DIGITS = 12
TOKENS = "tokens"
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
NUMBER = re.compile(rf"[-+]?[0-9]{{1,{MOST_DIGITS}}}(\.[0-9]{{1,{MOST_DIGITS}}})?")
FIELDS: dict[str, "models.Field[Any, Any]"] = {
    each.name: each
    for each in Channel._meta.concrete_fields  # noqa: SLF001 - documented
    if each.editable and not each.primary_key
}


@dataclass(frozen=True)
class Fault:
    """What is wrong in a file, and what to write instead."""

    path: Path
    line: int
    field: str
    what: str

    def __str__(self) -> str:
        """In one line, whatever the file holds: nothing in it speaks to the terminal."""
        said = " ".join(f"{self.path}:{self.line}: {f'{self.field}: ' if self.field else ''}{self.what}".split())
        return "".join(each if each.isprintable() else "?" for each in said)


class FaultyError(Exception):
    """A file that can't be used; all that was found at once."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = sorted(faults, key=lambda fault: fault.line)


@dataclass
class Document:
    """What a file says: values by field, of a branding file its path ("" takes it away); tokens' variables by token."""

    path: Path
    values: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def fault(self, name: str, what: str) -> Fault:
        return Fault(self.path, self.lines.get(name, 1), name, what)


# ---------------------------------------------------------------- reading


class _WrongError(Exception):
    """What a value should have been; `line` where it is not that of its field."""

    def __init__(self, what: str, node: yaml.Node | None = None) -> None:
        super().__init__(what)
        self.node = node


def read(path: Path) -> Document:
    """The slug is the file's name where it says none. Errors: FaultyError."""
    found = Document(path)
    faults: list[Fault] = []
    for name, node in _entries(path, _root(path), faults):
        found.lines[name] = _line(node)
        try:
            if name == TOKENS:
                found.tokens = dict(_tokens(node, found.lines))
            elif name in FIELDS:
                found.values[name] = _value(FIELDS[name], node)
            else:
                raise _WrongError(_unknown(name))
        except _WrongError as wrong:
            faults.append(Fault(path, _line(wrong.node or node), name, str(wrong)))
    if faults:
        raise FaultyError(*faults)
    found.values.setdefault("slug", path.stem.encode(errors="replace").decode())
    return found


def _root(path: Path) -> yaml.MappingNode:
    try:
        root = yaml.compose(_content(path), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:  # its own text quotes the file, and so may quote a secret
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise FaultyError(Fault(path, line, "", f"is no YAML: {error.problem}; mend this line")) from error
    except (yaml.YAMLError, RecursionError) as error:
        why = "it nests too deeply" if isinstance(error, RecursionError) else "it holds characters that YAML forbids"
        raise FaultyError(Fault(path, 1, "", f"is no YAML: {why}; write plain UTF-8 text")) from error
    if not isinstance(root, yaml.MappingNode):
        raise FaultyError(Fault(path, 1, "", "holds no fields; write lines such as “name: Wild Bees”"))
    return root


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise FaultyError(Fault(path, 1, "", "is no file; name a file or a folder of them"))
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise FaultyError(Fault(path, 1, "", f"can't be read ({error.strerror}); mend its permissions")) from error
    if len(content) > MOST_BYTES:
        raise FaultyError(Fault(path, 1, "", f"has over {MOST_BYTES} bytes; a channel needs far fewer"))
    return content


def _entries(path: Path, mapping: yaml.MappingNode, faults: list[Fault]) -> Iterator[tuple[str, yaml.Node]]:
    """Each key with its value; the plain loader would take the last of two equal keys without a word."""
    seen: dict[str, int] = {}
    for key, node in mapping.value:
        name, line = _shown(key), _line(key)
        if key.tag != _tag("str"):
            faults.append(Fault(path, line, name, "is no name of a field; quote it or take it out"))
        elif name in seen:
            faults.append(Fault(path, line, name, f"stands in line {seen[name]} already; keep one"))
        else:
            seen[name] = line
            yield name, node


def _tokens(node: yaml.Node, lines: dict[str, int]) -> Iterator[tuple[str, str]]:
    """Token and variable. What stands in place of a variable may be the secret itself: it is never repeated."""
    shape = "write KIE_API_KEY: {env: NAME_OF_A_VARIABLE}, never the secret itself"
    if not isinstance(node, yaml.MappingNode):
        raise _WrongError(f"is no list of tokens; {shape}", node)
    seen = set()
    for key, said in node.value:
        name = _shown(key)
        pairs = said.value if isinstance(said, yaml.MappingNode) else []
        entries = {_shown(inner): value for inner, value in pairs}
        variable = entries.get("env")
        if set(entries) != {"env"} or len(pairs) != 1 or not _is_variable(variable):
            raise _WrongError(f"{name} names no variable; {shape}", key)
        if name in seen:
            raise _WrongError(f"{name} stands there twice; keep one", key)
        seen.add(name)
        lines[f"{TOKENS}.{name}"] = _line(key)
        yield name, str(cast("yaml.Node", variable).value)


def _is_variable(node: yaml.Node | None) -> bool:
    is_text = isinstance(node, yaml.ScalarNode) and node.tag == _tag("str")
    return is_text and VARIABLE.fullmatch(cast("yaml.Node", node).value) is not None


def _value(model_field: "models.Field[Any, Any]", node: yaml.Node) -> Any:
    if not isinstance(model_field, ArrayField):
        return _scalar(model_field, node)
    if not isinstance(node, yaml.SequenceNode):
        raise _WrongError("is no list; write [one, two], or [] for none")
    return [_scalar(model_field.base_field, item) for item in node.value]


def _scalar(model_field: "models.Field[Any, Any]", node: yaml.Node) -> Any:
    for kind, convert in KINDS.items():
        if isinstance(model_field, kind):
            return convert(node)
    raise NotImplementedError(f"No YAML for {type(model_field).__name__} of Channel.{model_field.name}")


def _truth(node: yaml.Node) -> bool:
    if node.tag != _tag("bool"):
        raise _WrongError(f"{_quoted(node)} is neither true nor false; write one of them", node)
    return yaml.SafeLoader.bool_values[node.value.lower()]


def _whole(node: yaml.Node) -> int:
    number = _number(node)
    if number != int(number) or "." in node.value:
        raise _WrongError(f"{_quoted(node)} is no whole number; write one such as 3", node)
    return int(number)


def _number(node: yaml.Node) -> Decimal:
    """As it is written: octal, sexagesimal and infinite ones are nobody's intention here."""
    if node.tag not in (_tag("int"), _tag("float")) or not NUMBER.fullmatch(node.value):
        raise _WrongError(f"{_quoted(node)} is no number; write one such as 3 or 0.40, without quotes", node)
    return Decimal(node.value)


def _text(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise _WrongError("is no text; write it in one line, or behind | in several", node)
    if node.tag == _tag("null"):
        raise _WrongError('is empty; leave the line out, or write "" for none', node)
    if node.tag != _tag("str"):
        raise _WrongError(
            f"{_quoted(node)} is {node.tag.rpartition(':')[2]} to YAML and no text; put it in quotes", node
        )
    if not _is_storable(node.value):
        raise _WrongError("holds a character that no database stores; take it out", node)
    return str(node.value)


def _is_storable(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return False


KINDS: Mapping["type[models.Field[Any, Any]]", Callable[[yaml.Node], Any]] = {
    models.BooleanField: _truth,
    models.IntegerField: _whole,
    models.DecimalField: _number,
    models.FileField: _text,
    models.CharField: _text,
    models.TextField: _text,
}


def _unknown(name: str) -> str:
    known = [*FIELDS, TOKENS]
    near = difflib.get_close_matches(name[:60], known, n=1)
    return f"is no field; write {near[0]}" if near else f"is no field; there are {', '.join(known)}"


def _tag(kind: str) -> str:
    return f"tag:yaml.org,2002:{kind}"


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _shown(node: yaml.Node) -> str:
    return str(node.value)[:60] if isinstance(node, yaml.ScalarNode) else "?"


def _quoted(node: yaml.Node) -> str:
    return f"“{node.value[:40]}”" if isinstance(node, yaml.ScalarNode) else "a list"


# ---------------------------------------------------------------- writing


class _Dumper(yaml.SafeDumper):
    """Numbers with the digits that they are stored with, long texts as people write them."""


def _dump_decimal(dumper: yaml.SafeDumper, value: Decimal) -> yaml.Node:
    return dumper.represent_scalar(_tag("float"), f"{value:f}")


def _dump_text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    return dumper.represent_scalar(_tag("str"), str(value), style=_style(value))


def _style(text: str) -> str | None:
    """As people write it, where that reads back the same: what can't be seen is escaped between quotes."""
    lines = text.split("\n")
    if not all(line.isprintable() and line == line.rstrip() for line in lines):
        return '"'
    if len(lines) == 1:
        return None
    return '"' if text[0] in " \n" else "|"


_Dumper.add_representer(Decimal, _dump_decimal)
_Dumper.add_representer(str, _dump_text)
_Dumper.add_multi_representer(str, _dump_text)  # members of choices


def write(channel: Channel, files: Mapping[str, str], tokens: Mapping[str, str]) -> str:
    """The document of a channel; `files`: where its branding lies beside it, `tokens`: the variable of each token."""
    values = {name: files.get(name, getattr(channel, name)) for name in FIELDS}
    plain = {name: "" if isinstance(value, models.fields.files.FieldFile) else value for name, value in values.items()}
    secrets = {TOKENS: {name: {"env": variable} for name, variable in tokens.items()}} if tokens else {}
    return yaml.dump(plain | secrets, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=110)
