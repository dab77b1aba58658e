"""YouTube Data API v3: resumable uploads, videos, channels, thumbnails, and a page to watch the film on."""

import hashlib
import html
import re
import secrets
import time
from pathlib import Path

from flask import Flask, Response, request, send_from_directory
from werkzeug.exceptions import ClientDisconnected

from sandbox.books import Document
from sandbox.desk import HANG_UP, Desk, Reply, Sandbox, VendorError, bearer, iso, json_object, known_key
from sandbox.faults import Fault
from sandbox.google import account_of_access, channel_of
from sandbox.youtube_extras import (
    check_meters,
    delete_caption,
    error,
    insert_caption,
    insert_playlist_item,
    list_captions,
    list_playlist_items,
    page,
)

GRAIN = 256 * 1024  # bytes: chunks are multiples of this, and so is what survives a broken connection
READ = 64 * 1024
MAX_FILM = 256 * 1024**3
RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


def app(sandbox: Sandbox) -> Flask:
    desk = Desk(sandbox, "youtube", quota_error, cuts=False)
    desk.app.config["MAX_CONTENT_LENGTH"] = None  # films are streamed to disk
    _uploads(desk)
    _resources(desk)
    _belongings(desk)

    @desk.app.get("/watch")
    def watch() -> Response:
        return _watch_page(sandbox)

    @desk.app.get("/films/<name>")
    def film(name: str) -> Response:
        return send_from_directory(sandbox.folder("youtube/films"), name)

    return desk.app


def _uploads(desk: Desk) -> None:
    @desk.counter("POST", "/upload/youtube/v3/videos", "videos.insert")
    def begin() -> Reply:
        return _begin(desk)

    @desk.counter("PUT", "/upload/youtube/v3/videos", "upload")
    def send() -> Reply:
        return _receive(desk)

    @desk.counter("POST", "/upload/youtube/v3/thumbnails/set", "thumbnails.set")
    def thumbnail() -> Reply:
        return _thumbnail(desk.sandbox)


def _resources(desk: Desk) -> None:
    sandbox = desk.sandbox

    @desk.counter("GET", "/youtube/v3/videos", "videos.list")
    def videos() -> Reply:
        _account(sandbox, "videos.list")
        wanted = request.args.get("id", "").split(",")
        found = [video for each in wanted if (video := sandbox.books.get("youtube-video", each))]
        items = [_resource(sandbox, video, request.args.get("part", "")) for video in found]
        return Reply(body=page("youtube#videoListResponse", items))

    @desk.counter("PUT", "/youtube/v3/videos", "videos.update")
    def update() -> Reply:
        return _update(sandbox)

    @desk.counter("GET", "/youtube/v3/channels", "channels.list")
    def channels() -> Reply:
        account = _account(sandbox, "channels.list")
        snippet = {"title": account["title"], "description": "", "publishedAt": "2024-01-01T00:00:00Z"}
        item = {"kind": "youtube#channel", "etag": "sandbox", "id": account["channel_id"], "snippet": snippet}
        return Reply(body=page("youtube#channelListResponse", [item]))


def _belongings(desk: Desk) -> None:
    sandbox = desk.sandbox

    @desk.counter("POST", "/upload/youtube/v3/captions", "captions.insert")
    def add_captions() -> Reply:
        _account(sandbox, "captions.insert")
        return insert_caption(sandbox, _by_id(sandbox))

    @desk.counter("GET", "/youtube/v3/captions", "captions.list")
    def captions() -> Reply:
        _account(sandbox, "captions.list")
        return list_captions(sandbox)

    @desk.counter("DELETE", "/youtube/v3/captions", "captions.delete")
    def remove_captions() -> Reply:
        _account(sandbox, "captions.delete")
        return delete_caption(sandbox)

    @desk.counter("POST", "/youtube/v3/playlistItems", "playlistItems.insert")
    def add_to_playlist() -> Reply:
        _account(sandbox, "playlistItems.insert")
        return insert_playlist_item(sandbox, _by_id(sandbox), json_object() or {})

    @desk.counter("GET", "/youtube/v3/playlistItems", "playlistItems.list")
    def playlist() -> Reply:
        _account(sandbox, "playlistItems.list")
        return list_playlist_items(sandbox)


