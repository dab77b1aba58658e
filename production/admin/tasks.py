"""Tasks: the list, the words that may be edited, and the way to the review page."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.views import ChangeList

from channels_app import access
from production import asking, explain, handling, presence, review, timeline
from production.admin import decide, screens
from production.admin.base import HouseAdmin, bar, moment, outward, pill, review_url, task_link
from production.admin.overview import overviews
from production.admin.unsaved import Unsaved
from production.admin.words import TaskForm
from production.models import Priority, Task
from production.progress import progress_of
from production.reasons import REASONS
from production.stages import AT_REST, Status, Verb, verbs_for
from production.templatetags.money import usd
from production.templatetags.reading import sentence

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    from production.admin.overview import Overview
    from production.asking import AskedTask
    from production.presence import PolledTask

    class Listed(TypedDict):
        asks: bool
        overview: Overview

    ListedTask = WithAnnotations[Task, Listed]

WORDS = TaskForm.Meta.fields
MOST_AT_ONCE = 100  # tasks of one decision about many


class WhoHasIt(admin.SimpleListFilter):
    title = "who has it"
    parameter_name = "who"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("you", "Needs you"), ("system", "The system has it"), ("rest", "At rest")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[AskedTask]") -> "QuerySet[AskedTask]":
        return asking.held_by(queryset, self.value())


class TaskList(ChangeList):  # type: ignore[misc]
    """A page of tasks, each with its overview; those that need a person come first."""

    def _get_default_ordering(self) -> list[str]:
        return ["-asks", "priority", "-status_since"]

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        tasks = list(self.result_list)
        found = overviews(tasks)
        for task in tasks:
            task.overview = found[task.pk]
        self.result_list: list[ListedTask] = tasks


@admin.register(Task)
class TaskAdmin(HouseAdmin):
    form = TaskForm
    list_display = ("state", "name", "of_channel", "urgency", "progress", "cost", "since", "edit")
    list_display_links = None
    list_filter = (WhoHasIt, "channel", "status", "priority")
    list_fullwidth = True
    list_before_template = "admin/production/task/who.html"
    list_per_page = 50
    list_select_related = ("channel",)
    search_fields = ("title", "topic", "page_id")
    actions = ("approve_selected", "reject_selected", "retry_selected")
    change_form_outer_before_template = "admin/production/task/now.html"
    change_form_outer_after_template = "admin/production/task/timeline.html"
    fieldsets = (
        ("What will be published", {"fields": WORDS}),
        (
            "Where it stands",
            {"fields": ("progress", "cost", "channel", "goes_public", "video", "page_id", "made")},
        ),
        ("What was planned", {"fields": ("topic", "story_direction", "story")}),
    )
    readonly_fields = (
        *("progress", "cost", "channel", "goes_public", "video", "page_id", "made"),
        *("topic", "story_direction", "story"),
    )

    # ------------------------------------------------------------ who may

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Tasks come from Notion."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Task | None = None) -> bool:
        """A task is cancelled, never deleted: its ledger and history stay."""
        return False

    # ------------------------------------------------------------ the list

    def get_queryset(self, request: HttpRequest) -> "QuerySet[AskedTask]":
        return asking.with_asks(super().get_queryset(request))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[TaskList]:
        return TaskList

    @admin.display(description="Status", ordering="status")
    def state(self, task: "ListedTask") -> SafeString:
        held = pill("you", "Paused") if task.paused and task.status not in AT_REST else ""
        tone = asking.tone(task.status, asks=task.asks)
        return format_html("{} {}", pill(tone, task.get_status_display()), held)

    @admin.display(description="Title", ordering="title")
    def name(self, task: Task) -> SafeString:
        return task_link(task)

    @admin.display(description="Channel", ordering="channel__name")
    def of_channel(self, task: Task) -> SafeString:
        return task.channel.badge

    @admin.display(description="Priority", ordering="priority")
    def urgency(self, task: Task) -> SafeString | str:
        high = task.priority == Priority.HIGH
        return pill("high", "High") if high else task.get_priority_display()

    @admin.display(description="Progress")
    def progress(self, task: "ListedTask") -> SafeString | str:
        now = task.overview.progress if hasattr(task, "overview") else progress_of([task]).get(task.pk)
        return bar(now.done, now.total, str(now)) if now else "–"

    @admin.display(description="Why isn't it running?")
    def why(self, task: Task) -> SafeString:
        return sentence(explain.why(task))

    @admin.display(description="Cost")
    def cost(self, task: "ListedTask") -> str:
        return usd(task.overview.usd if hasattr(task, "overview") else overviews([task])[task.pk].usd)

    since = moment("status_since", "In this status")
    made = moment("created", "Created")
    goes_public = moment("publish_at", "Publish at")

    @admin.display(description="")
    def edit(self, task: Task) -> SafeString:
        url = reverse("admin:production_task_change", args=[task.pk])
        return format_html(
            '<a class="quiet-link" href="{}" title="Title, description, tags, privacy, priority">Edit</a>', url
        )

    @admin.display(description="Video")
    def video(self, task: Task) -> SafeString | str:
        return outward(task.youtube_url)

    # ------------------------------------------------------------ the words

    def save_model(self, request: HttpRequest, obj: Task, form: TaskForm, change: bool) -> None:  # noqa: FBT001
        """Only what was edited: the status may have moved while the form was open."""
        words = {name: form.cleaned_data[name] for name in form.changed_data}
        handling.edit(obj, words, by=request.user.get_username())

    # ------------------------------------------------------------ one task

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The form, below what is now and above all that was."""
        task = self.get_object(request, object_id)
        now = {"now": self._now(request, cast("AskedTask", task))} if task else {}
        response: HttpResponse = super().change_view(request, object_id, form_url, (extra_context or {}) | now)
        return response

    def _now(self, request: HttpRequest, task: "AskedTask") -> dict[str, Any]:
        show = request.GET.get("show", "")
        verbs = verbs_for(Status(task.status))
        return {
            "tone": asking.tone(task.status, asks=task.asks),
            "why": explain.why(task),
            "may_change": self.has_change_permission(request, task),
            "can_retry": Verb.RETRY in verbs,
            "can_cancel": Verb.CANCEL in verbs,
            "priorities": Priority.choices,
            "action": review_url(task),
            "seen": review.seen(task),
            "timeline": timeline.read(task, show, request.user),
            "chips": timeline.chips(show),
        }

    # ------------------------------------------------------------ the review

    def get_urls(self) -> list[URLPattern]:
        guard = self.admin_site.admin_view
        return [
            path("<int:task_id>/review/", guard(self.review_view), name="production_task_review"),
            path("<int:task_id>/review/progress/", guard(self.progress_view), name="production_task_progress"),
            path(
                "<int:task_id>/review/takes/<slug:kind>/<int:position>/",
                guard(self.takes_view),
                name="production_task_takes",
            ),
            path("next/", guard(self.next_view), name="production_task_next"),
            path("board/", guard(self.board_view), name="production_task_board"),
            path("board/columns/", guard(self.columns_view), name="production_task_columns"),
            path("reviewers/", guard(self.reviewers_view), name="production_task_reviewers"),
            *super().get_urls(),
        ]

    def review_view(self, request: HttpRequest, task_id: int) -> HttpResponseBase:
        task = self._polled(request, task_id)
        may_decide = self.has_change_permission(request, task)
        if not (may_decide if request.method == "POST" else self.has_view_permission(request, task)):
            raise PermissionDenied
        answer = decide.decide(request, task) if request.method == "POST" else None
        if answer is None or isinstance(answer, Unsaved):
            now = self._polled(request, task_id) if answer else task
            return decide.show(request, now, may_decide=may_decide, given=answer)
        return answer

    def progress_view(self, request: HttpRequest, task_id: int) -> HttpResponseBase:
        task = self._polled(request, task_id)
        if not self.has_view_permission(request, task):
            raise PermissionDenied
        return decide.poll(request, task)

    def takes_view(self, request: HttpRequest, task_id: int, kind: str, position: int) -> HttpResponseBase:
        task = self._polled(request, task_id)
        if not self.has_view_permission(request, task):
            raise PermissionDenied
        return decide.compare(request, task, kind, position, may_decide=self.has_change_permission(request, task))

    def _polled(self, request: HttpRequest, task_id: int) -> "PolledTask":
        """The task with everything that its page asks of it alone, in one query. 404 for what this person may not see:
        whether it is there is nobody's business."""
        tasks = asking.with_asks(access.seen_by(Task.objects.select_related("channel"), request.user))
        return get_object_or_404(presence.polled(tasks, request.user.pk or 0), pk=task_id)

    def next_view(self, request: HttpRequest) -> HttpResponseBase:
        """To the task that waits for a person most urgently."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        first = asking.queue(request.user).first()
        if first:
            return redirect(review_url(first))
        messages.success(request, "Nothing waits for you.")
        return redirect("admin:index")

    # ------------------------------------------------------------ all of them

    def board_view(self, request: HttpRequest) -> HttpResponseBase:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return screens.board_page(request, self.admin_site.each_context(request))

    def columns_view(self, request: HttpRequest) -> HttpResponseBase:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return screens.columns(request)

    def reviewers_view(self, request: HttpRequest) -> HttpResponseBase:
        if not request.user.has_perm("production.view_statuschange"):
            raise PermissionDenied
        return screens.reviewers_page(request, self.admin_site.each_context(request))

    # ------------------------------------------------------------ many at once

    @admin.action(description="Approve…", permissions=["change"])
    def approve_selected(self, request: HttpRequest, queryset: QuerySet[Task]) -> HttpResponse | None:
        return self._many(request, queryset, Verb.APPROVE)

    @admin.action(description="Reject…", permissions=["change"])
    def reject_selected(self, request: HttpRequest, queryset: QuerySet[Task]) -> HttpResponse | None:
        return self._many(request, queryset, Verb.REJECT)

    @admin.action(description="Retry…", permissions=["change"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Task]) -> HttpResponse | None:
        return self._many(request, queryset, Verb.RETRY)

    def _many(self, request: HttpRequest, queryset: QuerySet[Task], verb: Verb) -> HttpResponse | None:
        """First a page with what each row would get, then the decision, row by row."""
        tasks = list(queryset.select_related("channel")[: MOST_AT_ONCE + 1])
        if len(tasks) > MOST_AT_ONCE:
            messages.error(request, f"Choose {MOST_AT_ONCE} at most: each is looked at before you are asked about it.")
            return None
        if "confirmed" in request.POST:
            self._decide_many(request, tasks, verb)
            return None
        rows = [Row.of(task, verb) for task in tasks]
        context = {
            **self.admin_site.each_context(request),
            "title": f"{verb.title()} many",
            "verb": verb,
            "action": request.POST["action"],
            "rows": rows,
            "count": sum(row.possible for row in rows),
            "reasons": REASONS,
            "opts": self.opts,
        }
        return TemplateResponse(request, "admin/production/task/decide_many.html", context)

    def _decide_many(self, request: HttpRequest, tasks: Iterable[Task], verb: Verb) -> None:
        for task in tasks:
            try:
                said = decide.act(request, task, decide.DEEDS[verb], seen=request.POST.get(f"seen-{task.pk}", ""))
            except decide.Refusals as refusal:
                messages.error(request, f"“{task}”: {refusal}")
            else:
                messages.success(request, f"“{task}”: {said}")


@dataclass(frozen=True)
class Row:
    """One line of the page that asks before many are decided."""

    task: Task
    possible: bool
    sentence: str
    seen: str

    @classmethod
    def of(cls, task: Task, verb: Verb) -> "Row":
        page = review.read(task)
        if verb not in page.verbs:
            return cls(task, possible=False, sentence=f"Not possible in {task.get_status_display()}", seen=page.seen)
        coming = page.commitment if verb == Verb.APPROVE else None
        sentence = decide.what_follows(coming) if coming else page.here.title
        return cls(task, possible=True, sentence=sentence, seen=page.seen)
