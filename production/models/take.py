"""A take is one generation of one piece."""

from typing import Any

from django.db import models
from django.db.models import OuterRef, Q
from django.utils import timezone

from channels_app.models import Channel
from production.models.lane import Provider
from production.models.task import Priority, Task
from production.stages import PIECE, PIECES, STEP, Piece, Stage, Status


class TakeState(models.TextChoices):
    """Where one generation stands."""

    WAITING = "waiting", "Waiting"
    CLAIMED = "claimed", "Working"
    SUBMITTED = "submitted", "Rendering"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    UNKNOWN = "unknown", "Outcome unknown"
    CANCELLED = "cancelled", "Cancelled"


IN_FLIGHT = (TakeState.CLAIMED, TakeState.SUBMITTED)
LIVE = (TakeState.WAITING, *IN_FLIGHT, TakeState.UNKNOWN)


class TakeQuerySet(models.QuerySet["Take"]):
    def in_flight(self) -> "TakeQuerySet":
        """Takes that somebody is at: a holder or a provider."""
        return self.filter(state__in=IN_FLIGHT)

    def live(self) -> "TakeQuerySet":
        """Takes that may still come to something by themselves."""
        return self.filter(state__in=LIVE)

    def deciding(self) -> "TakeQuerySet":
        """Takes that decide how their piece stands: the selected one, and what is under way or has failed."""
        return self.filter(Q(selected=True) | Q(state__in=[*LIVE, TakeState.FAILED]))

    def useless(self, task: "Task | OuterRef", stage: Stage) -> "TakeQuerySet":
        """What counts in the task's stage and is useless as far as a machine can tell: then a person is asked."""
        found = self.filter(task=task, kind__in=stage.kinds, selected=True, findings__contains=[{"severity": "error"}])
        return found.order_by("kind", "position")

    def unseen(self) -> "TakeQuerySet":
        """Media that count in unfinished tasks and that no look has said anything of: they are older than looks."""
        media = [piece.kind for piece in PIECES if piece.suffix != ".json"]
        found = self.filter(kind__in=media, selected=True, state=TakeState.DONE, measured={}, findings=[])
        return found.exclude(task__status=Status.PUBLISHED)

    def of(self, kind: str, position: int) -> "TakeQuerySet":
        return self.filter(kind=kind, position=position)


