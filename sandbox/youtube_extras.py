"""What belongs to a video on YouTube: captions, sent as a multipart message, and places in playlists."""

import email
import email.policy
import json
import secrets
import time
from datetime import datetime
from email.message import Message
from typing import Any
from zoneinfo import ZoneInfo

from flask import request

from sandbox.books import Document
from sandbox.desk import Reply, Sandbox, VendorError, iso

PACIFIC = ZoneInfo("America/Los_Angeles")
UPLOADS_A_DAY = 100
UNITS_A_DAY = 10_000
# Units of the day's second meter; what isn't named costs one. videos.insert has its own meter, chunks cost nothing.
UNITS = {"videos.update": 50, "thumbnails.set": 50, "captions.insert": 400, "captions.list": 50}
UNITS |= {"captions.delete": 50, "playlistItems.insert": 50, "upload": 0, "videos.insert": 0}


def error(status: int, reason: str, message: str) -> VendorError:
    each: Any = {"message": message, "domain": "youtube", "reason": reason}
    body: Document = {"code": status, "message": message, "errors": [each]}
    if status == 401:
        body["status"] = "UNAUTHENTICATED"
    return VendorError(status, {"error": body})


def check_meters(sandbox: Sandbox, operation: str) -> None:
    """Raises quotaExceeded where limits hold and the uploads or units since midnight Pacific are used up."""
    if not sandbox.limits.on:
        return
    now = datetime.fromtimestamp(time.time(), PACIFIC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    today = [call["operation"] for call in sandbox.books.calls("youtube") if call["at"] >= midnight]
    uploads = today.count("videos.insert")
    units = sum(UNITS.get(each, 1) for each in today) + UNITS.get(operation, 1)
    if (operation == "videos.insert" and uploads >= UPLOADS_A_DAY) or (units > UNITS_A_DAY and UNITS.get(operation, 1)):
        raise error(403, "quotaExceeded", "The request cannot be completed because you have exceeded your quota.")


def insert_caption(sandbox: Sandbox, videos: Document) -> Reply:
    """A caption track out of a multipart/related message: its snippet as JSON, then the file. videos: by id."""
    snippet, track = _message()
    video, language = str(snippet.get("videoId", "")), str(snippet.get("language", ""))
    if video not in videos:
        raise error(404, "videoNotFound", "The video identified by the videoId parameter could not be found.")
    if not language or len(str(snippet.get("name", ""))) > 150:
        raise error(400, "invalidMetadata", "The request contains invalid metadata values.")
    if not track.strip():
        raise error(400, "contentRequired", "The request does not contain the caption track's contents.")
    same = [each for each in _captions(sandbox, video) if each["snippet"]["language"] == language]
    if any(each["snippet"]["name"] == snippet.get("name", "") for each in same):
        raise error(409, "captionExists", "The specified video already has a caption track with the given language.")
    kept = snippet | {"name": snippet.get("name", ""), "trackKind": "standard", "status": "serving"}
    kept |= {"isDraft": bool(snippet.get("isDraft")), "lastUpdated": iso(timespec="seconds")}
    item: Document = {"kind": "youtube#caption", "etag": "sandbox", "id": secrets.token_urlsafe(16), "snippet": kept}
    sandbox.books.put("youtube-caption", item["id"], item | {"track": track})
    return Reply(body=item, ref=item["id"], text=f"{video} {language}")


def list_captions(sandbox: Sandbox) -> Reply:
    return Reply(body=page("youtube#captionListResponse", _captions(sandbox, request.args.get("videoId", ""))))


def delete_caption(sandbox: Sandbox) -> Reply:
    key = request.args.get("id", "")
    if sandbox.books.get("youtube-caption", key) is None:
        raise error(404, "captionNotFound", "The caption track could not be found.")
    sandbox.books.forget("youtube-caption", key)
    return Reply(status=204, body="", ref=key)


def _captions(sandbox: Sandbox, video: str) -> list[Document]:
    kept = [each for each in sandbox.books.all("youtube-caption") if each["snippet"]["videoId"] == video]
    return [{key: each[key] for key in each if key != "track"} for each in kept]


def _message() -> tuple[Document, str]:
    """The snippet and the file of a multipart/related body, or of a plain JSON body the snippet alone."""
    head = f"Content-Type: {request.content_type}\r\n\r\n".encode()
    whole = email.message_from_bytes(head + request.get_data(), policy=email.policy.HTTP)
    parts = whole.get_payload() if whole.is_multipart() else [whole]
    found = [part.get_payload(decode=True) for part in parts if isinstance(part, Message)]
    texts = [content.decode(errors="replace") for content in found if isinstance(content, bytes)]
    try:
        snippet = json.loads(texts[0])["snippet"]
    except (ValueError, KeyError, TypeError, IndexError):
        raise error(400, "invalidMetadata", "The request contains invalid metadata values.") from None
    return snippet, "".join(texts[1:2])


def insert_playlist_item(sandbox: Sandbox, videos: Document, body: Document) -> Reply:
    snippet = body.get("snippet") or {}
    playlist, resource = str(snippet.get("playlistId", "")), snippet.get("resourceId") or {}
    if not playlist:
        raise error(400, "playlistIdRequired", "The request does not specify a playlist.")
    if playlist.startswith("missing"):
        raise error(404, "playlistNotFound", "The playlist identified with the playlistId parameter cannot be found.")
    if resource.get("videoId") not in videos:
        raise error(404, "videoNotFound", "The video that you are trying to add to the playlist cannot be found.")
    kept: Document = {"playlistId": playlist, "resourceId": {"kind": "youtube#video", "videoId": resource["videoId"]}}
    kept |= {"position": len(_items(sandbox, playlist)), "publishedAt": iso(time.time(), timespec="seconds")}
    item: Document = {
        "kind": "youtube#playlistItem",
        "etag": "sandbox",
        "id": secrets.token_urlsafe(16),
        "snippet": kept,
    }
    sandbox.books.put("youtube-playlist-item", item["id"], item)
    return Reply(body=item, ref=item["id"], text=f"{playlist} {resource['videoId']}")


def list_playlist_items(sandbox: Sandbox) -> Reply:
    found = _items(sandbox, request.args.get("playlistId", ""))
    size, start = request.args.get("maxResults", 5, int), request.args.get("pageToken", 0, int)
    more = {"nextPageToken": str(start + size)} if start + size < len(found) else {}
    body = page("youtube#playlistItemListResponse", found[start : start + size]) | more
    return Reply(body=body | {"pageInfo": {"totalResults": len(found), "resultsPerPage": size}})


def _items(sandbox: Sandbox, playlist: str) -> list[Document]:
    items = sandbox.books.all("youtube-playlist-item")
    mine = [each for each in items if each["snippet"]["playlistId"] == playlist]
    return sorted(mine, key=lambda each: each["snippet"]["position"])


def page(kind: str, items: list[Document]) -> Document:
    info = {"totalResults": len(items), "resultsPerPage": max(len(items), 5)}
    return {"kind": kind, "etag": "sandbox", "pageInfo": info, "items": items}
