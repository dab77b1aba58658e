"""The Notion board with its webhooks' secrets, the events as they came in, and where rows and tasks disagree."""

from collections.abc import Callable
from typing import Any, TypeVar

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import action
from unfold.forms import BaseDialogForm

from channels_app import access
from production import drift, reception
from production.admin.base import HouseAdmin, LookOnlyAdmin, ago, moment, pill, task_link
from production.broker import ring
from production.errors import Trouble
from production.models import NotionBoard, NotionDrift, NotionEvent, NotionWrite, SharedFile, Task

Side = NotionDrift.Side
View = TypeVar("View", bound=Callable[..., HttpResponse])
MEANS = {
    NotionDrift.Kind.MISSING: "Ours: a new row. Notion's: the task is cancelled.",
    NotionDrift.Kind.UNTAKEN: "Ours: back to Draft. Notion's: it becomes a task.",
}
TONES = {NotionEvent.State.DONE: "done", NotionEvent.State.FAILED: "error", NotionEvent.State.PENDING: "working"}


class BoardForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = NotionBoard
        fields = ("name", "data_source_id")
        help_texts = {
            "name": "What it is called here.",
            "data_source_id": "In Notion: the database's menu › Manage data sources › Copy data source ID. Without it "
            "nothing finds what webhooks miss.",
        }


def _asking(button: str, icon: str, permission: str, *, title: str, says: str, yes: str) -> Callable[[View], View]:
    """A button that asks first, on the page of a board that the person may see."""
    dialog = {"title": title, "description": says, "form_class": BaseDialogForm, "form_submit_text": yes}
    permissions = ["seen", "change", permission]
    asked: Callable[[View], View] = action(description=button, icon=icon, permissions=permissions, dialog=dialog)
    return asked


