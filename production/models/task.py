"""A task is one run of one Notion page; its clips and assets are its plan, its changes its history."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Func, Q
from django.utils import timezone

from channels_app.models import Channel, Privacy
from production.models import triggers
from production.stages import HOLDING, STAGES, WAITS_IN, Status


class Priority(models.IntegerChoices):
    HIGH = 1, "High"
    NORMAL = 2, "Normal"
    LOW = 3, "Low"


class TaskQuerySet(models.QuerySet["Task"]):
    def holding(self) -> "TaskQuerySet":
        """Tasks in one of their channel's slots; a paused one lends its own to others."""
        return self.filter(status__in=HOLDING, paused=False)

    def waiting(self) -> "TaskQuerySet":
        """Tasks that a free slot could take further."""
        return self.filter(status__in=[Status.QUEUED, *WAITS_IN], paused=False)


class Task(models.Model):
    """`status` is written by `production.lifecycle` alone; the database refuses every other hand."""

    channel = models.ForeignKey(Channel, on_delete=models.PROTECT, related_name="tasks")
    page_id = models.CharField(max_length=36, help_text="The row in Notion.")
    status = models.CharField(max_length=24, choices=Status.choices, default=Status.DRAFT, editable=False)
    status_since = models.DateTimeField(default=timezone.now, editable=False)
    priority = models.PositiveSmallIntegerField(choices=Priority.choices, default=Priority.NORMAL)
    title = models.CharField(max_length=200)
    topic = models.TextField(max_length=2000)
    story_direction = models.TextField(max_length=10_000, blank=True)
    privacy = models.CharField(max_length=10, choices=Privacy.choices, blank=True, help_text="Empty: the channel's.")
    publish_at = models.DateTimeField(null=True, blank=True, help_text="When it is to be public; empty: at once.")
    paused = models.BooleanField(default=False, editable=False)
    paused_by = models.CharField(max_length=150, blank=True, editable=False)
    pause_reason = models.CharField(max_length=200, blank=True, editable=False)
    # What the plan adds; edited at final review.
    story = models.TextField(blank=True)
    description = models.TextField(blank=True)
    tags = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    findings = models.JSONField(default=list, blank=True, editable=False, help_text="What lint says of the plan.")
    synthetic_media = models.BooleanField(
        null=True, blank=True, help_text="Disclose altered or synthetic content. Empty: the channel's."
    )
    thumbnail = models.ForeignKey(
        "Take",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="The picture that is sent. Empty: the film's strongest frame.",
    )
    youtube_url = models.URLField(blank=True, editable=False)
    # The outbox: when Notion is to be told next, by whose lease it is being told now, how often that has failed.
    tell_at = models.DateTimeField(null=True, editable=False)
    telling_until = models.DateTimeField(null=True, editable=False)
    tell_tries = models.PositiveSmallIntegerField(default=0, editable=False)
    unheard_since = models.DateTimeField(
        null=True, editable=False, help_text="Since when Notion could not be told. Empty: the last try was heard."
    )
    show_at = models.DateTimeField(
        null=True, editable=False, help_text="When Notion is told how far it is; a change of status says it too."
    )
    # What the row showed when it was last read or written: another value there is a person's. `row_version` counts how
    # often that was noted, so that a page read before the last time is known to be old.
    row_status = models.CharField(max_length=100, blank=True, editable=False)
    row_words = models.JSONField(default=dict, editable=False)
    row_version = models.PositiveIntegerField(default=0, editable=False)
    telling_status = models.CharField(
        max_length=100, blank=True, editable=False, help_text="Sent to the row; whether it arrived is not known yet."
    )
    telling_hash = models.CharField(max_length=64, blank=True, editable=False)
    told_hash = models.CharField(
        max_length=64, blank=True, editable=False, help_text="The content at the gate that the row was last told of."
    )
    stuck_since = models.DateTimeField(
        null=True, editable=False, help_text="It takes three times as long as its stage usually does."
    )
    workspace_removed = models.DateTimeField(null=True, editable=False)
    created = models.DateTimeField(default=timezone.now, editable=False)

    objects = TaskQuerySet.as_manager()

    class Meta:
        ordering = ["-created"]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=Status.values), name="task_status_is_one_of_26"),
            models.UniqueConstraint(
                fields=["page_id"], condition=~Q(status=Status.PUBLISHED), name="one_unfinished_task_a_page"
            ),
        ]
        indexes = [
            models.Index(fields=["channel", "status", "priority", "created"], name="task_in_line"),
            models.Index(fields=["status", "status_since"], name="task_by_status"),
            models.Index(fields=["status", "priority", "status_since"], name="task_on_board"),
            models.Index(fields=["channel", "status", "status_since"], name="task_of_channel"),
            models.Index(fields=["created"], name="task_by_created"),
            models.Index(fields=["page_id"], name="task_by_page"),
            models.Index(fields=["tell_at"], condition=Q(tell_at__isnull=False), name="task_to_tell"),
            models.Index(fields=["show_at"], condition=Q(show_at__isnull=False), name="task_to_show"),
        ]
        triggers = [
            triggers.only_legal_moves(),
            triggers.begins_as_draft(),
            triggers.has_its_change(),
            triggers.carries_its_priority(),
            triggers.carries_its_pause(),
        ]

    def __str__(self) -> str:
        return self.title or f"Task {self.pk}"

    @property
    def wanted_privacy(self) -> str:
        return self.privacy or self.channel.privacy

    @property
    def discloses(self) -> bool:
        """Whether viewers are told that it is synthetic."""
        return self.channel.synthetic_media if self.synthetic_media is None else self.synthetic_media


