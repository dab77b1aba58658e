"""What the system writes down, as people read it: who did what, and what holds something up until when."""

import datetime as dt
import re

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from production.explain import Blocker
from production.models import StatusChange
from production.outside import person
from production.stages import Verb

register = template.Library()
register.filter(person)

# What was done where nothing moved: a yes at a gate that has no status of its own, a take that a person kept.
DONE = {Verb.APPROVE: "approved", Verb.ADOPT: "kept as it is"}
MOMENT = re.compile(r"(?:(\d{4}-\d\d-\d\d) )?\b(\d\d:\d\d) UTC\b")


@register.filter
def deed(change: StatusChange) -> str:
    """What a line of the history says happened: "Composites approved"; of a move where it led."""
    if change.verb == StatusChange.NOTE:
        return change.get_stage_display() or "Note"
    if change.before != change.after:
        return change.get_after_display()
    done = next((words for verb, words in DONE.items() if verb == change.verb), change.verb.replace("_", " "))
    return f"{change.get_stage_display()} {done}".strip()


@register.filter
def sentence(blocker: Blocker) -> SafeString:
    """Why it isn't running, and when it goes on by itself where that is known."""
    return held(blocker.reason, blocker.until)


@register.filter
def in_your_zone(text: str, written: dt.datetime | None = None) -> SafeString:
    """Moments that were stored as words ("at 14:05 UTC"): the browser writes them in the reader's zone. A time without
    its day is of the day on which it was `written`, or of the next where it was over then."""
    said, end = [], 0
    for found in MOMENT.finditer(text):
        at = _moment(found, written)
        if at is not None:
            said += [(text[end : found.start()], at.isoformat(), found[0])]
            end = found.end()
    words = format_html_join("", '{}<time class="clock" datetime="{}">{}</time>', said)
    return format_html("{}{}", words, text[end:])


def _moment(found: re.Match[str], written: dt.datetime | None) -> dt.datetime | None:
    day = found[1] or (f"{written.astimezone(dt.UTC):%Y-%m-%d}" if written else "")
    try:
        at = dt.datetime.fromisoformat(f"{day}T{found[2]}+00:00")
    except ValueError:  # no day is known, or those are no digits of a moment
        return None
    is_over = written and not found[1] and at < written.replace(second=0, microsecond=0)
    return at + dt.timedelta(days=1) if is_over else at


@register.filter
def length_of(spent: dt.timedelta | float | None) -> str:
    """A length of time in its two largest units: "2 h 5 min"; seconds alone below a minute."""
    if spent is None:
        return "–"
    seconds = spent.total_seconds() if isinstance(spent, dt.timedelta) else spent
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if hours < 1:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


@register.filter
def share_of(part: float | None) -> str:
    """0.625 -> "62 %"."""
    return "–" if part is None else f"{part:.0%}".replace("%", " %")


def held(reason: str, until: dt.datetime | None) -> SafeString:
    """The reason as a sentence, then when that ends; the browser writes the time in the reader's zone."""
    said = reason if reason.endswith((".", "!", "?", "…")) else f"{reason}."
    return format_html("{} {}", said, goes_on(until)) if until else format_html("{}", said)


def goes_on(until: dt.datetime) -> SafeString:
    return format_html(
        '<span class="goes-on">Goes on <time class="due" datetime="{}">{}</time>.</span>',
        until.isoformat(),
        f"{until:%Y-%m-%d %H:%M} UTC",
    )
