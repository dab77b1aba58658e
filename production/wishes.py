"""What a person has set in a task's row, done as if it were asked for in the admin.

A value that the row did not show when it was last read or written is a person's (`Task.row_status`, `row_words`). What
can't be done is put back, and the Error Log says why and what could be.
"""

import datetime as dt
from typing import Any

from django.db import transaction
from django.db.models import F

from channels_app.models import Privacy
from production import decisions, gates, handling, lifecycle
from production.errors import DecisionError, IllegalMoveError, StaleError
from production.models import Priority, Task
from production.notion import Page
from production.stages import AT_REST, ERRORS, REVIEWS, STAGES, Stage, Status

NOTHING = "nothing to do: the row shows what is known"
PRIORITIES = {priority.label: priority for priority in Priority}
BY_LABEL = {status.label: status for status in Status}
# The gates whose yes has a status of its own, by that status.
APPROVED = {stage.approved: stage for stage in STAGES if stage.approved and stage.keeps_yes}


# ---------------------------------------------------------------- what it says


def said_by(page: Page) -> dict[str, Any]:
    """The columns of a task that its row fills."""
    return {
        "title": page.title,
        "topic": page.topic,
        "story_direction": page.story_direction,
        "priority": PRIORITIES.get(page.priority, Priority.NORMAL),
        "privacy": page.privacy.lower() if page.privacy.lower() in Privacy.values else "",
        "publish_at": page.publish_at,
    }


def words_of(page: Page) -> dict[str, str]:
    """What a person may change in the row while the video is made, as it stands there. A property that the board has
    no more says nothing."""
    words = {"Priority": ("priority", page.priority), "Privacy": ("privacy", page.privacy)}
    words["Publish At"] = ("publish_at", _written(page.publish_at))
    return {column: value for name, (column, value) in words.items() if name not in page.lacks}


def is_moved(task: Task, page: Page) -> bool:
    """A person has set another status. What is on its way to the row may have arrived."""
    if "Status" in page.lacks:
        return False
    if not task.row_status:  # never told: only a creator's first yes can be meant
        return task.status == Status.DRAFT and page.status == Status.QUEUED.label
    return page.status not in {task.row_status, task.telling_status or task.row_status}


def differs(task: Task, page: Page) -> bool:
    """Whether there is something to do about the row."""
    return is_moved(task, page) or bool(_changed(task, page)) or is_behind(task, page)


def is_behind(task: Task, page: Page) -> bool:
    """It shows an older state, and nobody is about to tell it: it was told in vain, or came back from the trash."""
    if "Status" in page.lacks or task.tell_at or task.status in AT_REST:
        return False
    return page.status != task.get_status_display()


def remember(task: Task, page: Page) -> None:
    """What the row shows is known from now on."""
    status = task.row_status if "Status" in page.lacks else page.status
    words = task.row_words | words_of(page)
    if (task.row_status, task.row_words) != (status, words):
        Task.objects.filter(pk=task.pk).update(row_status=status, row_words=words, row_version=F("row_version") + 1)


def _changed(task: Task, page: Page) -> list[str]:
    return [name for name, value in words_of(page).items() if task.row_words.get(name, value) != value]


def _written(at: dt.datetime | None) -> str:
    return at.astimezone(dt.UTC).isoformat() if at else ""


# ---------------------------------------------------------------- done


@transaction.atomic
def fulfil(task_id: int, page: Page, *, version: int, by: str) -> str:
    """Do what the row asks for. `version` is the task's `row_version` from before the page was read.

    Returns in words what was done. Errors: StaleError where the row was written or understood meanwhile.
    """
    task = lifecycle.lock(task_id)
    if task.row_version != version:
        raise StaleError(f"The row of {task} was read before it was written")
    said = [_edit(task, page, by)]
    if is_moved(task, page):
        said.append(_try_to_move(task, page.status, by))
    elif is_behind(task, page):
        lifecycle.tell_again(task)
    remember(task, page)
    return "; ".join(filter(None, said)) or NOTHING


def _edit(task: Task, page: Page, by: str) -> str:
    """What is published already stays as it is."""
    columns, names = said_by(page), _changed(task, page)
    if not names or task.status == Status.PUBLISHED:
        return ""
    try:
        return handling.edit(task, {name: columns[name] for name in names}, by=by, tell=False)
    except DecisionError as refusal:
        sentence = f"{', '.join(names).replace('_', ' ')} of the row changed nothing: {refusal}".capitalize()
        lifecycle.note(task, sentence, by=by)
        return sentence


def _try_to_move(task: Task, label: str, by: str) -> str:
    try:
        return move(task, label, by=by)
    except (DecisionError, IllegalMoveError) as refusal:
        return put_back(task, label, str(refusal), by=by)


def put_back(task: Task, label: str, reason: str, *, by: str) -> str:
    """The present state is written over what a person set, with a line that says why."""
    sentence = f"“{label or 'No status'}” was set in Notion and is put back: {reason.rstrip('.')}. {_possible(task)}"
    lifecycle.note(task, sentence, by=by)
    return sentence


def move(task: Task, label: str, *, by: str) -> str:
    """What the status says, as a verb. Returns what was done. Errors: DecisionError, IllegalMoveError."""
    status = BY_LABEL.get(label)
    if status == task.status:
        return ""
    if status == Status.QUEUED and task.status in ERRORS:
        return decisions.retry(task, by=by)
    if status == Status.DRAFT:
        return _to_draft(task, by)
    if status in APPROVED:
        return _approve(task, APPROVED[status], by)
    known = f"the task is in {task.get_status_display()}" if status else "there is no such status"
    raise DecisionError(known)


def _to_draft(task: Task, by: str) -> str:
    if task.status == Status.PUBLISHED:
        return "a draft for another run; the published one stays"
    return decisions.cancel(task, by=by, reason="Set to Draft in Notion")


def _approve(task: Task, stage: Stage, by: str) -> str:
    """Yes to what the row was last told of, where the channel lets it be said in Notion."""
    if task.status != stage.review:
        return _late_yes(task, stage)
    if stage.name not in task.channel.notion_gates:
        raise DecisionError(f"{stage.title} of channel {task.channel} can be approved in the admin only")
    if gates.stops_at_plan(task):
        raise DecisionError("its plan waits for a yes, in the admin, where it can be read")
    if task.told_hash != gates.asked_about(task, stage):
        raise DecisionError("what lies there has changed since the row heard of it; look at it, then set it again")
    return decisions.approve(task, by=by)


def _late_yes(task: Task, stage: Stage) -> str:
    """A second yes is a no-op that names the first."""
    first = task.approvals.filter(stage=stage.name).order_by("-at").first()
    if first is None:
        raise DecisionError(f"the task is in {task.get_status_display()}, not at that gate")
    lifecycle.tell_again(task)
    return f"{first.by} has approved {stage.title} already"


def _possible(task: Task) -> str:
    labels = list(_labels(task))
    return f"Possible in Notion: {', '.join(labels)}." if labels else "Nothing else is possible in Notion now."


def _labels(task: Task) -> list[str]:
    gate = REVIEWS.get(Status(task.status))
    labels = [Status.QUEUED.label] if task.status in ERRORS or task.status in AT_REST else []
    if gate and gate.approved and gate.name in task.channel.notion_gates:
        labels.append(gate.approved.label)
    return [*labels, *([Status.DRAFT.label] if task.status != Status.DRAFT else [])]
