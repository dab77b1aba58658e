"""What a person had looked at when deciding, as their page tells it: bounded, believed only where it can be true."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.core import signing
from django.utils import timezone

from production import gates, reasons
from production.models import Decision, Take, Task
from production.outside import storable
from production.stages import Stage

SALT = "review"
MOST_SAID = 40_000  # characters: a thousand takes
SLACK = 2  # seconds between the reply's rendering and the page's own clock
AT_ONCE = 8  # seconds of media in one second: a clip, its narration and sound together, at double speed, and some more


@dataclass(frozen=True)
class Look:
    """`seconds` the page was visible, None where nobody can say (Notion, the API); `played` is by take id, 0 to 1."""

    seconds: float | None = None
    played: Mapping[str, float] = field(default_factory=dict)
    codes: tuple[str, ...] = ()
    usd: Decimal | None = None
    user: User | None = None


UNSEEN = Look()


def opened(task_id: int) -> str:
    """What the page brings back, so that nobody has looked for longer than since it was made."""
    return signing.dumps([task_id, timezone.now().timestamp()], salt=SALT)


def told(said: str, opened_: str, task_id: int, takes: Collection[Take]) -> tuple[float | None, dict[str, float]]:
    """(seconds visible, fraction played by take id) of what the page says; (None, {}) of what can't be."""
    since = _since(opened_, task_id)
    report = _report(said)
    seconds = _number(report.get("seconds"))
    if since is None or seconds is None or not 0 <= seconds <= since + SLACK:
        return None, {}
    return round(seconds, 1), _played(report.get("played"), seconds, takes)


def _since(opened_: str, task_id: int) -> float | None:
    """Seconds since that page of the task was made."""
    try:
        of, at = signing.loads(opened_, salt=SALT)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    return float(timezone.now().timestamp() - at) if of == task_id else None


def _report(said: str) -> dict[str, Any]:
    try:
        found = json.loads(said) if len(said) <= MOST_SAID else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _played(said: Any, seconds: float, takes: Collection[Take]) -> dict[str, float]:
    """Of the takes that lay there; more media than the time can hold was not played."""
    if not isinstance(said, dict):
        return {}
    fractions = {take.pk: _number(said.get(str(take.pk))) for take in takes if take.seconds}
    played = {pk: round(min(max(part, 0), 1), 3) for pk, part in fractions.items() if part}
    length = sum(played.get(take.pk, 0) * (take.seconds or 0) for take in takes)
    return {str(pk): part for pk, part in played.items()} if length <= (seconds + SLACK) * AT_ONCE else {}


def _number(value: Any) -> float | None:
    """NaN is none: it is smaller than nothing and larger than nothing."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and value == value
    return float(value) if is_number and abs(value) < 1e6 else None


def witness(
    task: Task, stage: Stage | None, verb: str, *, by: str, look: Look, content: str = "", reason: str = ""
) -> None:
    """Keep what was decided and what lay there, before anything is moved."""
    kinds = stage.kinds if stage else []
    shown = task.takes.filter(selected=True, kind__in=kinds).order_by("kind", "position").values_list("pk", flat=True)
    Decision.objects.create(
        task=task,
        stage=stage.name if stage else "",
        verb=verb,
        by=by,
        user=look.user,
        asked=task.status_since,
        content_hash=content or (gates.asked_about(task, stage) if stage else ""),
        shown=list(shown),
        seconds=look.seconds,
        played=dict(look.played),
        codes=reasons.known(look.codes),
        reason=storable(reason)[:2000],
        usd=look.usd,
    )
