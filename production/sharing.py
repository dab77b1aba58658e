"""What a creator sees of a video in its Notion row: film, composites and images, attached or linked (FR12, FR46-48).

The last in line for the budget. Each file is written down before it is sent (`SharedFile`), so that a restart goes on
where it was; the row is then given all of them at once.
"""

import datetime as dt
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from channels_app.models import Storage
from production import alerts, budget, notion, shelves, values, workspace
from production.budget import OverBudgetError, Use
from production.errors import Kind, NotHereError, Trouble, as_trouble
from production.models import NotionBoard, SharedFile, Sharing, Take, Task
from production.outside import pause_after
from production.stages import Status

log = structlog.get_logger(__name__)
JOB, CLUSTER = "production.jobs.share", "cpu"
LEASE = dt.timedelta(minutes=5)  # renewed with every file and part
SLICE = 60.0  # seconds a job goes on; the rest is for the next one
KINDS = ("film", "composite", "split", "image")  # in this order; clips and sounds are played in the admin
UNATTACHED = dt.timedelta(minutes=50)  # Notion keeps what nobody attaches for an hour
LIMIT_LIFE = dt.timedelta(days=1)  # a plan may change
BEFORE_END = dt.timedelta(days=1)  # addresses are renewed so long before
RENEWED_FOR = dt.timedelta(days=90)  # after publishing
UNHEARD_TRIES = 7  # an hour of them: 1 + 2 + 4 + 8 + 16 + 32 min
MOST_LET_GO = 200  # objects deleted with one pass; a video has half as many
MOST = 5  # tasks begun with one round of the sweep


def due() -> list[int]:
    """Who has waited longest; none where the budget has no room for files."""
    now = timezone.now()
    waiting = Sharing.objects.filter(_free(now), due_at__lte=now).order_by("due_at")
    return list(waiting.values_list("pk", flat=True)[:MOST]) if budget.room(Use.FILES) else []


def share(task_id: int) -> None:
    """Send what the row does not show yet, then let it show all. In vain: again after 1, 2, 4 min … 1 h, for ever."""
    now = timezone.now()
    mine = Sharing.objects.filter(_free(now), due_at__lte=now, pk=task_id)
    if not mine.update(lease_until=now + LEASE):
        return
    sharing = Sharing.objects.select_related("task__channel").get(pk=task_id)
    try:
        with as_trouble("sharing_broke", task=task_id):
            again = _bring_up_to_date(sharing)
    except NotHereError as gone:
        log.warning("sharing_row_gone", task=task_id, reason=gone.message)
        _done(sharing, None)
    except OverBudgetError as over:
        _done(sharing, over.until)
    except Trouble as trouble:
        _note_trouble(sharing, trouble)
    else:
        _done(sharing, again)


def _free(now: dt.datetime) -> Q:
    return Q(lease_until=None) | Q(lease_until__lte=now) | Q(lease_until__gt=now + 2 * LEASE)


def _done(sharing: Sharing, again: dt.datetime | None) -> None:
    """`again` at that time; where a stage has ended meanwhile, at once."""
    mine = Sharing.objects.filter(pk=sharing.pk, due_at=sharing.due_at)
    if not mine.update(due_at=again, lease_until=None, tries=0, trouble=""):
        Sharing.objects.filter(pk=sharing.pk).update(lease_until=None, tries=0, trouble="")
    if sharing.tries >= UNHEARD_TRIES:
        _end_alarm(sharing.task)


def _note_trouble(sharing: Sharing, trouble: Trouble) -> None:
    words = trouble.message[:300]
    log.warning("sharing_failed", task=sharing.pk, channel=sharing.task.channel.slug, reason=words)
    pause = pause_after(sharing.tries + 1, said=trouble.retry_after)
    Sharing.objects.filter(pk=sharing.pk).update(
        due_at=timezone.now() + pause, lease_until=None, tries=F("tries") + 1, trouble=words
    )
    if sharing.tries + 1 == UNHEARD_TRIES:
        message = f"The files of “{sharing.task}” have not reached its row for an hour: {words}"
        alerts.raise_alarm(message, cause=_cause(sharing.task), task=sharing.task)


def _end_alarm(task: Task) -> None:
    for alert in task.alerts.open().filter(cause=_cause(task)):
        if not Sharing.objects.filter(task__in=alert.tasks.all(), tries__gte=UNHEARD_TRIES).exists():
            alerts.resume(alert.cause, "Resumed: files reach their rows again")


