"""What we write to Notion's rows, each time: what, when, and how it was answered.

Written down by the HTTP client itself, before the request is sent: no write can go past it, and one that a dying
process has sent stands there without an answer.
"""

import datetime as dt
import json
import re
from typing import Any

import httpx
from django.utils import timezone

from production import values
from production.models import NotionWrite
from production.outside import storable
from production.values import as_object

ROW = re.compile(r"/v1/pages(?:/(?P<id>[0-9a-f-]{32,36}))?$")
CHANGES = ("PATCH", "POST")
MARK = "letter"  # on the request, until its answer comes
KEEP = dt.timedelta(days=90)


def note(request: httpx.Request) -> None:
    """Before it is sent."""
    row = ROW.search(request.url.path)
    if row and request.method in CHANGES:
        said = values.in_words(_json(request.content).get("properties"))
        request.extensions[MARK] = NotionWrite.objects.create(page_id=row["id"] or "", said=said).pk


def answered(response: httpx.Response) -> None:
    """A row that was made by it has its id only now."""
    if letter := response.request.extensions.get(MARK):
        body = _json(response.read())
        made = {"page_id": str(body["id"])[:36]} if body.get("object") == "page" and body.get("id") else {}
        trouble = "" if response.is_success else str(storable(str(body.get("message", ""))))[:500]
        NotionWrite.objects.filter(pk=letter).update(status=response.status_code, answer=trouble, **made)


def forget() -> None:
    """What is older than KEEP."""
    NotionWrite.objects.filter(at__lt=timezone.now() - KEEP).delete()


def _json(content: bytes) -> dict[str, Any]:
    try:
        return as_object(json.loads(content))
    except (ValueError, RecursionError):
        return {}
