"""The Notion board with its webhook handshake, and the events as they came in."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action
from unfold.forms import BaseDialogForm

from production import intake
from production.admin.base import HouseAdmin, LookOnlyAdmin, ago, moment, pill, task_link
from production.errors import Trouble
from production.models import NotionBoard, NotionEvent, SharedFile, Task

TONES = {NotionEvent.State.DONE: "done", NotionEvent.State.FAILED: "error", NotionEvent.State.PENDING: "working"}


@admin.register(NotionBoard)
class NotionBoardAdmin(HouseAdmin):
    list_display = ("name", "data_source_id", "webhook")
    readonly_fields = ("webhook", "token_to_paste")
    actions_detail = ("confirm_pasted",)

    def has_delete_permission(self, request: HttpRequest, obj: NotionBoard | None = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: NotionBoard | None = None) -> tuple[str, ...]:
        known = ("name", "data_source_id", "webhook")
        return (*known, "token_to_paste") if request.user.is_active and request.user.is_superuser else known

    def has_confirm_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """There has to be something to confirm: where nothing was pasted the button would only confuse."""
        return NotionBoard.objects.filter(pk=object_id, pending_token__isnull=False).exists()

    @admin.display(description="Webhook")
    def webhook(self, board: NotionBoard) -> SafeString:
        if board.active_token:
            return format_html("{} since {} by {}", pill("done", "Signed"), ago(board.activated), board.activated_by)
        return pill("you", "Token to be pasted") if board.pending_token else pill("idle", "No handshake yet")

    @admin.display(description="Verification token")
    def token_to_paste(self, board: NotionBoard) -> SafeString | str:
        """Only for who sets the webhook up, and only until it is confirmed: Notion asks for exactly this text."""
        if board.active_token and not board.pending_token:
            return "Nothing to paste: events are signed."
        if not board.pending_token:
            return "Nothing to paste. Create the webhook subscription in Notion; its handshake brings the token here."
        return format_html('<code class="to-copy">{}</code>', board.pending_token)

    @action(  # type: ignore[untyped-decorator]
        description="I have pasted it in Notion",
        url_path="confirm-pasted",
        icon="verified",
        permissions=["change", "confirm"],
        dialog={
            "title": "Is the token pasted and verified in Notion?",
            "description": "From then on only events signed with this token are accepted. It is not shown again.",
            "form_class": BaseDialogForm,
            "form_submit_text": "Yes, it is verified",
        },
    )
    def confirm_pasted(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        board = NotionBoard.objects.get(pk=object_id)
        try:
            intake.confirm(board, by=request.user.get_username())
        except Trouble as trouble:
            messages.error(request, trouble.message)
        else:
            messages.success(request, "Events from Notion are signed from now on.")
        return HttpResponse(headers={"HX-Redirect": reverse("admin:production_notionboard_change", args=[object_id])})


@admin.register(NotionEvent)
class NotionEventAdmin(LookOnlyAdmin):
    list_display = ("came", "type", "about", "author", "fate", "tries", "outcome")
    list_filter = ("state", "type")
    search_fields = ("page_id", "event_id")

    came = moment("received", "Received")

    def get_queryset(self, request: HttpRequest) -> QuerySet[NotionEvent]:
        """With the newest task of the page each is about."""
        tasks = Task.objects.filter(page_id=OuterRef("page_id")).order_by("-pk")
        found: QuerySet[NotionEvent] = super().get_queryset(request)
        return found.annotate(task_id=Subquery(tasks.values("pk")[:1]), title=Subquery(tasks.values("title")[:1]))

    @admin.display(description="About", ordering="page_id")
    def about(self, event: Any) -> SafeString | str:
        """The task, where the page has one: a page's id tells nobody anything."""
        if not event.task_id:
            return f"a page without a task ({event.page_id[:8]}…)" if event.page_id else "–"
        task = Task(pk=event.task_id, title=event.title, page_id=event.page_id)
        return task_link(task)

    @admin.display(description="State", ordering="state")
    def fate(self, event: NotionEvent) -> SafeString:
        return pill(TONES.get(NotionEvent.State(event.state), "idle"), event.get_state_display())


@admin.register(SharedFile)
class SharedFileAdmin(LookOnlyAdmin):
    list_display = ("of", "take", "place", "fate", "attached_", "left_out")
    list_filter = ("place",)
    list_select_related = ("take__task",)
    search_fields = ("take__task__title",)

    attached_ = moment("attached", "Attached")

    @admin.display(description="Task", ordering="take__task")
    def of(self, file: SharedFile) -> SafeString:
        return task_link(file.take.task)

    @admin.display(description="State")
    def fate(self, file: SharedFile) -> SafeString:
        if file.left_out:
            return pill("you", "Left out")
        return pill("done", "In its row") if file.attached else pill("working", "On its way")
