"""Files in forms: from staff only, and bounded. Django would write a stranger's to the disk, then refuse the form."""

from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler
from django.db.models import FileField

from channels_app.branding import MOST_BRANDING
from channels_app.documents import FIELDS


class FilesOfStaff(FileUploadHandler):
    """The first in line: it keeps nothing, and the others see no byte that it has not let pass."""

    def handle_raw_input(  # type: ignore[override] # whose names are kept for no caller
        self, _content: Any, _headers: Any, length: int, *_: Any, **__: Any
    ) -> None:
        """Errors: RequestDataTooBig."""
        if length > _most():
            raise RequestDataTooBig(f"A form over {_most()} bytes")

    def new_file(self, *args: Any, **words: Any) -> None:
        """Errors: PermissionDenied."""
        super().new_file(*args, **words)
        if not (self.request and self.request.user.is_staff):
            raise PermissionDenied("Only staff may send files")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None


def _most() -> int:
    """Bytes of the largest form: a channel's with all its files, each of which its own field bounds, and words."""
    files = sum(isinstance(field, FileField) for field in FIELDS.values())
    return files * MOST_BRANDING + int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