class Asset(models.Model):
    """An image the plan asks for. A `reference` is drawn first and shown to the model, so that a face stays one."""

    class Kind(models.TextChoices):
        CHARACTER = "character", "Character"
        ENVIRONMENT = "environment", "Environment"
        PROP = "prop", "Prop"

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="assets")
    number = models.PositiveSmallIntegerField()
    key = models.SlugField(max_length=60)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    prompt = models.TextField()
    reference = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="variants")

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["task", "number"], name="one_asset_a_number"),
            models.UniqueConstraint(fields=["task", "key"], name="one_asset_a_key"),
        ]

    def __str__(self) -> str:
        return self.key


class Clip(models.Model):
    """Ten seconds of the video. One without an environment has its character there: that image alone is shown."""

    class Layout(models.TextChoices):
        COMPOSITE = "composite", "Character on environment"
        SPLIT = "split", "Two halves"

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="clips")
    number = models.PositiveSmallIntegerField()
    narration = models.TextField()
    motion_prompt = models.TextField()
    sound_prompt = models.TextField()
    layout = models.CharField(max_length=12, choices=Layout.choices, default=Layout.COMPOSITE)
    character = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+")
    environment = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["task", "number"], name="one_clip_a_number")]

    def __str__(self) -> str:
        return f"Clip {self.number}"


class CurrentTransaction(Func):
    """The running transaction's id; a savepoint has the same."""

    template = "pg_current_xact_id()::text::bigint"
    output_field = models.BigIntegerField()


class StatusChange(models.Model):
    """One line of a task's history; `Task.tell_at` is what Notion still has to hear.

    A line whose `before` and `after` are alike moved nothing: a yes at a gate that has no status of its own, or a
    note for the Error Log ("clip 5: moderation refused it; attempt 2 of 5, next at 14:05").
    """

    NOTE = "note"

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="changes")
    before = models.CharField(max_length=24, choices=Status.choices)
    after = models.CharField(max_length=24, choices=Status.choices)
    verb = models.CharField(max_length=12)
    stage = models.CharField(max_length=12, choices=[(s.name, s.title) for s in STAGES], blank=True)
    by = models.CharField(max_length=150, help_text="A user name, “notion: …”, or “system”.")
    reason = models.TextField(blank=True)
    is_error = models.BooleanField(default=False, help_text="A line of the Error Log.")
    at = models.DateTimeField(default=timezone.now)
    transaction = models.BigIntegerField(db_default=CurrentTransaction(), editable=False)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["task", "id"], name="change_by_task"),
            models.Index(fields=["task", "transaction"], name="change_by_transaction"),
            models.Index(fields=["verb", "at"], name="change_by_verb"),
            models.Index(fields=["by", "task"], condition=Q(verb="submit"), name="change_by_submitter"),
        ]

    def __str__(self) -> str:
        return f"{self.get_before_display()} → {self.get_after_display()}"

    @property
    def seconds_since_created(self) -> float:
        return (self.at - self.task.created).total_seconds()


class Approval(models.Model):
    """A yes of a person at a gate. It binds to the content: any later change voids it (X6)."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="approvals")
    stage = models.CharField(max_length=12, choices=[(s.name, s.title) for s in STAGES if s.review])
    content_hash = models.CharField(max_length=64)
    by = models.CharField(max_length=150)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "stage", "content_hash"], name="one_approval_a_content"),
        ]

    def __str__(self) -> str:
        return f"{self.get_stage_display()}: {self.by}"
