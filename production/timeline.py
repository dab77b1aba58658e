"""Everything that has happened to a task, as one readable history, the newest first: moves, takes, money, Notion,
alerts. The same few queries for any number of takes."""

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import chain, groupby
from typing import Any, TypeVar

from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.urls import reverse

from channels_app import access
from production.models import Decision, LedgerEntry, NotionEvent, NotionWrite, StatusChange, Take, Task
from production.outside import person
from production.stages import ERRORS, REVIEWS, Verb

MOST = 500  # of each source, the newest
BESIDE = dt.timedelta(seconds=5)  # a decision and the move that it led to are written in one transaction
KINDS = {"moves": "Moves", "takes": "Takes", "money": "Money", "notion": "Notion", "errors": "Errors"}
ICONS = {
    Verb.APPROVE: "check_circle",
    Verb.REJECT: "cancel",
    Verb.REDO: "refresh",
    Verb.RETRY: "replay",
    Verb.SEND_BACK: "undo",
    Verb.UNDO: "undo",
    Verb.CANCEL: "block",
    Verb.FAIL: "error",
    Verb.PRESENT: "visibility",
    StatusChange.NOTE: "notes",
}
TROUBLED = (LedgerEntry.State.UNKNOWN, LedgerEntry.State.WRITTEN_OFF, LedgerEntry.State.RELEASED)
State = Take.State
Line = TypeVar("Line", NotionEvent, NotionWrite)


@dataclass(frozen=True)
class Event:
    """One line. `kinds` are the filters that let it through; lines of one `bundle` in a row become one."""

    at: dt.datetime
    tone: str
    icon: str
    what: str
    kinds: tuple[str, ...]
    who: str = ""
    words: str = ""
    url: str = ""
    bundle: str = ""
    usd: Decimal = Decimal(0)
    parts: tuple["Event", ...] = ()


def read(task: Task, show: str = "", user: Any = None) -> list[Event]:
    """Of one kind, or of all; what `user` may see (None: the system, which sees all)."""
    own = (_moves(task), _takes(task), _money(task), _notion(task), _written(task), _alerts(task, user))
    sources = chain(*own)
    found = sorted((event for event in sources if not show or show in event.kinds), key=lambda event: event.at)
    return [_bundled(list(run)) for _, run in groupby(found, key=_bundle)][::-1]


def _bundle(event: Event) -> object:
    return event.bundle or id(event)


def _bundled(run: list[Event]) -> Event:
    """Eighteen clips, one after the other, are one line that opens."""
    first, last = run[0], run[-1]
    if len(run) == 1:
        return first
    what = f"{len(run)} × {first.bundle}"
    return replace(last, what=what, words="", url="", usd=sum((e.usd for e in run), Decimal(0)), parts=tuple(run))


# ---------------------------------------------------------------- moves, and what was looked at


def _moves(task: Task) -> Iterator[Event]:
    decisions = list(task.decisions.order_by("-id")[:MOST])
    for change in task.changes.order_by("-id")[:MOST]:
        decision = next((d for d in decisions if _led_to(d, change)), None)
        if decision:
            decisions.remove(decision)
        yield _move(change, decision)
    yield from (_pick(decision) for decision in decisions if decision.verb == "pick")


def _led_to(decision: Decision, change: StatusChange) -> bool:
    of_plan = decision.verb == Verb.APPROVE and change.verb == Verb.SEND_BACK
    same = decision.verb == change.verb or of_plan
    return same and decision.by == change.by and abs(change.at - decision.at) < BESIDE


def _move(change: StatusChange, decision: Decision | None) -> Event:
    tone = "error" if change.is_error else "you" if change.after in REVIEWS else "working"
    tone = {Verb.APPROVE: "done", StatusChange.NOTE: "error" if change.is_error else "idle"}.get(change.verb, tone)
    moved = change.before != change.after
    what = change.get_after_display() if moved else change.get_stage_display() or "Note"
    said = [change.reason, looked(decision) if decision else ""]
    return Event(
        change.at,
        tone,
        ICONS.get(change.verb, "arrow_forward"),
        what,
        ("errors", "moves") if change.is_error or change.after in ERRORS else ("moves",),
        who=person(change.by),
        words="\n".join(filter(None, said)),
    )


def _pick(decision: Decision) -> Event:
    return Event(decision.at, "done", "touch_app", f"Picked {decision.reason}", ("takes",), who=decision.by)


