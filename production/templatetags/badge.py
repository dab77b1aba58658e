"""A channel as it is shown everywhere: its colour, its sign and its name, so that it is known at a glance."""

import zlib

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from channels_app.models import Channel

register = template.Library()

HUES = 12  # classes .hue-0 … of house.css, each readable in light and dark
SIGNS = "🟣🔵🟢🟡🟠🔴🟤⚫🔷🔶🌀🌙🌊🌋🌲🍀🍄🍋🍒🎈🎧🎬🎲🎸🏔🏮🐙🐝🐢🐳🐼👾💎💡📀📚📡🔭🗿🚀🚲🛰🛸🦉🦊🦋🧊🧭🧲🪁🪐🪴"


@register.simple_tag
def channel_badge(channel: Channel) -> SafeString:
    """Hue and sign follow from the slug, which never changes."""
    number = zlib.crc32(channel.slug.encode())
    return format_html(
        '<span class="channel hue-{}"><span aria-hidden="true">{}</span> {}</span>',
        number % HUES,
        SIGNS[number // HUES % len(SIGNS)],
        channel.name,
    )
