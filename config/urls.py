"""Every address of the system."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from production import api, callbacks, health, media, webhook

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("health", health.health, name="health"),
    path("ready", health.ready, name="ready"),
    path("api/", api.api.urls),
    path("webhook/notion", webhook.notion, name="webhook-notion"),
    path("callback/<uuid:token>", callbacks.callback, name="callback"),
    path("media/take/<int:take_id>", media.take_file, name="take-file"),
    path("media/take/<int:take_id>/poster", media.take_poster, name="take-poster"),
    path("media/take/<int:take_id>/captions.vtt", media.take_captions, name="take-captions"),
    path("media/signed/<str:name>/<str:_file>", media.signed_file, name="signed-file"),
    path("media/channel/<slug:slug>/<str:name>", media.branding_file, name="branding-file"),
]
