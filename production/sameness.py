"""The sameness guard: how much a plan's title, narration and prompts are like those of recent videos of this channel
and its sisters, by the trigrams that two texts share (pg_trgm).

A platform that pays for originality takes a channel's films as one when they read as one; so does the audience.
"""

from collections.abc import Iterator

from django.db import connection

from production import providers
from production.lint import Finding
from production.models import Task

RECENT = 100  # videos that a plan is held against, the youngest first
CLOSEST = 3  # that are named
MOST_TEXT = 20_000  # characters of a plan that are compared: the task's row is locked meanwhile

SIMILAR = """
WITH recent AS (
    SELECT task.id, task.title, task.channel_id = %(channel)s AS own
    FROM production_task AS task JOIN channels_channel AS channel ON channel.id = task.channel_id
    WHERE channel.family = %(family)s AND task.id <> %(task)s AND task.story <> ''
    ORDER BY task.created DESC LIMIT %(recent)s
), words AS (
    SELECT recent.*,
        (SELECT string_agg(clip.narration, ' ' ORDER BY clip.number)
         FROM production_clip AS clip WHERE clip.task_id = recent.id) AS narration,
        (SELECT string_agg(asset.prompt, ' ' ORDER BY asset.number)
         FROM production_asset AS asset WHERE asset.task_id = recent.id) AS prompts
    FROM recent
), likeness AS (
    SELECT id, title, own,
        similarity(title, %(title)s) AS "title's",
        similarity(left(coalesce(narration, ''), %(most)s), %(narration)s) AS "narration's",
        similarity(left(coalesce(prompts, ''), %(most)s), %(prompts)s) AS "prompts'"
    FROM words
)
SELECT id, title, own, "title's", "narration's", "prompts'" FROM likeness
WHERE greatest("title's", "narration's", "prompts'") >= %(limit)s
ORDER BY greatest("title's", "narration's", "prompts'") DESC, id LIMIT %(closest)s
"""


def look(task: Task) -> Iterator[Finding]:
    """The recent videos that the plan is too much like. Plans of a stand-in, which all come from one small stock of
    sentences, are told but hold nothing up."""
    limit = task.channel.most_similarity
    if not limit:
        return
    values: dict[str, str | int | float] = {
        "family": task.channel.family,
        "channel": task.channel_id,
        "task": task.pk,
        "recent": RECENT,
        "closest": CLOSEST,
        "limit": float(limit),
        "title": task.title,
        "most": MOST_TEXT,
        "narration": " ".join(task.clips.values_list("narration", flat=True))[:MOST_TEXT],
        "prompts": " ".join(task.assets.values_list("prompt", flat=True))[:MOST_TEXT],
    }
    with connection.cursor() as cursor:
        cursor.execute(SIMILAR, values)
        found = cursor.fetchall()
    for like, title, own, *likeness in found:
        told = [
            f"{name} {share:.0%}"
            for name, share in zip(("title", "narration", "image prompts"), likeness, strict=True)
            if share >= limit
        ]
        whose = f"“{title}”" if own else "a video of a sister channel"
        message = f"is like {whose}: {', '.join(told)} the same"
        yield Finding("plan", message, stops=not providers.lane_is_simulated("planning"), like=like)
