"""For whom we make: a channel, its voice, style, gates and limits, and its secrets."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.fields.files import FieldFile
from django.utils.safestring import SafeString

from channels_app.badge import Colour, draw, require_emoji
from channels_app.branding import BrandingStorage, place, require_picture, require_video
from channels_app.fields import SecretTextField
from production.stages import STAGES

PLAN = "plan"  # a stop within the assets stage: the plan is there, nothing is drawn yet
OPTIONAL_GATES = [
    (PLAN, "Plan, before images are bought"),
    *((stage.name, stage.title) for stage in STAGES if stage.gate == "optional"),
]
# Gates with a status of their own for the yes, which a person can set in Notion.
NOTION_GATES = [(s.name, s.title) for s in STAGES if s.gate == "optional" and s.keeps_yes]


def default_gates() -> list[str]:
    """FR52: people look at images, clips and narration; composites and sounds go on by themselves."""
    return ["assets", "video", "audio"]


class Privacy(models.TextChoices):
    PRIVATE = "private", "Private"
    UNLISTED = "unlisted", "Unlisted"
    PUBLIC = "public", "Public"


class Storage(models.TextChoices):
    """Where a creator finds a video's pictures and film from its Notion row (FR12)."""

    NONE = "", "Nowhere: they are in the admin"
    NOTION = "notion", "Attached to the Notion row"
    S3 = "s3", "R2 or S3, with signed addresses in the row"


def _branding(validator: Callable[[FieldFile], None], help_text: str) -> models.FileField:
    """A file of the channel that may be missing."""
    return models.FileField(
        blank=True,
        max_length=200,
        storage=BrandingStorage(),
        upload_to=place,
        validators=[validator],
        help_text=help_text,
    )


def _share(default: str, help_text: str) -> "models.DecimalField[Any, Any]":
    """A setting from 0 to 1."""
    return models.DecimalField(
        max_digits=3,
        decimal_places=2,
        default=Decimal(default),
        validators=[MinValueValidator(0), MaxValueValidator(1)],
        help_text=f"0 to 1. {help_text}",
    )


