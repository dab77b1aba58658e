"""Files in forms: a stranger's never reach the disk, staff's are bounded."""

from pathlib import Path

import pytest
from django.core.files import temp
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from tests.factories import make_operator, make_staff, make_task

pytestmark = pytest.mark.django_db
LARGE = b"x" * 3_000_000  # Django keeps 2.5 MB in memory


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often a temporary file was begun."""
    begun: list[int] = []
    real = temp.NamedTemporaryFile
    monkeypatch.setattr(temp, "NamedTemporaryFile", lambda *a, **w: begun.append(1) or real(*a, **w))
    return begun


def stranger() -> Client:
    """Somebody's browser, whose forms are read for their token before anything else."""
    client = Client(enforce_csrf_checks=True)
    client.cookies["csrftoken"] = "a" * 32
    return client


def test_file_of_a_stranger_is_refused_before_it_is_written(written: list[int], settings: Settings, tmp_path: Path):
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path
    answer = stranger().post(reverse("admin:login"), {"file": SimpleUploadedFile("x.bin", LARGE)})
    assert answer.status_code == 403
    assert not written


def test_refusal_says_to_log_in_again_and_leads_back():
    url = reverse("admin:channels_channel_add")
    answer = stranger().post(url, {"intro": SimpleUploadedFile("x.mp4", b"x")})
    page = answer.content.decode()
    assert answer.status_code == 403
    assert f'href="{reverse("admin:login")}?next={url}"' in page
    assert "log in, then send it again" in page
    assert "unsafe-inline" not in answer["Content-Security-Policy"]
    assert "<style" not in page
    assert "style=" not in page


def test_refusal_of_who_is_logged_in_says_as_whom():
    client = Client()
    client.force_login(make_staff("view_task", username="luis"))
    answer = client.post(reverse("admin:production_task_review", args=[make_task().pk]), {"verb": "retry"})
    assert answer.status_code == 403
    assert "logged in as <strong>luis</strong>" in answer.content.decode()


def test_file_of_staff_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("config.uploads.MOST_BRANDING", 1_000_000)
    client = Client()
    client.force_login(make_operator())
    answer = client.post(reverse("admin:channels_channel_add"), {"intro": SimpleUploadedFile("x.mp4", LARGE)})
    assert answer.status_code in (400, 413)
