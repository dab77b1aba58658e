"""Files in forms: a stranger's never reach the disk, staff's are bounded."""

from pathlib import Path
from typing import Any

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


def send_files(monkeypatch: pytest.MonkeyPatch, most: int, **sizes: int) -> Any:
    """What the form of a new channel answers to an intro and an outro of that many bytes."""
    for place in ("config.uploads", "channels_app.branding"):
        monkeypatch.setattr(f"{place}.MOST_BRANDING", most)
    client = Client()
    client.force_login(make_operator())
    files = {name: SimpleUploadedFile(f"{name}.mp4", b"x" * size) for name, size in sizes.items()}
    return client.post(reverse("admin:channels_channel_add"), files)


def test_file_of_staff_is_bounded(monkeypatch: pytest.MonkeyPatch):
    assert send_files(monkeypatch, 500_000, intro=3_000_000).status_code in (400, 413)


def test_files_of_one_form_are_bounded_one_by_one(monkeypatch: pytest.MonkeyPatch):
    answer = send_files(monkeypatch, 3_000_000, intro=2_900_000, outro=3_100_000)
    errors = answer.context["adminform"].form.errors
    assert (answer.status_code, errors["intro"]) == (200, ["intro.mp4 is not a readable video."])
    assert errors["outro"] == ["outro.mp4 has over 3 MB; make it shorter."]


def test_channel_form_says_how_large_a_file_may_be():
    client = Client()
    client.force_login(make_operator())
    page = client.get(reverse("admin:channels_channel_add")).content.decode()
    assert page.count("At most 500 MB.") == 3
