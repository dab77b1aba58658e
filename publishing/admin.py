"""YouTube accounts and uploads. No token and no session address ever reaches a page."""

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from channels_app.admin import WriteOnlyForm
from production.admin.base import HouseAdmin, LookOnlyAdmin, bar, moment, outward, pill, task_link
from publishing.models import Upload, YouTubeAccount


class AccountForm(WriteOnlyForm):
    secret = "refresh_token"  # noqa: S105 - the field's name

    class Meta:
        model = YouTubeAccount
        fields = ("channel", "youtube_channel_id", "refresh_token")
        help_texts = {
            "refresh_token": "From a consent with the scopes youtube.upload and youtube.force-ssl; docs/quickstart.md "
            "says how to get one."
        }


@admin.register(YouTubeAccount)
class YouTubeAccountAdmin(HouseAdmin):
    form = AccountForm
    list_display = ("channel", "youtube_channel_id", "health", "since", "until")
    list_select_related = ("channel",)
    fields = ("channel", "youtube_channel_id", "refresh_token", "health", "since", "until")
    readonly_fields = ("health", "since", "until")

    def save_model(self, request: HttpRequest, obj: YouTubeAccount, form: AccountForm, change: bool) -> None:  # noqa: FBT001
        """A new consent: the access that the former one gave is forgotten."""
        if "refresh_token" in form.changed_data:
            obj.access_token, obj.expires, obj.trouble, obj.connected = "", None, "", timezone.now()
        super().save_model(request, obj, form, change)

    @admin.display(description="State")
    def health(self, account: YouTubeAccount) -> SafeString:
        return pill("error", account.trouble) if account.trouble else pill("done", "Connected")

    since = moment("connected", "Connected")
    until = moment("expires", "Access runs out")


@admin.register(Upload)
class UploadAdmin(LookOnlyAdmin):
    list_display = ("about", "far", "privacy", "video", "begun", "ended")
    list_display_links = ("begun",)  # the first one is a link of its own
    list_select_related = ("task",)
    list_filter = ("privacy",)
    fields = ("about", "far", "privacy", "video", "video_id", "lacks", "started", "finished", "film", "take")
    readonly_fields = ("about", "far", "video")

    @admin.display(description="Task")
    def about(self, upload: Upload) -> SafeString:
        return task_link(upload.task)

    @admin.display(description="Sent")
    def far(self, upload: Upload) -> SafeString:
        sent = upload.size if upload.finished else upload.sent
        return bar(sent, upload.size, f"{sent / 1e6:.1f} of {upload.size / 1e6:.1f} MB")

    @admin.display(description="Video")
    def video(self, upload: Upload) -> SafeString | str:
        return outward(upload.url)

    begun = moment("started", "Started")
    ended = moment("finished", "Finished")