@admin.register(NotionBoard)
class NotionBoardAdmin(HouseAdmin):
    form = BoardForm
    list_display = ("name", "data_source_id", "webhook", "poll")
    readonly_fields = ("webhook", "token_to_paste", "automations", "secret_to_type", "poll", "comparison")
    actions_detail = ("confirm_pasted", "forget_token", "renew_secret", "confirm_typed", "compare")

    def has_delete_permission(self, request: HttpRequest, obj: NotionBoard | None = None) -> bool:
        return False

    def get_fieldsets(self, request: HttpRequest, obj: NotionBoard | None = None) -> Any:
        """What has to be typed into Notion is only for who sets it up."""
        may_see = request.user.is_active and request.user.is_superuser
        signed, unsigned = ("webhook", "token_to_paste"), ("automations", "secret_to_type")
        return (
            (None, {"fields": ("name", "data_source_id")}),
            ("Webhook of the integration", {"fields": signed if may_see else signed[:1]}),
            ("“Send webhook” of automations and buttons", {"fields": unsigned if may_see else unsigned[:1]}),
            ("Rows and tasks", {"fields": ("poll", "comparison")}),
        )

    def has_seen_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """What is not seen is not there: 404."""
        return bool(self.get_object(request, str(object_id)))

    def has_confirm_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """There has to be something to confirm: where nothing was pasted the button would only confuse."""
        return NotionBoard.objects.filter(pk=object_id, pending_token__isnull=False).exists()

    def has_forget_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        is_signed = NotionBoard.objects.filter(pk=object_id, active_token__isnull=False).exists()
        return is_signed and self.has_setup_permission(request)

    def has_adopt_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return NotionBoard.objects.filter(pk=object_id, hook_next__isnull=False).exists()

    def has_setup_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Only who sees the secret may make another."""
        return bool(request.user.is_active and request.user.is_superuser)

    def has_connected_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return NotionBoard.objects.connected().filter(pk=object_id).exists()

    # ------------------------------------------------------------ what is shown

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

    @admin.display(description="Automations")
    def automations(self, board: NotionBoard) -> SafeString:
        if board.hook_next:
            return pill("you", "Secret to be typed into Notion")
        return pill("done", "Known by their secret") if board.hook_secret else pill("idle", "No secret yet")

    @admin.display(description="Header to type")
    def secret_to_type(self, board: NotionBoard) -> SafeString | str:
        """Shown until it is confirmed, like the token."""
        if not board.hook_next:
            return (
                "Nothing to type. “New secret” makes one; the one in use stays good until you have confirmed the new."
            )
        return format_html(
            'In each “Send webhook” action: URL <code>{}</code>, header <code class="to-copy">{}</code> with the value '
            '<code class="to-copy">{}</code>',
            f"{settings.PUBLIC_URL}{reverse('webhook-notion')}",
            reception.HEADER,
            board.hook_next,
        )

    @admin.display(description="Reconciling poll")
    def poll(self, board: NotionBoard) -> SafeString | str:
        if not board.data_source_id:
            return pill("you", "Not polled: no data source id")
        if not settings.NOTION_POLL:
            return pill("idle", "Not polled: NOTION_POLL_SECONDS is 0")
        if not board.polled:
            return pill("waiting", "Not yet")
        failed = board.poll_outcome.startswith("failed")
        word = pill("error" if failed else "done", "Failed" if failed else "Polled")
        return format_html("{} {} · {}", word, ago(board.polled), board.poll_outcome)

    @admin.display(description="Compared with tasks")
    def comparison(self, board: NotionBoard) -> SafeString:
        when = ago(board.compared) if board.compared else "Not yet"
        link = reverse("admin:production_notiondrift_changelist")
        return format_html('{} {} <a class="task-link" href="{}">Differences</a>', when, board.compare_outcome, link)

    # ------------------------------------------------------------ what can be done

    @_asking(
        *("I have pasted it in Notion", "verified", "confirm"),
        title="Is the token pasted and verified in Notion?",
        says="From then on only events signed with this token are accepted. It is not shown again.",
        yes="Yes, it is verified",
    )
    def confirm_pasted(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        return self._do(request, object_id, reception.confirm, "Events from Notion are signed from now on.")

    @_asking(
        *("Webhook made anew", "restart_alt", "forget"),
        title="Forget the token that events are signed with?",
        says="For a webhook that is lost, or was made anew in Notion: the next handshake brings its token here. Until "
        "that is pasted and confirmed every event is refused; the poll finds what they would have told.",
        yes="Forget it",
    )
    def forget_token(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        return self._do(request, object_id, reception.forget, "Create the webhook in Notion now.")

    @_asking(
        *("New secret", "key", "setup"),
        title="Make a secret for automations?",
        says="It is shown on this page until you say that it is typed into every automation and button; "
        "the one in use stays good until then.",
        yes="Make it",
    )
    def renew_secret(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        return self._do(request, object_id, reception.renew_secret, "Type the header below into Notion.")

    @_asking(
        *("I have typed it into Notion", "verified", "adopt"),
        title="Is the secret typed into every automation and button?",
        says="The former secret is good no more, and Notion pauses an automation that is refused. "
        "The new one is not shown again.",
        yes="Yes, everywhere",
    )
    def confirm_typed(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        return self._do(request, object_id, reception.adopt_secret, "Automations show the new secret from now on.")

    @_asking(
        *("Compare with tasks", "difference", "connected"),
        title="Read the whole board?",
        says="One request for a hundred rows. What was found before is replaced.",
        yes="Compare",
    )
    def compare(self, request: HttpRequest, form: BaseDialogForm, object_id: int) -> HttpResponse:
        ring(drift.COMPARE, NotionBoard.objects.get(pk=object_id).pk)
        messages.success(request, "The board is being read; look again in a moment.")
        return HttpResponse(headers={"HX-Redirect": reverse("admin:production_notiondrift_changelist")})

    def _do(self, request: HttpRequest, object_id: int, deed: Callable[..., None], done: str) -> HttpResponse:
        try:
            deed(NotionBoard.objects.get(pk=object_id), by=request.user.get_username())
        except Trouble as trouble:
            messages.error(request, trouble.message)
        else:
            messages.success(request, done)
        return HttpResponse(headers={"HX-Redirect": reverse("admin:production_notionboard_change", args=[object_id])})


class AboutPagesAdmin(LookOnlyAdmin):
    """Rows with the page that each is about."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With the newest task of the page."""
        tasks = Task.objects.filter(page_id=OuterRef("page_id")).order_by("-pk")
        newest = {"task_id": Subquery(tasks.values("pk")[:1]), "title": Subquery(tasks.values("title")[:1])}
        found: QuerySet[Any] = super().get_queryset(request).annotate(**newest)
        return found

    @admin.display(description="About", ordering="page_id")
    def about(self, row: Any) -> SafeString | str:
        """The task, where the page has one: a page's id tells nobody anything."""
        if not row.task_id:
            return f"a page without a task ({row.page_id[:8]}…)" if row.page_id else "–"
        task = Task(pk=row.task_id, title=row.title, page_id=row.page_id)
        return task_link(task)


