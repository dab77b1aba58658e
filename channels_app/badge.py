"""What a channel is known by at a glance: a colour and an emoji."""

import unicodedata

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.html import format_html
from django.utils.safestring import SafeString

JOINER = "\u200d"
UNNAMED = range(0x1F000, 0x1FB00)  # where emoji live that are younger than this Python's tables
TAGS = range(0xE0020, 0xE0080)  # they spell the flags of regions


class Colour(models.TextChoices):
    """Ten that can be told apart, each readable on light and dark pages; their values are in static/house.css. A free
    choice would have been unreadable on one of the two, and inline styles are what the review page forbids."""

    SLATE = "slate", "Slate"
    RED = "red", "Red"
    ORANGE = "orange", "Orange"
    AMBER = "amber", "Amber"
    GREEN = "green", "Green"
    TEAL = "teal", "Teal"
    SKY = "sky", "Sky"
    BLUE = "blue", "Blue"
    VIOLET = "violet", "Violet"
    PINK = "pink", "Pink"


def require_emoji(text: str) -> None:
    """Errors: ValidationError unless it is a picture and what modifies it: no letters, no invisible controls."""
    if not (_is_picture(text[0]) and all(map(_belongs, text))):
        raise ValidationError(f"“{text}” is no emoji; one is 🐝.")


def _is_picture(character: str) -> bool:
    return ord(character) in UNNAMED or (unicodedata.category(character) in ("So", "Sm") and not character.isascii())


def _belongs(character: str) -> bool:
    modifies = unicodedata.category(character) in ("Mn", "Sk") or character == JOINER or ord(character) in TAGS
    return _is_picture(character) or (modifies and not character.isascii())


def draw(colour: str, mark: str, name: str) -> SafeString:
    return format_html(
        '<span class="badge badge-{}" title="{}"><span class="mark" aria-hidden="true">{}</span> {}</span>',
        colour,
        name,
        mark,
        name,
    )
