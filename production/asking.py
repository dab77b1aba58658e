"""Who has a task: a person is asked, or the system is at it; and in which order people are asked."""

from typing import TYPE_CHECKING, Any, TypedDict

from django.db.models import Case, Count, Exists, OuterRef, Q, QuerySet, When, Window

from channels_app import access
from production.models import Approval, Take, Task
from production.stages import AT_REST, ERRORS, HOLDING, REVIEWS, STAGES, Status

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    class Asks(TypedDict):
        asks: bool

    AskedTask = WithAnnotations[Task, Asks]


ASKING = (*REVIEWS, *ERRORS)  # statuses in which a person may be awaited
UNDER_WAY = [status for status in Status if status not in AT_REST]


def tone(status: str, *, asks: bool = True) -> str:
    """The colour's name: idle, waiting, working, you, error or done. `asks`: a person is really awaited there."""
    if status in ERRORS:
        return "error"
    if status in REVIEWS and asks:
        return "you"
    if status in HOLDING:
        return "working"
    return {Status.DRAFT: "idle", Status.PUBLISHED: "done"}.get(Status(status), "waiting")


def asks(task: "Task | AskedTask") -> bool:
    """Whether a person is awaited there; of one that was read `with_asks` it is known."""
    known = getattr(task, "asks", None)
    return with_asks(Task.objects.filter(pk=task.pk)).get().asks if known is None else bool(known)


def with_asks(tasks: QuerySet[Task]) -> "QuerySet[AskedTask]":
    """Adds `asks`: true where a person is awaited. A stage without a status of its own for the yes (composites, SFX)
    stays in its review status while it only waits for a free slot."""
    return tasks.annotate(asks=Case(When(_awaits_a_person(), then=True), default=False))


def held_by(tasks: "QuerySet[AskedTask]", who: str | None) -> "QuerySet[AskedTask]":
    """Those that a person ("you") or the system has, or that are at rest; anything else means all."""
    match who:
        case "you":
            return asked(tasks)
        case "system":
            return tasks.filter(asks=False, status__in=UNDER_WAY)
        case "rest":
            return tasks.filter(status__in=AT_REST)
    return tasks


def asked(tasks: "QuerySet[AskedTask]") -> "QuerySet[AskedTask]":
    """Those at which a person is awaited, of tasks `with_asks`. The statuses are said besides: what is awaited follows
    from no index, and of 100,000 tasks a hundred are in one of them."""
    return tasks.filter(status__in=ASKING, asks=True)


def _awaits_a_person() -> Q:
    settled = Q()
    for stage in STAGES:
        if stage.review and not stage.keeps_yes:
            yes = Approval.objects.filter(task=OuterRef("pk"), stage=stage.name, at__gte=OuterRef("status_since"))
            no_gate = ~Q(channel__gates__contains=[stage.name])
            no_gate &= ~Q(Exists(Take.objects.useless(OuterRef("pk"), stage)))
            settled |= Q(status=stage.review) & (no_gate | Q(Exists(yes)))
    return Q(status__in=ASKING) & ~settled


def queue(user: Any) -> "QuerySet[AskedTask]":
    """Tasks that wait for a person, of those that `user` may see (None: the system, which sees all): the most urgent
    first, then who has waited longest."""
    tasks = access.seen_by(Task.objects.select_related("channel"), user)
    return asked(with_asks(tasks)).order_by("priority", "status_since", "pk")


def after(task: Task, user: Any) -> Task | None:
    """Whom `user` is to look at when `task` is decided; its `waiting` says how many there are."""
    return queue(user).exclude(pk=task.pk).annotate(waiting=Window(Count("*"))).first()