def _by_id(sandbox: Sandbox) -> Document:
    return {video["id"]: video for video in all_videos(sandbox)}


def _begin(desk: Desk) -> Reply:
    """Opens an upload session; its address is the Location header."""
    account = _account(desk.sandbox, "videos.insert")
    if request.args.get("uploadType") != "resumable":
        raise error(400, "mediaBodyRequired", "The request must begin a resumable upload.")
    body = json_object() or {}
    _check_metadata(body)
    total = int(request.headers.get("X-Upload-Content-Length") or 0)
    if total > MAX_FILM:
        raise error(400, "uploadTooLarge", "The film is too large.")
    session = secrets.token_urlsafe(24)
    kept = {"id": session, "total": total, "metadata": body, "channel": account["channel_id"], "video": ""}
    kept |= {"channel_title": account["title"], "parts": request.args.get("part", "")}
    desk.sandbox.books.put("youtube-session", session, kept)
    _part(desk.sandbox, session).touch()
    base = desk.sandbox.addresses["YOUTUBE_BASE_URL"]
    location = f"{base}upload/youtube/v3/videos?uploadType=resumable&upload_id={session}"
    headers = {"Location": location, "X-GUploader-UploadID": session}
    title = str((body.get("snippet") or {}).get("title", ""))
    return Reply(body="", headers=headers, ref=session, text=title)


def _receive(desk: Desk) -> Reply:
    """A chunk, or a question how far the upload is: 308 with what is stored, 200 with the video at the end."""
    sandbox = desk.sandbox
    session = sandbox.books.get("youtube-session", request.args.get("upload_id", ""))
    if session is None:
        raise error(404, "notFound", "Requested entity was not found.")
    if session["video"]:
        return _finished(sandbox, session)
    part = _part(sandbox, session["id"])
    asked = RANGE.fullmatch(request.headers.get("Content-Range", ""))
    length = request.content_length or 0
    if length:
        start, end, total = _span(asked, length, session["total"])
        _check_chunk(start, end, total, part.stat().st_size)
        if not _store(desk, part, start):
            return Reply(body="", status=503, accepted=False, ref=session["id"], note="cut")
        if part.stat().st_size == total:
            return _complete(sandbox, session, part)
    elif session["total"] and part.stat().st_size == session["total"]:
        return _complete(sandbox, session, part)
    stored = part.stat().st_size
    headers = {"Range": f"bytes=0-{stored - 1}"} if stored else {}
    return Reply(body="", status=308, headers=headers, ref=session["id"])


def _span(asked: re.Match[str] | None, length: int, total: int) -> tuple[int, int, int]:
    """First byte, last byte, length of the film; a body without a range is the whole film."""
    if asked is None:
        return 0, length - 1, total or length
    if asked[1] is None or int(asked[2]) - int(asked[1]) + 1 != length:
        raise error(400, "badRequest", "Content-Range does not fit Content-Length.")
    return int(asked[1]), int(asked[2]), total if asked[3] == "*" else int(asked[3])


def _check_chunk(start: int, end: int, total: int, stored: int) -> None:
    if start > stored:
        raise error(400, "badRequest", f"Expected byte {stored}, got byte {start}.")
    if end + 1 > total or (end + 1 < total and (end + 1 - start) % GRAIN):
        raise error(400, "badRequest", "Chunks must be multiples of 262144 bytes.")