@admin.register(NotionEvent)
class NotionEventAdmin(AboutPagesAdmin):
    list_display = ("came", "told", "about", "author", "fate", "tries", "outcome")
    list_filter = ("state", "type")
    search_fields = ("page_id", "event_id")

    came = moment("received", "Received")

    @admin.display(description="Type", ordering="type")
    def told(self, event: NotionEvent) -> str:
        return event.told

    @admin.display(description="State", ordering="state")
    def fate(self, event: NotionEvent) -> SafeString:
        return pill(TONES.get(NotionEvent.State(event.state), "idle"), event.get_state_display())


@admin.register(NotionWrite)
class NotionWriteAdmin(AboutPagesAdmin):
    list_display = ("sent", "about", "said", "answered")
    list_filter = ("status",)
    search_fields = ("page_id", "said")

    sent = moment("at", "Sent")

    @admin.display(description="Answer", ordering="status")
    def answered(self, letter: NotionWrite) -> SafeString:
        tone = "error" if letter.is_refused else "working" if letter.status is None else "done"
        return pill(tone, letter.outcome)


@admin.register(SharedFile)
class SharedFileAdmin(LookOnlyAdmin):
    list_display = ("of", "take", "place", "fate", "attached_", "left_out")
    list_display_links = ("take",)  # the first one is a link of its own
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


@admin.register(NotionDrift)
class NotionDriftAdmin(LookOnlyAdmin):
    list_display = ("about", "kind_of", "ours_and_theirs", "fate", "outcome")
    list_display_links = ("kind_of",)  # the first one is a link of its own
    list_filter = ("kind", "settled", "side")
    search_fields = ("title", "page_id")
    list_select_related = ("task",)
    list_before_template = "admin/production/notiondrift/compared.html"
    list_per_page = 50
    actions = ("push_ours", "take_theirs")
    ordering = ("settled", "kind", "title", "pk")

    def has_settle_permission(self, request: HttpRequest) -> bool:
        """It moves tasks and may cost money, as the buttons of the review do."""
        return bool(request.user.has_perm("production.change_task"))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """With the board that was compared."""
        board = access.seen_by(NotionBoard.objects.order_by("pk"), request.user).first()
        found: TemplateResponse = super().changelist_view(request, {**(extra_context or {}), "board": board})
        return found

    @admin.display(description="Row", ordering="title")
    def about(self, found: NotionDrift) -> SafeString | str:
        return task_link(found.task) if found.task else str(found)

    @admin.display(description="What is wrong", ordering="kind")
    def kind_of(self, found: NotionDrift) -> SafeString:
        return pill("you", found.get_kind_display())

    @admin.display(description="Ours → Notion's")
    def ours_and_theirs(self, found: NotionDrift) -> SafeString:
        lines = [(name, *(str(value)[:80] or "–" for value in values)) for name, *values in found.differs]
        return format_html_join(
            "", '<span class="hold"><span class="quiet">{}</span> {} → {}</span>', lines
        ) or format_html("{}", MEANS.get(NotionDrift.Kind(found.kind), "–"))

    @admin.display(description="Chosen", ordering="side")
    def fate(self, found: NotionDrift) -> SafeString | str:
        if not found.side:
            return "–"
        tone = "done" if found.outcome else "working"
        return format_html("{} by {}", pill(tone, found.get_side_display()), found.chosen_by)

    @admin.action(description="Ours into Notion", permissions=["settle"])
    def push_ours(self, request: HttpRequest, queryset: QuerySet[NotionDrift]) -> None:
        self._choose(request, queryset, Side.OURS)

    @admin.action(description="Notion's into ours", permissions=["settle"])
    def take_theirs(self, request: HttpRequest, queryset: QuerySet[NotionDrift]) -> None:
        self._choose(request, queryset, Side.THEIRS)

    def _choose(self, request: HttpRequest, queryset: QuerySet[NotionDrift], side: NotionDrift.Side) -> None:
        chosen = drift.choose(queryset, side, by=request.user.get_username())
        messages.success(request, f"{chosen} rows are being settled: {side.label}. What can't be done says why.")
