"""Where files lie that a Notion row shows: uploads of Notion's own, or objects of an R2 or S3 bucket."""

import math
import mimetypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files import File
from storages.backends.s3 import S3Storage

from channels_app.models import Channel
from production import notion
from production.budget import Use
from production.errors import Kind, NotHereError, Trouble

MEGABYTE = 1024 * 1024
SINGLE = 20 * MEGABYTE  # bytes that Notion takes in one piece
PART = 10 * MEGABYTE  # of what is larger: 5 to 20 MB, and 1,000 of them
SECONDS = 60  # for a part to be sent and taken
ADDRESS = 2000  # characters of a URL that Notion takes
NAMES = ("S3_BUCKET", "S3_ENDPOINT_URL", "S3_REGION", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY")
Json = dict[str, Any]


# ---------------------------------------------------------------- Notion's own uploads


@dataclass(frozen=True)
class Upload:
    """How far one is, as Notion says it."""

    status: str
    sent: int

    @property
    def is_usable(self) -> bool:
        """Bytes may be sent to it: it has neither expired (nobody attached it within an hour) nor failed."""
        return self.status == "pending"


def most_bytes() -> int | None:
    """Of a file, as the workspace's plan has it: 5 MB where it is free. None where Notion does not say.
    Errors: Trouble."""
    with notion.asking("Notion workspace", Use.FILES) as api:
        bot = cast("Json", api.users.me()).get("bot") or {}
    most = (bot.get("workspace_limits") or {}).get("max_file_upload_size_in_bytes")
    return most if isinstance(most, int) else None


def begin(name: str, size: int) -> str:
    """An upload's id; nothing is sent yet. Errors: Trouble."""
    words: Json = {"filename": name, "content_type": _type(name), "mode": "single_part"}
    if size > SINGLE:
        words |= {"mode": "multi_part", "number_of_parts": math.ceil(size / PART)}
    with notion.asking(f"Upload of {name}", Use.FILES) as api:
        return str(cast("Json", api.file_uploads.create(**words))["id"])


def look(ref: str) -> Upload:
    """Errors: Trouble. One that Notion does not know any more has failed."""
    try:
        with notion.asking(f"Upload {ref}", Use.FILES) as api:
            found = cast("Json", api.file_uploads.retrieve(ref))
    except NotHereError:
        return Upload("failed", 0)
    return Upload(str(found.get("status")), int((found.get("number_of_parts") or {}).get("sent") or 0))


def send(ref: str, path: Path, name: str, *, sent: int, beat: Callable[[], None]) -> None:
    """The file's bytes, but for the parts that were `sent` before; `beat` is called after each. Errors: Trouble."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= SINGLE:
            _send_part(ref, name, file.read(), {})
            return
        file.seek(sent * PART)
        for number in range(sent + 1, math.ceil(size / PART) + 1):
            _send_part(ref, name, file.read(PART), {"part_number": str(number)})
            beat()
    with notion.asking(f"Upload of {name}", Use.FILES, seconds=SECONDS) as api:
        api.file_uploads.complete(ref)


def _send_part(ref: str, name: str, content: bytes, words: dict[str, str]) -> None:
    with notion.asking(f"Upload of {name}", Use.FILES, seconds=SECONDS) as api:
        api.file_uploads.send(ref, file=(name, content, _type(name)), **words)


def _type(name: str) -> str:
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


# ---------------------------------------------------------------- R2 and S3


class Bucket:
    """A channel's place in R2 or S3: its own where it has tokens of these names, else everybody's."""

    def __init__(self, channel: Channel) -> None:
        own = {token.name: token.value for token in channel.tokens.filter(name__in=NAMES)}
        said = {name: own.get(name) or getattr(settings, name) for name in NAMES}
        if lacks := [name for name in NAMES if not said[name] and name != "S3_ENDPOINT_URL"]:
            raise Trouble(Kind.PERMANENT, f"Set {', '.join(lacks)}, as settings or as tokens of the channel {channel}")
        self._storage = S3Storage(
            bucket_name=said["S3_BUCKET"],
            access_key=said["S3_ACCESS_KEY_ID"],
            secret_key=said["S3_SECRET_ACCESS_KEY"],
            endpoint_url=said["S3_ENDPOINT_URL"] or None,
            region_name=said["S3_REGION"],
            signature_version="s3v4",  # without it, addresses are signed in a way that R2 refuses
            default_acl=None,
            file_overwrite=True,  # a key names one take, so its content is always the same
            querystring_auth=True,
            client_config=_client(),
        )

    def put(self, key: str, path: Path) -> None:
        """Store the file, unless it is there. Errors: Trouble."""
        with _spoken(key), path.open("rb") as file:
            if not (self._storage.exists(key) and self._storage.size(key) == path.stat().st_size):
                self._storage.save(key, File(file))

    def delete(self, key: str) -> None:
        """One that is not there is no error. Errors: Trouble."""
        with _spoken(key):
            self._storage.delete(key)

    def address(self, key: str) -> str:
        """Signed, for S3_LINK. Errors: Trouble."""
        with _spoken(key):
            url = str(self._storage.url(key, expire=int(settings.S3_LINK.total_seconds())))
        if len(url) > ADDRESS:
            raise Trouble(Kind.PERMANENT, f"{key}: its signed address has more than the {ADDRESS} characters of Notion")
        return url


def _client() -> Config:
    """In place of the package's own, which would replace signature and addressing: checksums only where they must be,
    for R2 and its like; tries are ours."""
    return Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=10,
        read_timeout=SECONDS,
        retries={"total_max_attempts": 1},
    )


@contextmanager
def _spoken(key: str) -> Iterator[None]:
    """What the bucket's client raises, as Trouble; what it refuses will be refused again."""
    try:
        yield
    except ClientError as error:
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
        kind = Kind.PERMANENT if 400 <= status < 500 and status != 429 else Kind.TRANSIENT
        raise Trouble(kind, f"{key}: {error}"[:500]) from error
    except (BotoCoreError, Boto3Error) as error:
        raise Trouble(Kind.TRANSIENT, f"{key}: {error}"[:500]) from error
