"""Channels as YAML: what is written reads back the same, and every fault says its line and what to write instead."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels_app.documents import FIELDS, MOST_BYTES, FaultyError, read, write
from channels_app.models import OPTIONAL_GATES, Channel

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=80)
SHARE = st.decimals(0, 1, places=2)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "name": TEXT,
    "language": TEXT,
    "style": TEXT,
    "description_template": TEXT,
    "voice_id": TEXT,
    "voice_stability": SHARE,
    "most_similarity": SHARE,
    "fade": st.decimals(0, 5, places=1),
    "clips_per_video": st.integers(1, 60),
    "gates": st.lists(st.sampled_from([gate for gate, _ in OPTIONAL_GATES]), unique=True),
    "tags": st.lists(TEXT, max_size=5),
    "active": st.booleans(),
    "made_for_kids": st.booleans(),
}


def written(folder: Path, text: str | bytes, name: str = "bees.yaml") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def faults_of(folder: Path, text: str | bytes) -> list[str]:
    with pytest.raises(FaultyError) as caught:
        read(written(folder, text))
    return [str(fault).removeprefix(f"{folder}/") for fault in caught.value.faults]


@given(st.fixed_dictionaries(VALUES))
def test_write_reads_back_the_same(tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]) -> None:
    channel = Channel(slug="bees", **values)
    path = written(tmp_path_factory.getbasetemp(), write(channel, {}, {"KIE_API_KEY": "BEES_KIE"}))
    found = read(path)
    assert {name: found.values[name] for name in values} == values
    assert found.values == {name: getattr(channel, name) for name in FIELDS}
    assert found.tokens == {"KIE_API_KEY": "BEES_KIE"}


def test_fields_are_those_that_people_edit() -> None:
    assert {"slug", "name", "gates", "intro", "colour", "emoji"} <= set(FIELDS)
    assert not {"id", "created"} & set(FIELDS)


def test_read_takes_the_slug_from_the_file_where_it_says_none(tmp_path: Path) -> None:
    assert read(written(tmp_path, "name: Bees")).values == {"slug": "bees", "name": "Bees"}
    assert read(written(tmp_path, "name: Bees\nslug: wasps")).values["slug"] == "wasps"


def test_read_keeps_the_digits_of_a_number(tmp_path: Path) -> None:
    assert read(written(tmp_path, "voice_stability: 0.40")).values["voice_stability"] == Decimal("0.40")
    assert read(written(tmp_path, "voice_stability: 1")).values["voice_stability"] == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: Bees\nvoise_id: x", "bees.yaml:2: voise_id: is no field; write voice_id"),
        ("zzz: 1", "bees.yaml:1: zzz: is no field; there are slug, name,"),
        ("created: 2026-01-01", "bees.yaml:1: created: is no field"),
        ("language: no", "bees.yaml:1: language: “no” is bool to YAML and no text; put it in quotes"),
        ("name: 12:30", "bees.yaml:1: name: “12:30” is int to YAML and no text; put it in quotes"),
        ("name:", 'bees.yaml:1: name: is empty; leave the line out, or write "" for none'),
        ("name: [a]", "bees.yaml:1: name: is no text"),
        ('name: "a\\0b"', "bees.yaml:1: name: holds a character that no database stores"),
        ('name: "a\\ud800"', "bees.yaml:1: name: holds a character that no database stores"),
        ("active: 1", "bees.yaml:1: active: “1” is neither true nor false"),
        ("active: {}", "bees.yaml:1: active: a list is neither true nor false"),
        ('clips_per_video: "18"', "bees.yaml:1: clips_per_video: “18” is no number; write one such as"),
        ("clips_per_video: 0o17", "bees.yaml:1: clips_per_video: “0o17” is no number"),
        ("clips_per_video: 1.5", "bees.yaml:1: clips_per_video: “1.5” is no whole number; write one such as 3"),
        (f"clips_per_video: {'9' * 9000}", "bees.yaml:1: clips_per_video: “9999"),
        ("fade: .inf", "bees.yaml:1: fade: “.inf” is no number"),
        ("fade: true", "bees.yaml:1: fade: “true” is no number"),
        ("gates: assets", "bees.yaml:1: gates: is no list; write [one, two]"),
        ("name: a\n\ngates:\n- assets\n- yes", "bees.yaml:5: gates: “yes” is bool to YAML"),
        ("name: a\nname: b", "bees.yaml:2: name: stands in line 1 already; keep one"),
        ("[1]: a", "bees.yaml:1: ?: is no name of a field"),
        ("1: a", "bees.yaml:1: 1: is no name of a field"),
        ("name: a\n\tstyle: b", "bees.yaml:2: is no YAML: "),
        ("name: a\n---\nname: b", "bees.yaml:2: is no YAML: "),
        ("name: *nowhere", "bees.yaml:1: is no YAML: "),
        ("- a", "bees.yaml:1: holds no fields"),
        ("", "bees.yaml:1: holds no fields"),
        (b"name: \xff", "bees.yaml:1: is no YAML: it holds characters that YAML forbids"),
        ("[" * 50_000, "bees.yaml:1: is no YAML: it nests too deeply"),
        ("#" * (MOST_BYTES + 1), f"bees.yaml:1: has over {MOST_BYTES} bytes"),
        ('"\\e[31m": 1', "bees.yaml:1: ?[31m: is no field"),
    ],
)
def test_read_names_line_field_and_fault(tmp_path: Path, text: str | bytes, said: str) -> None:
    (fault,) = faults_of(tmp_path, text)
    assert fault.startswith(said)
    assert "\n" not in fault


def test_read_tells_every_fault_at_once(tmp_path: Path) -> None:
    assert len(faults_of(tmp_path, "name: 1\nfade: x\nstyle: ok\nzzz: 1\ntokens: []")) == 4


@pytest.mark.parametrize(
    "tokens",
    [
        "sk-very-secret",
        "{KIE_API_KEY: sk-very-secret}",
        "{KIE_API_KEY: {env: sk-very-secret}}",
        "{KIE_API_KEY: {env: [sk-very-secret]}}",
        "{KIE_API_KEY: {value: sk-very-secret}}",
        "{KIE_API_KEY: {env: GOOD, value: sk-very-secret}}",
        "{KIE_API_KEY: {env: GOOD, env: sk-very-secret}}",
        "{KIE_API_KEY: {env: A}, KIE_API_KEY: {env: B}}",
        "{KIE_API_KEY: {env: 1}}",
        "[KIE_API_KEY]",
        "{KIE_API_KEY: sk-very-secret: x}",
    ],
)
def test_read_refuses_a_secret_in_the_file_and_never_repeats_it(tmp_path: Path, tokens: str) -> None:
    (fault,) = faults_of(tmp_path, f"name: Bees\ntokens: {tokens}")
    assert fault.startswith("bees.yaml:2: ")
    assert "very-secret" not in fault


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_read_of_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(FaultyError, match="is no file"):
        read(tmp_path / name)
