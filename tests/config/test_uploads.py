"""Files in forms: a stranger's never reach the disk, staff's are bounded."""

from pathlib import Path

import pytest
from django.core.files import temp
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from tests.factories import make_operator

pytestmark = pytest.mark.django_db
LARGE = b"x" * 3_000_000  # Django keeps 2.5 MB in memory


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often a temporary file was begun."""
    begun: list[int] = []
    real = temp.NamedTemporaryFile
    monkeypatch.setattr(temp, "NamedTemporaryFile", lambda *a, **w: begun.append(1) or real(*a, **w))
    return begun


def test_file_of_a_stranger_is_refused_before_it_is_written(written: list[int], settings: Settings, tmp_path: Path):
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path
    stranger = Client(enforce_csrf_checks=True)
    stranger.cookies["csrftoken"] = "a" * 32
    answer = stranger.post(reverse("admin:login"), {"file": SimpleUploadedFile("x.bin", LARGE)})
    assert answer.status_code == 403
    assert not written


def test_file_of_staff_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("config.uploads.MOST_BRANDING", 1_000_000)
    client = Client()
    client.force_login(make_operator())
    answer = client.post(reverse("admin:channels_channel_add"), {"intro": SimpleUploadedFile("x.mp4", LARGE)})
    assert answer.status_code in (400, 413)
