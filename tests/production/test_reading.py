"""What the system writes down, as people read it."""

import datetime as dt

import pytest

from production.explain import Blocker
from production.models import StatusChange
from production.stages import Status, Verb
from production.templatetags.reading import deed, in_your_zone, length_of, person, sentence

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


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("waits until 2026-11-29 14:05 UTC <b>", "2026-11-29T14:05:00+00:00"),
        ("attempt 2 of 5 at 14:05 UTC", "2026-11-28T14:05:00+00:00"),
        ("attempt 2 of 5 at 09:05 UTC", "2026-11-29T09:05:00+00:00"),  # over when it was written: of the next day
    ],
)
def test_in_your_zone_finds_the_moment_in_the_words(text: str, moment: str) -> None:
    html = in_your_zone(text, dt.datetime(2026, 11, 28, 12, 0, tzinfo=dt.UTC))
    assert f'<time class="clock" datetime="{moment}">' in html
    assert "<b>" not in html


@pytest.mark.parametrize("text", ["at 14:05 UTC", "at 99:05 UTC", "no moment at all"])
def test_in_your_zone_leaves_what_is_no_known_moment(text: str) -> None:
    assert in_your_zone(text) == text


@pytest.mark.parametrize(
    ("spent", "said"),
    [
        (None, "–"),
        (2.4, "2 s"),
        (61.0, "1 min"),
        (dt.timedelta(hours=2, minutes=5), "2 h 5 min"),
        (180_000.0, "2 d 2 h"),
    ],
)
def test_length_of(spent: dt.timedelta | float | None, said: str) -> None:
    assert length_of(spent) == said
