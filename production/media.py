"""Media behind the login, with byte ranges so that players can seek."""

import mimetypes
import re
from pathlib import Path
from typing import BinaryIO

from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotModified
from django.shortcuts import get_object_or_404
from django.utils.http import http_date, quote_etag

from channels_app import access
from channels_app.models import Channel
from production import workspace
from production.models import Take

RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")
BLOCK = 256 * 1024


@staff_member_required
@permission_required("production.view_task", raise_exception=True)
def take_file(request: HttpRequest, take_id: int) -> HttpResponseBase:
    """The file of a take; a take never changes once it is done, so browsers may keep it."""
    seen = access.seen_by(Take.objects.select_related("task__channel"), request.user)
    take = get_object_or_404(seen, pk=take_id, state=Take.State.DONE)
    path = workspace.file_of(take)
    if not path.is_file():
        raise Http404("The file has been removed with its workspace")
    return serve(request, path)


def signed_file(request: HttpRequest, name: str, _file: str) -> HttpResponseBase:
    """A take's file for a provider that was given its signed address."""
    take = workspace.signed_take(name)
    if take is None or not workspace.file_of(take).is_file():
        raise Http404("The address is not signed by us, too old, or its file is gone")
    return serve(request, workspace.file_of(take))


@staff_member_required
@permission_required("channels.view_channel", raise_exception=True)
def branding_file(request: HttpRequest, slug: str, name: str) -> HttpResponseBase:
    """A channel's intro, outro or watermark."""
    channel = get_object_or_404(access.seen_by(Channel.objects.all(), request.user), slug=slug)
    paths = [Path(file.path) for file in (channel.intro, channel.outro, channel.watermark) if file]
    found = next((path for path in paths if path.name == name and path.is_file()), None)
    if found is None:
        raise Http404("The channel has no such file")
    return serve(request, found)


def serve(request: HttpRequest, path: Path) -> HttpResponseBase:
    """200, 206 for a single byte range, 304 or 416. Django's FileResponse knows no ranges."""
    stat, kind = path.stat(), mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    etag = quote_etag(f"{stat.st_mtime_ns:x}-{stat.st_size:x}")
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Last-Modified": http_date(stat.st_mtime),
        "Cache-Control": "private, max-age=3600",
        "X-Content-Type-Options": "nosniff",
    }
    if etag in [tag.strip() for tag in request.headers.get("If-None-Match", "").split(",")]:
        return HttpResponseNotModified(headers=headers)
    wanted = request.headers.get("Range", "") if request.headers.get("If-Range", etag) == etag else ""
    span = _span(wanted, stat.st_size)
    if span is None:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{stat.st_size}"})
    first, last = span
    if RANGE.fullmatch(wanted):
        headers["Content-Range"] = f"bytes {first}-{last}/{stat.st_size}"
    headers["Content-Length"] = str(last - first + 1)
    status = 206 if "Content-Range" in headers else 200
    if request.method == "HEAD":
        return HttpResponse(status=status, headers=headers, content_type=kind)
    response = FileResponse(_Slice(path.open("rb"), first, last), status=status, headers=headers, content_type=kind)
    response.block_size = BLOCK
    return response


def _span(wanted: str, size: int) -> tuple[int, int] | None:
    """First and last byte; None: not satisfiable. Anything but one plain range means the whole file."""
    match = RANGE.fullmatch(wanted)
    if not match:
        return 0, size - 1
    if match[3]:
        return None if int(match[3]) == 0 or size == 0 else (max(size - int(match[3]), 0), size - 1)
    first, last = int(match[1]), min(int(match[2]) if match[2] else size - 1, size - 1)
    return (first, last) if first <= last else None


class _Slice:
    """Reads a part of a file."""

    def __init__(self, file: BinaryIO, first: int, last: int) -> None:
        self.file, self.left = file, last - first + 1
        file.seek(first)

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(self.left if size < 0 else min(size, self.left))
        self.left -= len(data)
        return data

    def close(self) -> None:
        self.file.close()