def _cause(task: Task) -> str:
    return f"files:{task.channel.storage}"


# ---------------------------------------------------------------- one pass


def _bring_up_to_date(sharing: Sharing) -> dt.datetime | None:
    """When to look again; None: when something is new. Errors: OverBudgetError, NotHereError, Trouble; OSError."""
    task, until = sharing.task, time.monotonic() + SLICE
    if not task.channel.storage:
        return None
    wanted = _wanted(task)
    shelf = _Notion(sharing) if task.channel.storage == Storage.NOTION else _Bucket(sharing)
    if shelf.has_ended():
        shelf.let_go(SharedFile.objects.filter(take__task=task))
        return None
    if _has_newer_run(task):
        return shelf.look_again()
    complete = True
    for take in wanted:
        complete = complete and time.monotonic() < until
        if complete:
            shelf.bring(take)
    _show(task, [take for take in wanted if _file(take, shelf.place).sent], shelf)
    shelf.let_go(_unwanted(task, wanted))
    return shelf.look_again() if complete else timezone.now()


def _has_newer_run(task: Task) -> bool:
    """The page's row is another task's by now: this one's files are not shown over it."""
    return Task.objects.filter(page_id=task.page_id, pk__gt=task.pk).exists()


def _wanted(task: Task) -> list[Take]:
    """Selected takes, in the row's order; an array of Notion's has a hundred places."""
    takes = task.takes.filter(selected=True, kind__in=KINDS)
    return sorted(takes, key=lambda take: (KINDS.index(take.kind), take.position))[: values.MOST_CHUNKS]


def _file(take: Take, place: str) -> SharedFile:
    """What is known of the take's file there; of another place it is nothing any more."""
    file, _ = SharedFile.objects.get_or_create(take=take, defaults={"place": place})
    if file.place != place:
        SharedFile.objects.filter(pk=take.pk).delete()
        return _file(take, place)
    return file


def _keep(file: SharedFile, **columns: Any) -> None:
    SharedFile.objects.filter(pk=file.pk).update(**columns)
    for name, value in columns.items():
        setattr(file, name, value)


def _beat(sharing: Sharing) -> None:
    Sharing.objects.filter(pk=sharing.pk).update(lease_until=timezone.now() + LEASE)


def _show(task: Task, takes: Sequence[Take], shelf: "_Notion | _Bucket") -> None:
    """Let the row show these, where it does not yet. What it is given is the whole list."""
    files = [_file(take, shelf.place) for take in takes]
    ours = SharedFile.objects.filter(take__task=task)
    gone = ours.filter(attached__isnull=False).exclude(pk__in=[take.pk for take in takes])
    if not (any(shelf.is_to_be_shown(file) for file in files) or gone.exists()):
        return
    listed = [{"name": _name(take), **shelf.shown(file)} for take, file in zip(takes, files, strict=True)]
    notion.write(task.page_id, notion.Row(files=listed), Use.FILES)
    now = timezone.now()
    gone.update(attached=None)
    shelf.was_shown(ours.filter(pk__in=[take.pk for take in takes]), now)


def _unwanted(task: Task, wanted: Sequence[Take]) -> QuerySet[SharedFile]:
    """What the row shows no more, or never did, and is not to."""
    ours = SharedFile.objects.filter(take__task=task, attached=None)
    return ours.exclude(pk__in=[take.pk for take in wanted])


def _name(take: Take) -> str:
    return f"{take.name}{Path(take.output).suffix}"


class _Notion:
    """Files attached to the row itself."""

    place = Storage.NOTION.value

    def __init__(self, sharing: Sharing) -> None:
        self._sharing = sharing
        self._limit = _file_limit()

    def bring(self, take: Take) -> None:
        """Send the take's file, from where it was; one that nobody attached in time is begun anew."""
        file, path = _file(take, self.place), workspace.file_of(take)
        late = file.sent and not file.attached and file.sent < timezone.now() - UNATTACHED
        if file.sent and not late:
            return
        upload = shelves.look(file.ref) if file.ref else None
        if upload and upload.status == "uploaded":
            _keep(file, sent=timezone.now(), left_out="")
            return
        if why := _why_left_out(path, self._limit):
            _keep(file, left_out=why, sent=None)
            return
        if upload is None or not upload.is_usable:
            _keep(file, ref=shelves.begin(_name(take), path.stat().st_size), sent=None)
            upload = shelves.Upload("pending", 0)
        shelves.send(file.ref, path, _name(take), sent=upload.sent, beat=partial(_beat, self._sharing))
        _keep(file, sent=timezone.now(), left_out="")
        _beat(self._sharing)

    def is_to_be_shown(self, file: SharedFile) -> bool:
        return file.attached is None

    def shown(self, file: SharedFile) -> dict[str, Any]:
        """An upload once attached may be named again."""
        return {"type": "file_upload", "file_upload": {"id": file.ref}}

    def was_shown(self, files: QuerySet[SharedFile], now: dt.datetime) -> None:
        files.filter(attached=None).update(attached=now)

    def look_again(self) -> dt.datetime | None:
        return None

    def has_ended(self) -> bool:
        return False

    def let_go(self, files: QuerySet[SharedFile]) -> None:
        """What nobody shows, Notion forgets by itself."""


