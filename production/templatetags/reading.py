"""What the system writes down, as people read it: who did what, and what holds something up until when."""

import datetime as dt

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from production.explain import Blocker
from production.models import StatusChange
from production.outside import person
from production.stages import Verb

register = template.Library()
register.filter(person)

# What was done where nothing moved: a yes at a gate that has no status of its own, a take that a person kept.
DONE = {Verb.APPROVE: "approved", Verb.ADOPT: "kept as it is"}


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