def _store(desk: Desk, part: Path, start: int) -> bool:
    """Streams the body to disk; False when it broke off, by itself or by a planned fault."""
    cut = desk.fault("upload", "", "cut")
    left = cut.after_bytes if cut else None
    with part.open("r+b") as file:
        file.seek(start)
        file.truncate()
        try:
            while data := request.stream.read(READ if left is None else min(READ, left)):
                file.write(data)
                left = None if left is None else left - len(data)
        except (ClientDisconnected, ConnectionError):
            file.truncate(file.tell() // GRAIN * GRAIN)
            return False
        if cut:
            file.truncate(file.tell() // GRAIN * GRAIN)
            request.environ[HANG_UP]()
    return cut is None


def _complete(sandbox: Sandbox, session: Document, part: Path) -> Reply:
    """All bytes are here: the session becomes a video, once."""
    with part.open("rb") as film:
        sha256 = hashlib.file_digest(film, "sha256").hexdigest()
    with sandbox.books.transaction():
        session = sandbox.books.get("youtube-session", session["id"]) or session
        if not session["video"]:
            video = _new_video(session, sha256)
            part.rename(sandbox.folder("youtube/films") / f"{video['id']}.mp4")
            sandbox.books.put("youtube-video", video["id"], video)
            session["video"] = video["id"]
            sandbox.books.put("youtube-session", session["id"], session)
    return _finished(sandbox, session)


def _new_video(session: Document, sha256: str) -> Document:
    metadata = session["metadata"]
    snippet = {"title": "unknown", "description": "", "categoryId": "22"} | (metadata.get("snippet") or {})
    status = {"privacyStatus": "public", "license": "youtube", "embeddable": True} | (metadata.get("status") or {})
    made_for_kids = bool(status.get("selfDeclaredMadeForKids"))
    return {
        "id": secrets.token_urlsafe(8),
        "session": session["id"],
        "sha256": sha256,
        "bytes": session["total"],
        "at": time.time(),
        "snippet": snippet | {"channelId": session["channel"], "channelTitle": session["channel_title"]},
        "status": status | {"madeForKids": made_for_kids},
        "thumbnail": "",
    }


def _finished(sandbox: Sandbox, session: Document) -> Reply:
    video = sandbox.books.get("youtube-video", session["video"])
    assert video is not None
    body = _resource(sandbox, video, session["parts"] or "snippet,status")
    return Reply(body=body, ref=video["id"], text=f"{video['snippet']['title']} | sha256 {video['sha256']}")


def _resource(sandbox: Sandbox, video: Document, parts: str) -> Document:
    """The video as the API shows it: only the asked parts."""
    processed = time.time() >= video["at"] + sandbox.pace.now.processing
    shown: Document = {
        "snippet": video["snippet"] | {"publishedAt": iso(video["at"], timespec="seconds")},
        "status": video["status"] | {"uploadStatus": "processed" if processed else "uploaded"},
        "processingDetails": {"processingStatus": "succeeded" if processed else "processing"},
        "statistics": {"viewCount": "0", "likeCount": "0", "commentCount": "0"},
        "contentDetails": {"definition": "hd", "caption": "false"},
    }
    wanted = {each.strip() for each in parts.split(",")}
    head = {"kind": "youtube#video", "etag": video["sha256"][:27], "id": video["id"]}
    return head | {name: value for name, value in shown.items() if name in wanted}


def _update(sandbox: Sandbox) -> Reply:
    """Each named part is replaced as a whole: what is not sent is gone."""
    _account(sandbox, "videos.update")
    body = json_object() or {}
    video = sandbox.books.get("youtube-video", str(body.get("id")))
    if video is None:
        raise error(404, "videoNotFound", "The video that you are trying to update cannot be found.")
    parts = request.args.get("part", "").split(",")
    if "snippet" in parts:
        _check_metadata(body)
        if not (body.get("snippet") or {}).get("categoryId"):
            raise error(400, "invalidCategoryId", "The snippet.categoryId property is required.")
        video["snippet"] = body["snippet"] | {key: video["snippet"][key] for key in ("channelId", "channelTitle")}
    if "status" in parts:
        kept = {"madeForKids": bool((body.get("status") or {}).get("selfDeclaredMadeForKids"))}
        video["status"] = {"privacyStatus": "public"} | (body.get("status") or {}) | kept
    sandbox.books.put("youtube-video", video["id"], video)
    return Reply(body=_resource(sandbox, video, request.args.get("part", "")), ref=video["id"])


def _thumbnail(sandbox: Sandbox) -> Reply:
    _account(sandbox, "thumbnails.set")
    video = sandbox.books.get("youtube-video", request.args.get("videoId", ""))
    if video is None:
        raise error(404, "videoNotFound", "The video cannot be found.")
    data = request.get_data()
    if not data.startswith((b"\xff\xd8\xff", b"\x89PNG")):
        raise error(400, "invalidImage", "The provided image content is invalid.")
    suffix = "png" if data.startswith(b"\x89PNG") else "jpg"
    name = f"{video['id']}.{suffix}"
    (sandbox.folder("youtube/films") / name).write_bytes(data)
    sandbox.books.put("youtube-video", video["id"], video | {"thumbnail": name})
    address = f"{sandbox.addresses['YOUTUBE_BASE_URL']}films/{name}"
    items = [{"default": {"url": address, "width": 1280, "height": 720}}]
    return Reply(body={"kind": "youtube#thumbnailSetResponse", "etag": "sandbox", "items": items}, ref=video["id"])


def _watch_page(sandbox: Sandbox) -> Response:
    video = sandbox.books.get("youtube-video", request.args.get("v", ""))
    if video is None:
        return Response("This video isn't available.", 404)
    snippet = {key: html.escape(str(value)) for key, value in video["snippet"].items()}
    poster = f'poster="/films/{video["thumbnail"]}"' if video["thumbnail"] else ""
    shown = WATCH_PAGE.format(
        title=snippet["title"],
        description=snippet["description"].replace("\n", "<br>"),
        channel=snippet["channelTitle"],
        privacy=html.escape(str(video["status"]["privacyStatus"])),
        video=video["id"],
        poster=poster,
    )
    return Response(shown, content_type="text/html; charset=utf-8")


WATCH_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<style>body{{margin:0 auto;max-width:1100px;padding:24px;font:16px/1.5 system-ui;background:#0f0f0f;color:#f1f1f1}}
video{{width:100%;border-radius:12px;background:#000}}small{{color:#aaa}}
b{{background:#7a1f1f;padding:2px 8px;border-radius:6px}}</style>
<video src="/films/{video}.mp4" controls {poster}></video>
<h1>{title}</h1><p>{channel} · <small>{privacy}</small> · <b>SIMULATED</b></p><p>{description}</p></html>"""


def _check_metadata(body: Document) -> None:
    """YouTube's own limits; the description counts in bytes."""
    snippet, status = body.get("snippet") or {}, body.get("status") or {}
    title, description = str(snippet.get("title", "")), str(snippet.get("description", ""))
    tags = [str(tag) for tag in snippet.get("tags") or []]
    if not 0 < len(title) <= 100 or re.search("[<>]", title):
        raise error(400, "invalidTitle", "The request metadata specifies an invalid or empty video title.")
    if len(description.encode()) > 5000 or re.search("[<>]", description):
        raise error(400, "invalidDescription", "The request metadata specifies an invalid video description.")
    if sum(len(tag) + 2 * (" " in tag) for tag in tags) + max(len(tags) - 1, 0) > 500:
        raise error(400, "invalidTags", "The request metadata specifies invalid video keywords.")
    if status.get("privacyStatus", "private") not in ("private", "public", "unlisted"):
        raise error(400, "invalidVideoMetadata", "The request metadata is invalid.")
    if "publishAt" in status and status.get("privacyStatus") != "private":
        raise error(400, "invalidPublishAt", "The request metadata specifies an invalid scheduled publishing time.")


def _account(sandbox: Sandbox, operation: str) -> Document:
    """The account of the request's token; raises 401, and 403 where its day is used up.

    A key made by hand (`sandbox-...`) is its own account.
    """
    token = bearer()
    account = account_of_access(sandbox, token)
    if account is None and known_key(token) and not str(token).startswith("sandbox-access-"):
        account = channel_of(sandbox, str(token))
    if account is None:
        raise error(401, "authError", "Request had invalid authentication credentials.")
    check_meters(sandbox, operation)
    return account


def _part(sandbox: Sandbox, session: str) -> Path:
    return sandbox.folder("youtube/sessions") / f"{session}.part"


def quota_error(fault: Fault) -> VendorError:
    if fault.daily:
        return error(403, "quotaExceeded", "The request cannot be completed because you have exceeded your quota.")
    return error(403, "rateLimitExceeded", "The request was sent too often.")


def all_videos(sandbox: Sandbox) -> list[Document]:
    """Every video as kept: sha256, bytes, snippet, status, session."""
    return sandbox.books.all("youtube-video")
