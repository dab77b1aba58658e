"""What an upload to the real YouTube needs."""

from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, register

from production.providers import is_own_address


@register()
def google_client_is_set(**kwargs: Any) -> list[CheckMessage]:
    if not is_own_address("YOUTUBE_BASE_URL"):
        return []
    return [
        checks.Warning(f"{name} is empty.", hint="Create an OAuth client at Google Cloud.", id="publishing.W001")
        for name in ("GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET")
        if not getattr(settings, name)
    ]