def looked(decision: Decision) -> str:
    """What the page told of it: how long, how much."""
    if decision.seconds is None:
        return ""
    said = [f"Looked for {decision.seconds:.0f} s at {len(decision.shown)} pieces"]
    if decision.part_played is not None:
        said.append(f"played {decision.part_played:.0%} of them")
    if decision.usd:
        said.append(f"said yes to at most {decision.usd:.2f} USD")
    return ", ".join(said)


# ---------------------------------------------------------------- takes and money


def _takes(task: Task) -> Iterator[Event]:
    spent = LedgerEntry.objects.filter(take__task=task).sums_by("take_id")
    ended = task.takes.filter(finished__isnull=False).defer("recipe", "result").order_by("-finished")
    for take in ended[:MOST]:
        yield _take(take, spent.get(take.pk, Decimal(0)))


def _take(take: Take, usd: Decimal) -> Event:
    failed = take.state == State.FAILED
    tone, icon = {State.DONE: ("done", "task_alt"), State.FAILED: ("error", "error")}.get(
        State(take.state), ("idle", "do_not_disturb_on")
    )
    return Event(
        take.finished or take.created,
        tone,
        icon,
        f"{take} {take.get_state_display().lower()}",
        ("takes", "errors") if failed else ("takes", "money") if usd else ("takes",),
        words=take.error,
        url=reverse("admin:production_take_change", args=[take.pk]),
        bundle="" if failed else f"{take.kind} {take.get_state_display().lower()}",
        usd=usd,
    )


def _money(task: Task) -> Iterator[Event]:
    """Lines that came out otherwise than meant."""
    for line in LedgerEntry.objects.filter(take__task=task, state__in=TROUBLED).select_related("take")[:MOST]:
        lost = line.state != LedgerEntry.State.RELEASED
        yield Event(
            line.settled_at or line.at,
            "error" if lost else "idle",
            "payments",
            f"{line.take}: {line.get_state_display().lower()}",
            ("money", "errors") if lost else ("money",),
            words=line.note,
            url=reverse("admin:production_ledgerentry_change", args=[line.pk]),
            usd=line.counts,
        )


# ---------------------------------------------------------------- what was said, from and to


def _notion(task: Task) -> Iterator[Event]:
    """The echo of our own write says nothing new: the write stands there itself."""
    events = NotionEvent.objects.exclude(author="bot", state=NotionEvent.State.IGNORED)
    for event in _of_its_time(events, "received", task)[:MOST]:
        failed = event.state == NotionEvent.State.FAILED
        yield Event(
            event.received,
            "error" if failed else "idle",
            "call_received",
            event.told,
            ("notion", "errors") if failed else ("notion",),
            words=event.outcome,
        )
    if task.tell_at:
        tried = f", tried {task.tell_tries} times" if task.tell_tries else ""
        yield Event(task.tell_at, "waiting", "schedule", f"Notion is told the present state{tried}", ("notion",))


def _written(task: Task) -> Iterator[Event]:
    for letter in _of_its_time(NotionWrite.objects.all(), "at", task)[:MOST]:
        yield Event(
            letter.at,
            "error" if letter.is_refused else "done" if letter.is_taken else "waiting",
            "call_made",
            "Written to Notion",
            ("notion", "errors") if letter.is_refused else ("notion",),
            words=letter.news if letter.is_taken else f"{letter.news}\n{letter.outcome}",
            bundle="written to Notion" if not letter.is_refused else "",
        )


def _of_its_time(lines: QuerySet[Line], moment: str, task: Task) -> QuerySet[Line]:
    """Those about the task's page from its own time, until its next run. What came before the first led to it."""
    runs = Task.objects.filter(page_id=task.page_id).order_by("created", "pk").values("pk")
    begun = runs.filter(created__lte=OuterRef(moment)).reverse()
    run = Coalesce(Subquery(begun[:1]), Subquery(runs[:1]))
    return lines.alias(run=run).filter(page_id=task.page_id, run=task.pk)


def _alerts(task: Task, user: Any) -> Iterator[Event]:
    """One that began with a task of another channel names that task: not to who is limited to others."""
    for alert in access.seen_by(task.alerts.all(), user):
        url = reverse("admin:production_alert_change", args=[alert.pk])
        yield Event(alert.created, "error", "notifications", "Alert", ("errors",), words=alert.message, url=url)
        if alert.closed:
            yield Event(alert.closed, "done", "notifications_off", "Alert is over", ("errors",), url=url)


def chips(show: str) -> Iterable[tuple[str, str, bool]]:
    """(name, title, whether it is chosen) of the filters."""
    return [("", "All", not show), *((name, title, name == show) for name, title in KINDS.items())]
