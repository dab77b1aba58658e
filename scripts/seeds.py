"""Bringing a seed image to where the video service can fetch it: KIE's own upload, an address that somebody has signed
for it, or catbox. None costs anything."""

import uuid
from pathlib import Path
from urllib.parse import urlsplit

import environment
from contract import Failure
from pictures import as_jpeg, check_picture, decode, open_picture, read_picture
from web import Reply, free_put, free_upload, kind_of_status, mapping

MAX_BYTES = 10_000_000  # KIE's limit for a seed image
SIDE = 2560  # pixels: more than a clip has, and even noise of that size stays below the limit as a JPEG
SECONDS = 90
CATBOX_FILES = "https://files.catbox.moe/"


def upload(image: Path) -> str:
    """Upload the image by the way SEED_UPLOAD names (kie, signed or catbox) and return its public address."""
    way = environment.setting("SEED_UPLOAD", "kie")
    if way not in WAYS:
        raise Failure("permanent", f"SEED_UPLOAD is {way!r}, not one of {', '.join(WAYS)}")
    content = _seed(image)
    if way == "signed" and not environment.setting("SEED_PUT_URL") and content != image.read_bytes():
        raise Failure(
            "permanent", f"seed image {image} is no PNG or JPEG of at most 10 MB, and SEED_PUT_URL is not set"
        )
    suffix = ".png" if _is_png(content) else ".jpg"
    return WAYS[way](uuid.uuid4().hex + suffix, content)


def _is_png(content: bytes) -> bool:
    return content.startswith(b"\x89PNG")


def _seed(image: Path) -> bytes:
    """The image's own bytes if the service takes them, else the same picture as JPEG."""
    content = read_picture(image, "seed image")
    if content.startswith((b"\x89PNG", b"\xff\xd8")) and len(content) <= MAX_BYTES:
        check_picture(content, f"seed image {image}")
        if not _is_png(content):  # a JPEG has no sums: only unpacking, here to an eighth, shows that its end is missing
            decode(content, f"seed image {image}", near=(240, 135))
        return content
    picture = open_picture(image, "seed image", near=(SIDE, SIDE))
    picture.thumbnail((SIDE, SIDE))
    return as_jpeg(picture, 92)


def _to_kie(name: str, content: bytes) -> str:
    """KIE's stream upload. The same name would overwrite, or answer an older file from a cache: names are unique."""
    reply = free_upload(
        environment.address("KIE_UPLOAD_URL", "https://kieai.redpandaai.co") + "/api/file-stream-upload",
        service="KIE upload",
        headers={"Authorization": f"Bearer {environment.secret('KIE_API_KEY')}"},
        form={"uploadPath": "seeds", "fileName": name},
        files={"file": (name, content)},
        seconds=SECONDS,
    )
    answer = reply.json()
    url = mapping(answer.get("data")).get("downloadUrl")
    if not reply.ok or answer.get("code", 200) != 200 or not environment.is_web_address(url):
        raise _failure("KIE upload", reply, str(answer.get("msg") or answer.get("message") or ""))
    return str(url)


def _to_signed_address(_name: str, content: bytes) -> str:
    """An address signed for this image (S3, R2, or whoever serves it): put there first, unless it is there already."""
    url = environment.signed_address("SEED_URL")
    if environment.setting("SEED_PUT_URL"):
        reply = free_put(
            environment.signed_address("SEED_PUT_URL"),
            service="SEED_PUT_URL",
            headers={"Content-Type": "image/png" if _is_png(content) else "image/jpeg"},
            content=content,
            seconds=SECONDS,
        )
        if not reply.ok:
            why = f"SEED_PUT_URL: the image was not taken (HTTP {reply.status})"
            raise Failure(kind_of_status(reply.status), why, retry_after=reply.retry_after)
    return url


def _to_catbox(name: str, content: bytes) -> str:
    """catbox answers plain text, errors too: only a 2xx with the address of a file counts."""
    address = environment.address("CATBOX_URL", "https://catbox.moe/user/api.php")
    reply = free_upload(
        address,
        service="catbox",
        headers={"User-Agent": "Mozilla/5.0 (compatible; content-operations)"},
        form={"reqtype": "fileupload"},
        files={"fileToUpload": (name, content)},
        seconds=SECONDS,
    )
    text = reply.body.decode("utf-8", errors="replace").strip()
    real = urlsplit(address).hostname == "catbox.moe"
    if not reply.ok or not environment.is_web_address(text) or (real and not text.startswith(CATBOX_FILES)):
        raise _failure("catbox", reply, text[:200])
    return text


def _failure(service: str, reply: Reply, message: str) -> Failure:
    kind = "transient" if reply.ok else kind_of_status(reply.status)
    return Failure(
        kind, f"{service}: no address came back (HTTP {reply.status}) {message}", retry_after=reply.retry_after
    )


WAYS = {"kie": _to_kie, "signed": _to_signed_address, "catbox": _to_catbox}