def _why_left_out(path: Path, limit: int | None) -> str:
    if not path.exists():
        return "its file is not there any more"
    size = path.stat().st_size
    if limit is not None and size > limit:
        return f"it has {size / 1e6:.1f} MB; the Notion workspace's plan takes {limit / 1e6:.1f} MB a file"
    return ""


def _file_limit() -> int | None:
    """Asked once a day."""
    board, now = NotionBoard.objects.first_or_new(), timezone.now()
    if board.file_limit_read is None or board.file_limit_read < now - LIMIT_LIFE:
        board.file_limit, board.file_limit_read = shelves.most_bytes(), now
        board.save(update_fields=["file_limit", "file_limit_read"])
    return board.file_limit


class _Bucket:
    """Signed addresses of objects, renewed before they end."""

    place = Storage.S3.value

    def __init__(self, sharing: Sharing) -> None:
        self._sharing = sharing
        self._bucket = shelves.Bucket(sharing.task.channel)

    def bring(self, take: Take) -> None:
        file, path = _file(take, self.place), workspace.file_of(take)
        if file.sent:
            return
        if why := _why_left_out(path, None):
            _keep(file, left_out=why)
            return
        key = f"{take.task.channel.slug}/{take.task_id}/{take.pk}-{_name(take).replace(' ', '-')}"
        _keep(file, ref=key, left_out="")
        self._bucket.put(key, path)
        _keep(file, sent=timezone.now())
        _beat(self._sharing)

    def is_to_be_shown(self, file: SharedFile) -> bool:
        return file.attached is None or file.until is None or file.until <= timezone.now() + BEFORE_END

    def shown(self, file: SharedFile) -> dict[str, Any]:
        return {"type": "external", "external": {"url": self._bucket.address(file.ref)}}

    def was_shown(self, files: QuerySet[SharedFile], now: dt.datetime) -> None:
        files.filter(attached=None).update(attached=now)
        files.update(until=now + settings.S3_LINK)

    def look_again(self) -> dt.datetime | None:
        """Before the first address ends, for as long as anybody may look; then when the last one has ended."""
        ends = self._ends()
        if not ends or self._is_over():
            return ends[-1] if ends else None
        return ends[0] - BEFORE_END

    def has_ended(self) -> bool:
        """Nobody can open what lies there any more."""
        ends = self._ends()
        if not ends:
            return _has_newer_run(self._sharing.task)
        return self._is_over() and ends[-1] <= timezone.now()

    def let_go(self, files: QuerySet[SharedFile]) -> None:
        """Delete the objects; who is asked again finds by those shown last that all has ended. What the bucket refuses
        stays there, and keeps nothing else from its row. Errors: Trouble, where another try may do."""
        there = files.filter(place=self.place).exclude(ref="").select_related("take")
        for file in there.order_by("take__selected", F("until").asc(nulls_first=True))[:MOST_LET_GO]:
            self._let_go(file)
            _beat(self._sharing)

    def _let_go(self, file: SharedFile) -> None:
        try:
            self._bucket.delete(file.ref)
        except Trouble as trouble:
            if trouble.kind != Kind.PERMANENT:
                raise
            log.warning("sharing_object_stays", key=file.ref, reason=trouble.message)
        else:
            file.delete()

    def _is_over(self) -> bool:
        task = self._sharing.task
        long_ago = task.status == Status.PUBLISHED and task.status_since < timezone.now() - RENEWED_FOR
        return long_ago or _has_newer_run(task)

    def _ends(self) -> list[dt.datetime]:
        """When the addresses end that the row shows, the first one first."""
        files = SharedFile.objects.filter(take__task=self._sharing.task, take__selected=True, until__isnull=False)
        return list(filter(None, files.order_by("until").values_list("until", flat=True)))
