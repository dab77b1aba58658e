"""Where a film goes: the channel's YouTube account, and the upload with its session."""

from django.db import models
from django.utils import timezone

from channels_app.fields import SecretTextField
from channels_app.models import Channel, Privacy
from production.models import Take, Task


class YouTubeAccount(models.Model):
    """The right to upload to one YouTube channel. The token is never shown."""

    channel = models.OneToOneField(Channel, on_delete=models.CASCADE, related_name="youtube")
    youtube_channel_id = models.CharField(
        max_length=40, blank=True, help_text="Locked at connect; an upload to another channel is refused."
    )
    refresh_token = SecretTextField()
    access_token = SecretTextField(blank=True, default="")
    expires = models.DateTimeField(null=True, editable=False)
    trouble = models.CharField(max_length=300, blank=True, help_text="Why uploads of this channel wait: reconnect it.")
    connected = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "YouTube account"

    def __str__(self) -> str:
        return f"{self.channel} on YouTube"


class Upload(models.Model):
    """One film on its way to YouTube. The session is stored before the first byte and asked before any byte is sent
    again, so that a crash at any point never makes a second video (FR63)."""

    film = models.OneToOneField(Take, on_delete=models.PROTECT, related_name="upload", help_text="Goes up once.")
    take = models.ForeignKey(Take, on_delete=models.PROTECT, related_name="+", help_text="Who is at it, or was last.")
    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="uploads")
    session_uri = SecretTextField(blank=True, default="", editable=False)
    size = models.PositiveBigIntegerField(help_text="Bytes.")
    sent = models.PositiveBigIntegerField(default=0, help_text="Bytes that YouTube has stored.")
    offered = models.PositiveBigIntegerField(default=0, help_text="Bytes that were sent or about to be.")
    video_id = models.CharField(max_length=40, blank=True)
    url = models.URLField(blank=True)
    privacy = models.CharField(max_length=10, choices=Privacy.choices)
    lacks = models.CharField(
        max_length=300, blank=True, help_text="What YouTube did not take besides the film, and why."
    )
    started = models.DateTimeField(default=timezone.now)
    finished = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["video_id"], condition=~models.Q(video_id=""), name="one_upload_a_youtube_video"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task} → {self.url or 'YouTube'}"
