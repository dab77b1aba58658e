"""What the system writes down, as people read it."""

import datetime as dt

import pytest

from production.explain import Blocker
from production.models import StatusChange
from production.stages import Status, Verb
from production.templatetags.reading import deed, person, sentence

UNTIL = dt.datetime(2026, 11, 29, 0, 0, tzinfo=dt.UTC)


def change(verb: str, before: Status, after: Status, stage: str) -> StatusChange:
    return StatusChange(verb=verb, before=before, after=after, stage=stage)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (change(Verb.APPROVE, Status.SFX_READY, Status.SFX_READY, "sfx"), "SFX approved"),
        (change(Verb.START, Status.CLAIMED, Status.GENERATING_ASSETS, "assets"), "Generating Assets"),
        (change(StatusChange.NOTE, Status.GENERATING_AUDIO, Status.GENERATING_AUDIO, "audio"), "Audio"),
        (change("send_back", Status.QUEUED, Status.QUEUED, ""), "send back"),
    ],
)
def test_deed(line: StatusChange, said: str) -> None:
    assert deed(line) == said


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ("notion: 9e500000-0000-4000-8000-00000000c001", "somebody in Notion"),
        ("notion: Olga", "notion: Olga"),
        ("system", "system"),
    ],
)
def test_person(by: str, said: str) -> None:
    assert person(by) == said


@pytest.mark.parametrize(
    ("reason", "said"), [("It waits", "It waits."), ("None left.", "None left."), ("<b>", "&lt;b&gt;.")]
)
def test_sentence_ends_once_and_is_escaped(reason: str, said: str) -> None:
    assert sentence(Blocker(reason)) == said


def test_sentence_says_when_it_goes_on() -> None:
    html = sentence(Blocker("The cap is reached", UNTIL))
    assert html.startswith("The cap is reached. ")
    assert f'datetime="{UNTIL.isoformat()}">2026-11-29 00:00 UTC</time>' in html
