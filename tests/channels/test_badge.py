"""What a channel is known by."""

import re

import pytest
from django.core.exceptions import ValidationError

from channels_app.badge import Colour, require_emoji
from channels_app.models import Channel
from tests import ROOT


@pytest.mark.parametrize("emoji", ["🐝", "👩‍🚀", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🇩🇪", "❤️", "👍🏽", "♾️", "🫪"])
def test_emoji_is_taken(emoji: str) -> None:
    require_emoji(emoji)


@pytest.mark.parametrize("text", ["a", "1", "<b>", " ", "!!", "é", "\u202e🐝", "🐝a", "\u200d", "‮", "^", "`"])
def test_emoji_is_nothing_else(text: str) -> None:
    with pytest.raises(ValidationError, match="is no emoji; one is"):
        require_emoji(text)


def test_badge_shows_colour_emoji_and_name_and_escapes_it() -> None:
    badge = Channel(name="<Bees>", emoji="🐝", colour="amber").badge
    assert "badge-amber" in badge
    assert "🐝" in badge
    assert "&lt;Bees&gt;" in badge
    assert "<Bees>" not in badge
    assert ">W</span>" in Channel(name="wasps").badge


def test_badge_has_a_style_for_every_colour() -> None:
    css = (ROOT / "static/house.css").read_text()
    assert set(re.findall(r"\.badge-(\w+) \{", css)) == set(Colour.values)
