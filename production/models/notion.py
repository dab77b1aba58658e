"""The Notion side: the board, its webhook secret, and every event as it came in."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from channels_app.fields import SecretTextField


class NotionBoardManager(models.Manager["NotionBoard"]):
    def first_or_new(self) -> "NotionBoard":
        """The board whose webhook we answer; there is one."""
        return self.order_by("pk").first() or self.create()


class NotionBoard(models.Model):
    """One Notion database of videos and the subscription that reports its changes.

    The handshake puts a token into `pending_token`; the operator pastes it into Notion and confirms in the admin,
    which makes it the secret that every event is signed with. A later handshake never replaces an active secret.
    """

    name = models.CharField(max_length=100, default="Videos")
    data_source_id = models.CharField(max_length=36, blank=True)
    pending_token = SecretTextField(null=True, blank=True, editable=False)
    active_token = SecretTextField(null=True, blank=True, editable=False)
    activated = models.DateTimeField(null=True, editable=False)
    activated_by = models.CharField(max_length=150, blank=True, editable=False)

    objects = NotionBoardManager()

    class Meta:
        verbose_name = "Notion board"

    def __str__(self) -> str:
        return self.name


class NotionEvent(models.Model):
    """A webhook as it was stored before it was answered; `outcome` says in words what came of it."""

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
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.page_id}"