class Channel(models.Model):
    """One YouTube channel we make videos for. `name` is what the Notion rows say."""

    slug = models.SlugField(unique=True, help_text="Folder and log name; never changes.")
    name = models.CharField(max_length=100, unique=True, help_text="As in Notion's Channel property.")
    active = models.BooleanField(default=True, help_text="Off: nothing new starts, all work is kept.")
    language = models.CharField(max_length=10, default="en", help_text="Of narration and captions: en, pt-BR.")
    colour = models.CharField(max_length=10, choices=Colour.choices, default=Colour.SLATE, help_text="Of its badge.")
    emoji = models.CharField(
        max_length=16, blank=True, validators=[require_emoji], help_text="On its badge; empty: the name's first letter."
    )
    voice_id = models.CharField(max_length=100, blank=True, help_text="ElevenLabs voice; empty: ELEVENLABS_VOICE_ID.")
    voice_stability = _share("0.40", "Low is lively, high is even.")
    voice_similarity = _share("0.75", "How closely it keeps to the original.")
    voice_style = _share("0.12", "How much it exaggerates; 0 is the steadiest.")
    style = models.TextField(blank=True, help_text="Put before every image prompt.")
    clips_per_video = models.PositiveSmallIntegerField(
        default=18, validators=[MinValueValidator(1), MaxValueValidator(60)], help_text="Ten-second clips."
    )
    assets_per_video = models.PositiveSmallIntegerField(
        default=22, validators=[MinValueValidator(2), MaxValueValidator(60)], help_text="Images."
    )
    family = models.CharField(
        max_length=60,
        blank=True,
        help_text="Sister channels have the same word here (or none): a plan is compared with all of theirs.",
    )
    most_similarity = models.DecimalField(
        max_digits=3,
        decimal_places=2,
        default="0.70",
        validators=[MinValueValidator(0), MaxValueValidator(1)],
        help_text="A plan more like a recent video than this waits for a person; 0 compares nothing.",
    )
    max_concurrent = models.PositiveSmallIntegerField(
        "videos at once",
        default=3,
        validators=[MinValueValidator(1)],
        help_text="Slots: tasks that are being worked on at once. One that waits for a person needs none.",
    )
    share = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1)],
        help_text="Of a lane that several wait for: one with 2 has twice as many takes in flight as one with 1.",
    )
    gates = ArrayField(
        models.CharField(max_length=20, choices=OPTIONAL_GATES),
        default=default_gates,
        blank=True,
        help_text="Stages that wait for a person; final review always does.",
    )
    notion_gates = ArrayField(
        models.CharField(max_length=20, choices=NOTION_GATES),
        default=list,
        blank=True,
        help_text="Where a yes set in Notion counts.",
    )
    intro = _branding(require_video, "Video with its own sound, put before every film.")
    outro = _branding(require_video, "The same, behind every film.")
    watermark = _branding(
        require_picture,
        "PNG with transparency, in the lower right corner. With one, no film's picture can be copied: "
        "assembly takes minutes instead of seconds.",
    )
    fade = models.DecimalField(
        max_digits=3,
        decimal_places=1,
        default=Decimal(0),
        validators=[MinValueValidator(0), MaxValueValidator(5)],
        help_text="Seconds from and to black; 0 is none. With one, the picture can't be copied either.",
    )
    captions = models.BooleanField(default=True, help_text="Written with every film and sent to YouTube.")
    thumbnail = models.BooleanField(default=True, help_text="The film's strongest frame, sent to YouTube.")
    storage = models.CharField(
        max_length=6,
        choices=Storage.choices,
        default=Storage.NONE,
        blank=True,
        help_text="Where images, composites and film are shown besides. A token S3_BUCKET and the like gives the "
        "channel a place of its own.",
    )
    privacy = models.CharField(max_length=10, choices=Privacy.choices, default=Privacy.PRIVATE)
    category_id = models.PositiveSmallIntegerField(default=27, help_text="YouTube category; 27 is Education.")
    description_template = models.TextField(
        default="{description}", help_text="{description} and {title} are filled in."
    )
    tags = ArrayField(models.CharField(max_length=100), default=list, blank=True, help_text="Added to every video's.")
    made_for_kids = models.BooleanField(default=False)
    synthetic_media = models.BooleanField(default=True, help_text="Disclose altered or synthetic content to viewers.")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=Q(max_concurrent__gte=1), name="channel_has_a_slot"),
            models.CheckConstraint(condition=Q(share__gte=1), name="channel_has_a_share"),
            models.CheckConstraint(condition=Q(clips_per_video__gte=1), name="channel_has_clips"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def badge(self) -> SafeString:
        """The channel as every page shows it: its colour, its emoji, its name."""
        return draw(self.colour, self.emoji or self.name[:1].upper(), self.name)


class Token(models.Model):
    """A secret of one channel, handed to scripts under `name` in place of the common one. Never shown again."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(
        max_length=40,
        validators=[RegexValidator(r"^[A-Z][A-Z0-9_]*$", "An environment name such as KIE_API_KEY.")],
    )
    value = SecretTextField()
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["channel", "name"], name="one_token_a_name")]

    def __str__(self) -> str:
        return f"{self.channel}: {self.name}"


class CheckResult(models.Model):
    """What a self-test of the channel found last, and when; see `channels_app.selftest`."""

    class Level(models.TextChoices):
        PASS = "pass", "Pass"
        WARN = "warn", "Warn"
        FAIL = "fail", "Fail"

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="checks")
    name = models.CharField(max_length=30)
    level = models.CharField(max_length=4, choices=Level.choices, blank=True, help_text="Empty: never looked at.")
    found = models.CharField(max_length=300, blank=True)
    remedy = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField(null=True)
    asked = models.DateTimeField(null=True, help_text="Set while somebody waits for a new answer.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["channel", "name"], name="one_result_a_check")]

    def __str__(self) -> str:
        return f"{self.channel}: {self.name}"


class ChannelLimit(models.Model):
    """A member of staff who sees nothing of any channel but these. Without such a row a person sees all channels; with
    one that names none, none: whoever loses the last channel does not gain the others. Superusers see everything."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="channel_limit")
    channels = models.ManyToManyField(Channel, blank=True, related_name="+", help_text="None: no channel at all.")

    class Meta:
        verbose_name = "limit to channels"
        verbose_name_plural = "limits to channels"

    def __str__(self) -> str:
        return f"{self.user} sees chosen channels only"
