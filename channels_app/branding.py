"""What every film of a channel carries: intro, outro, watermark. The files lie in the channel's workspace folder, where
every machine that assembles films finds them."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import av
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.storage import FileSystemStorage
from django.db.models.fields.files import FieldFile
from django.urls import reverse
from django.utils.deconstruct import deconstructible
from PIL import Image

if TYPE_CHECKING:
    from channels_app.models import Channel

MOST_BRANDING = 500_000_000  # bytes of a file
FOLDER = "branding"
PICTURES = ("PNG", "JPEG", "WEBP")  # what assembly reads
# Files that are whole in themselves. A playlist by the name of intro.mp4 (DASH, concat, SDP) would have other files of
# this machine opened, or a port on which we would wait for ever.
WHOLE = {"format_whitelist": "mov,mp3,wav,matroska,ogg,flac,aac,avi,mpegts"}


@deconstructible
class BrandingStorage(FileSystemStorage):
    """Below WORKSPACE_ROOT; seen behind the login only. A name is never used again, so a new file is a new film."""

    @property
    def base_location(self) -> str:
        return str(settings.WORKSPACE_ROOT)

    @property
    def location(self) -> str:
        return str(Path(self.base_location).resolve())

    def url(self, name: str | None) -> str:
        return reverse("branding-file", args=str(name).split(f"/{FOLDER}/", 1))


def place(channel: "Channel", name: str) -> str:
    """Where an uploaded file goes."""
    return f"{channel.slug}/{FOLDER}/{name}"


def require_video(file: FieldFile) -> None:
    """Errors: ValidationError unless it is a video whose first picture can be decoded."""
    _require(file, _decode_first_picture, "is not a readable video")


def require_picture(file: FieldFile) -> None:
    """Errors: ValidationError unless it is a sound PNG, JPEG or WebP."""
    _require(file, _verify_picture, "is not a readable PNG, JPEG or WebP")


def _require(file: FieldFile, look: Callable[[FieldFile], None], otherwise: str) -> None:
    """Only what has just been uploaded: what is stored was looked at when it came."""
    if getattr(file, "_committed", True):
        return
    if file.size > MOST_BRANDING:
        raise ValidationError(f"{file.name} has over {MOST_BRANDING // 1_000_000} MB; make it shorter.")
    try:
        look(file)
    except (av.FFmpegError, OSError, SyntaxError, ValueError, IndexError, StopIteration, Image.DecompressionBombError):
        raise ValidationError(f"{file.name} {otherwise}.") from None
    finally:
        file.seek(0)


def _decode_first_picture(file: FieldFile) -> None:
    with av.open(file.file, "r", options=WHOLE) as container:
        next(container.decode(video=0))


def _verify_picture(file: FieldFile) -> None:
    with Image.open(file.file, formats=PICTURES) as picture:
        picture.verify()