class Take(models.Model):
    """Written by `production.takes` alone. A claim carries a token that every guarded UPDATE must bear.

    `position` is the number of the clip or asset, 0 for pieces that a task has once. `attempt` counts the starts of
    its paid call and never goes back; `tries` counts the failures since a person last asked for it.
    """

    State = TakeState

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="takes")
    channel = models.ForeignKey(Channel, on_delete=models.PROTECT, related_name="+")
    lane = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="takes")
    kind = models.CharField(max_length=12, choices=[(piece.kind, piece.kind.title()) for piece in PIECES])
    position = models.PositiveSmallIntegerField(default=0)
    number = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    selected = models.BooleanField(default=False)

    # What it is made from.
    prompt = models.TextField(blank=True)
    recipe = models.JSONField(default=dict)
    sources = models.ManyToManyField("self", symmetrical=False, related_name="used_in", blank=True)
    fingerprint = models.CharField(max_length=64)

    # Its place in line: the task's own, kept by triggers.
    priority = models.PositiveSmallIntegerField(choices=Priority.choices, default=Priority.NORMAL)
    paused = models.BooleanField(default=False)

    # Who is at it.
    attempt = models.PositiveSmallIntegerField(default=0)
    tries = models.PositiveSmallIntegerField(default=0)
    token = models.UUIDField(null=True, unique=True)
    holder = models.CharField(max_length=80, blank=True)
    host = models.CharField(max_length=80, blank=True, help_text="The machine that its script runs on.")
    slots = models.PositiveSmallIntegerField(default=0, help_text="Of its lane, that it uses now.")
    lease_until = models.DateTimeField(null=True)
    due_at = models.DateTimeField(default=timezone.now, help_text="Not before: back-off, or the next question.")
    started = models.DateTimeField(null=True)
    ref = models.CharField(max_length=200, blank=True, help_text="The provider's job id.")
    progress = models.CharField(max_length=20, blank=True)

    # What came of it.
    output = models.CharField(max_length=300, blank=True, help_text="Below the task's workspace.")
    sha256 = models.CharField(max_length=64, blank=True)
    size = models.PositiveBigIntegerField(null=True, help_text="Bytes.")
    seconds = models.FloatField(null=True, help_text="Length of a sound or film.")
    result = models.JSONField(default=dict, blank=True)
    findings = models.JSONField(default=list, blank=True, help_text="What a look at its file found: see `flaws`.")
    measured = models.JSONField(default=dict, blank=True, help_text="Figures of its file, and whether it has a poster.")
    overruled_by = models.CharField(max_length=150, blank=True, help_text="Who wants it although it is out of date.")
    simulated = models.BooleanField(default=False, help_text="Came from an address that is not the vendor's own.")
    error_kind = models.CharField(max_length=10, blank=True)
    error = models.TextField(blank=True)
    created = models.DateTimeField(default=timezone.now)
    finished = models.DateTimeField(null=True)

    objects = TakeQuerySet.as_manager()

    class Meta:
        ordering = ["task", "kind", "position", "number"]
        constraints = [
            models.UniqueConstraint(fields=["task", "kind", "position", "number"], name="one_take_a_number"),
            models.UniqueConstraint(
                fields=["task", "kind", "position"],
                condition=Q(state__in=LIVE),
                name="one_live_take_a_piece",
            ),
            models.UniqueConstraint(
                fields=["task", "kind", "position"], condition=Q(selected=True), name="one_selected_take_a_piece"
            ),
            models.CheckConstraint(condition=Q(selected=False) | Q(state="done"), name="selected_take_is_done"),
            models.CheckConstraint(
                condition=~Q(state="claimed") | (Q(token__isnull=False) & Q(lease_until__isnull=False)),
                name="claimed_take_has_a_lease",
            ),
            models.CheckConstraint(condition=~Q(state="submitted") | ~Q(ref=""), name="submitted_take_has_a_ref"),
        ]
        indexes = [
            models.Index(
                fields=["lane", "channel", "priority", "task", "position", "id"],
                include=["due_at", "kind"],
                condition=Q(state="waiting", ref="", paused=False),
                name="take_in_line",
            ),
            models.Index(fields=["lane", "due_at"], condition=Q(state="waiting"), name="take_waiting"),
            models.Index(fields=["lane", "due_at"], condition=Q(state="waiting") & ~Q(ref=""), name="take_to_collect"),
            models.Index(
                fields=["lane", "channel"], condition=Q(state__in=["claimed", "submitted"]), name="take_in_flight"
            ),
            models.Index(
                fields=["lane", "due_at"], condition=Q(state__in=["submitted", "unknown"]), name="take_to_ask"
            ),
            models.Index(fields=["lane", "lease_until"], condition=Q(state="claimed"), name="take_leased"),
            models.Index(fields=["finished"], condition=Q(finished__isnull=False), name="take_by_finished"),
            models.Index(
                fields=["task", "kind"],
                condition=Q(selected=True, findings__contains=[{"severity": "error"}]),
                name="take_useless",
            ),
            models.Index(
                fields=["finished"], condition=Q(state="failed") | Q(state="done", tries__gt=0), name="take_troubled"
            ),
        ]

    def __str__(self) -> str:
        return self.name if self.number == 1 else f"{self.name}, take {self.number}"

    @property
    def piece(self) -> Piece:
        return PIECE[self.kind]

    @property
    def key(self) -> tuple[str, int]:
        """Which piece it is a take of."""
        return self.kind, self.position

    @property
    def name(self) -> str:
        if self.piece.per == "step" and self.position in STEP:
            return f"{self.kind} ({STEP[self.position].title.lower()})"
        return f"{self.kind} {self.position}" if self.position else self.kind

    @property
    def is_buying(self) -> bool:
        """An attempt of it makes a paid call; with the provider's id it only collects what is paid."""
        return self.piece.paid and not self.ref

    @property
    def is_live(self) -> bool:
        return self.state in LIVE

    @property
    def words(self) -> list[Any]:
        """Word timings of a narration: [word, from, to] in seconds."""
        return list(self.result.get("words", []))
