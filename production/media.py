"""Media behind the login, with byte ranges so that players can seek."""

import mimetypes
import re
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.utils.encoding import filepath_to_uri
from django.utils.http import http_date, quote_etag
from django.views.decorators.http import require_safe

from channels_app import access
from channels_app.models import Channel
from production import facts, looking, workspace
from production.models import Take

RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")
BLOCK = 256 * 1024
# Bytes of one answer to a player. It asks for the rest of the file and then stops reading where it has enough: each of
# them would hold a thread of the web server for as long as its page is open.
PART = 2 * 1024 * 1024
HOUR, FOR_EVER = "private, max-age=3600", "private, max-age=31536000, immutable"


def visible_take(request: HttpRequest, take_id: int) -> Take:
    """The finished take, if this person may look at it. Errors: Http404, PermissionDenied."""
    if not request.user.has_perm("production.view_task"):
        raise PermissionDenied
    seen = access.seen_by(Take.objects.select_related("task__channel"), request.user)
    return get_object_or_404(seen, pk=take_id, state=Take.State.DONE)


@require_safe
@staff_member_required
def take_file(request: HttpRequest, take_id: int) -> HttpResponseBase:
    """The file of a take; a take never changes once it is done, so browsers may keep it."""
    take = visible_take(request, take_id)
    return serve(request, workspace.file_of(take), etag=take.sha256, most=PART)


@require_safe
@staff_member_required
def take_poster(request: HttpRequest, take_id: int) -> HttpResponseBase:
    """The small picture that stands for a take; of an image that has none, the image itself."""
    take = visible_take(request, take_id)
    path = workspace.file_of(take)
    poster = looking.poster_of(path)
    if take.piece.suffix == ".png" and not poster.is_file():
        return serve(request, path, etag=take.sha256)
    return serve(request, poster, etag=f"{take.sha256}-poster")


@require_safe
@staff_member_required
def take_captions(request: HttpRequest, take_id: int) -> HttpResponseBase:
    """The captions of a film as its player reads them."""
    take = visible_take(request, take_id)
    srt = facts.captions_of(take)
    if srt is None:
        raise Http404("The film has no captions")
    etag = quote_etag(f"{take.sha256}-captions")
    headers = {"ETag": etag, "Cache-Control": FOR_EVER, "X-Content-Type-Options": "nosniff"}
    response = HttpResponse(facts.as_vtt(srt), content_type="text/vtt; charset=utf-8", headers=headers)
    return get_conditional_response(request, etag=etag, response=response) or response


@require_safe
def signed_file(request: HttpRequest, name: str, _file: str) -> HttpResponseBase:
    """A take's file for a provider that was given its signed address."""
    take = workspace.signed_take(name)
    if take is None:
        raise Http404("The address is not signed by us, or too old")
    return serve(request, workspace.file_of(take), etag=take.sha256)


@require_safe
@staff_member_required
@permission_required("channels.view_channel", raise_exception=True)
def branding_file(request: HttpRequest, slug: str, name: str) -> HttpResponseBase:
    """A channel's intro, outro or watermark."""
    channel = get_object_or_404(access.seen_by(Channel.objects.all(), request.user), slug=slug)
    paths = [Path(file.path) for file in (channel.intro, channel.outro, channel.watermark) if file]
    found = next((path for path in paths if path.name == name), None)
    if found is None:
        raise Http404("The channel has no such file")
    return serve(request, found, most=PART)


# ---------------------------------------------------------------- served


def serve(request: HttpRequest, path: Path, *, etag: str = "", most: int = 0) -> HttpResponseBase:
    """200, 206 for a single byte range, 304, 404, 412 or 416. `etag` names a content that never changes. `most`: bytes
    of an answer to a range, for whoever asks for the next one by itself; 0: all. Django's FileResponse knows no ranges.
    """
    try:
        stat = path.stat()
        headers = _headers(path, etag or f"{stat.st_mtime_ns:x}-{stat.st_size:x}", stat.st_mtime)
        headers["Cache-Control"] = FOR_EVER if etag else HOUR
        if handed_on := _handed_on(path, headers):
            return handed_on
        plain = HttpResponse(headers=headers)
        answer = get_conditional_response(request, headers["ETag"], int(stat.st_mtime), plain)
        if answer is not None and answer is not plain:
            return answer
        return _answer(request, path, stat.st_size, headers, most)
    except OSError as gone:
        raise Http404("The file has been removed with its workspace") from gone


def _headers(path: Path, etag: str, changed: float) -> dict[str, str]:
    return {
        "Content-Type": _kind(path.name),
        "Accept-Ranges": "bytes",
        "ETag": quote_etag(etag),
        "Last-Modified": http_date(changed),
        "X-Content-Type-Options": "nosniff",
    }


def _kind(name: str) -> str:
    """What a browser is told that it is. Of anything but media: bytes. A file may be a film and a page in one, and what
    somebody has uploaded as intro.html must not be a page of ours."""
    kind = mimetypes.guess_type(name)[0] or ""
    is_media = kind.startswith(("image/", "audio/", "video/")) and "xml" not in kind
    return kind if is_media else "application/octet-stream"


def _handed_on(path: Path, headers: dict[str, str]) -> HttpResponse | None:
    """To a proxy that serves the workspaces by itself, ranges and all (nginx: X-Accel-Redirect)."""
    if not settings.ACCEL_PREFIX or not path.is_relative_to(settings.WORKSPACE_ROOT):
        return None
    inside = filepath_to_uri(str(path.relative_to(settings.WORKSPACE_ROOT)))
    kept = {name: headers[name] for name in ("Content-Type", "Cache-Control", "X-Content-Type-Options")}
    return HttpResponse(headers=kept | {"X-Accel-Redirect": f"{settings.ACCEL_PREFIX}{inside}"})


def _answer(request: HttpRequest, path: Path, size: int, headers: dict[str, str], most: int) -> HttpResponseBase:
    known = request.headers.get("If-Range", headers["ETag"]) in (headers["ETag"], headers["Last-Modified"])
    wanted = request.headers.get("Range", "") if known else ""
    span = _span(wanted, size)
    if span is None:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    first, last = span
    is_part = bool(RANGE.fullmatch(wanted))
    if is_part:
        last = min(last, first + most - 1) if most else last
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    headers["Content-Length"] = str(last - first + 1)
    status = 206 if is_part else 200
    if request.method == "HEAD":
        return HttpResponse(status=status, headers=headers)
    kind = headers.pop("Content-Type")
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
