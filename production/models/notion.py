"""The Notion side: the board, its webhook secret, and every event as it came in."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from channels_app.fields import SecretTextField
from production.models.task import Task


class NotionBoardManager(models.Manager["NotionBoard"]):
    def first_or_new(self) -> "NotionBoard":
        """The board whose webhook we answer; there is one."""
        return self.order_by("pk").first() or self.create()

    def connected(self) -> "models.QuerySet[NotionBoard]":
        """Boards whose rows can be asked for."""
        return self.exclude(data_source_id="").order_by("pk")


class NotionBoard(models.Model):
    """One Notion database of videos and the subscription that reports its changes.

    The handshake puts a token into `pending_token`; the operator pastes it into Notion and confirms in the admin,
    which makes it the secret that every event is signed with. A later handshake never replaces an active secret.

    Automations are not signed: they show `hook_secret` in a header. A new one is `hook_next` until it is typed into
    Notion everywhere; both are good until then, because Notion pauses an automation that is refused.
    """

    name = models.CharField(max_length=100, default="Videos")
    database_id = models.CharField(max_length=36, blank=True, editable=False)
    data_source_id = models.CharField(max_length=36, blank=True)
    # What the last look at it has shown.
    property_ids = models.JSONField(
        default=dict, editable=False, help_text="By our names: a property keeps its id when somebody renames it."
    )
    status_kind = models.CharField(
        max_length=6, choices=[(kind, kind) for kind in ("select", "status")], default="select", editable=False
    )
    file_limit = models.PositiveBigIntegerField(null=True, editable=False, help_text="Bytes a file of the workspace.")
    file_limit_read = models.DateTimeField(null=True, editable=False)
    # Its Channel options: which ones it has been given, when they are looked at next, how often that has failed.
    channels_told = ArrayField(models.CharField(max_length=100), default=list, editable=False)
    tell_at = models.DateTimeField(null=True, editable=False)
    tell_tries = models.PositiveSmallIntegerField(default=0, editable=False)
    pending_token = SecretTextField(null=True, blank=True, editable=False)
    active_token = SecretTextField(null=True, blank=True, editable=False)
    activated = models.DateTimeField(null=True, editable=False)
    activated_by = models.CharField(max_length=150, blank=True, editable=False)
    hook_secret = SecretTextField(null=True, blank=True, editable=False)
    hook_adopted = models.DateTimeField(null=True, editable=False)
    hook_next = SecretTextField(null=True, blank=True, editable=False)
    # The reconciling poll: all rows edited before `polled_to` were looked at; `poll_at` is its next turn, or its lease.
    polled_to = models.DateTimeField(null=True, editable=False)
    polled = models.DateTimeField(null=True, editable=False)
    poll_at = models.DateTimeField(default=timezone.now, editable=False)
    poll_outcome = models.CharField(max_length=500, blank=True, editable=False)
    compared = models.DateTimeField(null=True, editable=False)
    compare_outcome = models.CharField(max_length=500, blank=True, editable=False)

    objects = NotionBoardManager()

    class Meta:
        verbose_name = "Notion board"

    def __str__(self) -> str:
        return self.name


class NotionEvent(models.Model):
    """A webhook as it was stored before it was answered, or what the poll has found; `outcome` says in words what came
    of it."""

    POLL = "poll"  # how the types of the poll's events begin

    class State(models.TextChoices):
        PENDING = "pending", "Pending"
        DONE = "done", "Done"
        IGNORED = "ignored", "Ignored"
        FAILED = "failed", "Failed"

    event_id = models.CharField(max_length=64, unique=True)
    type = models.CharField(max_length=80)
    page_id = models.CharField(max_length=36, blank=True)
    author = models.CharField(max_length=100, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    outcome = models.CharField(max_length=500, blank=True)
    tries = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now)
    received = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state="pending"), name="event_pending"),
            models.Index(fields=["page_id", "-id"], name="event_by_page"),
            models.Index(fields=["received"], name="event_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.page_id}"

    @property
    def told(self) -> str:
        """Its type, in words where it is one of ours."""
        return "The poll found a change" if self.type.startswith(self.POLL) else f"Notion said {self.type}"


class NotionWrite(models.Model):
    """A write to a row as it was sent; see `production.letters`. `status` is HTTP's: without one no answer has come."""

    page_id = models.CharField(max_length=36, blank=True)
    said = models.TextField(help_text="A line each property.")
    at = models.DateTimeField(default=timezone.now)
    status = models.PositiveSmallIntegerField(null=True)
    answer = models.CharField(max_length=500, blank=True, help_text="Why it was refused.")

    class Meta:
        verbose_name = "write to Notion"
        verbose_name_plural = "writes to Notion"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["page_id", "-id"], name="write_by_page"),
            models.Index(fields=["at"], name="write_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.page_id} at {self.at:%Y-%m-%d %H:%M}"

    @property
    def is_refused(self) -> bool:
        return self.status is not None and self.status >= 300

    @property
    def is_taken(self) -> bool:
        return self.status is not None and not self.is_refused

    @property
    def news(self) -> str:
        """What it said in one line, without what it left empty."""
        return " · ".join(line for line in self.said.splitlines() if not line.endswith(": –"))

    @property
    def outcome(self) -> str:
        """How Notion answered, in words."""
        if self.status is None:
            return "No answer has come"
        return f"Answered {self.status}: {self.answer}" if self.is_refused else "Taken"


class NotionDrift(models.Model):
    """Where a row and its task were found to disagree, and which side a person chose."""

    class Kind(models.TextChoices):
        DIFFERS = "differs", "Differs"
        MISSING = "missing", "No row"  # deleted, or not shared any more
        UNTAKEN = "untaken", "No task"  # Queued, and nobody has taken it

    class Side(models.TextChoices):
        OURS = "ours", "Ours into Notion"
        THEIRS = "theirs", "Notion's into ours"

    board = models.ForeignKey(NotionBoard, on_delete=models.CASCADE, related_name="drifts")
    page_id = models.CharField(max_length=36)
    task = models.ForeignKey(Task, on_delete=models.CASCADE, null=True, related_name="+")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    title = models.CharField(max_length=200, blank=True)
    differs = models.JSONField(default=list, help_text="Property, ours, theirs.")
    side = models.CharField(max_length=10, choices=Side.choices, blank=True)
    chosen_by = models.CharField(max_length=150, blank=True)
    settled = models.BooleanField(default=False)
    outcome = models.CharField(max_length=500, blank=True)
    found = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "difference to Notion"
        verbose_name_plural = "differences to Notion"
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["board", "page_id"], name="one_drift_a_page")]

    def __str__(self) -> str:
        return self.title or self.page_id

    @property
    def names(self) -> list[str]:
        """The properties that differ."""
        return [name for name, _, _ in self.differs]
