"""A channel's intro, outro and watermark: looked at when they come, kept by the channel, seen behind the login."""

import pytest
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from pytest_django import Settings

from channels_app.models import Channel
from tests.factories import make_channel, media
from tests.media import picture

pytestmark = pytest.mark.django_db


def uploaded(**files: bytes) -> Channel:
    channel = make_channel()
    for name, content in files.items():
        setattr(channel, name, SimpleUploadedFile(f"{name}.bin", content))
    return channel


def test_branding_is_kept_with_the_channel(settings: Settings):
    channel = uploaded(intro=media(".mp4", 1), watermark=picture())
    channel.full_clean()
    channel.save()
    kept = Channel.objects.get(pk=channel.pk)
    kept.full_clean()
    assert kept.intro.path == str(settings.WORKSPACE_ROOT.resolve() / channel.slug / "branding/intro.bin")
    assert kept.intro.size == len(media(".mp4", 1))
    assert not kept.outro


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"intro": b"no video"}, "intro.bin is not a readable video"),
        ({"outro": media(".mp3", 1)}, "outro.bin is not a readable video"),
        ({"watermark": media(".mp4", 1)}, "watermark.bin is not a readable PNG"),
        ({"watermark": picture()[:60]}, "watermark.bin is not a readable PNG"),
    ],
)
def test_branding_that_assembly_could_not_use_is_refused(files, message):
    with pytest.raises(ValidationError, match=message):
        uploaded(**files).full_clean()


LEADING_ON = {
    "concat": b"ffconcat version 1.0\nfile other.mp4\n",
    "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    b"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
}


@pytest.mark.parametrize("content", LEADING_ON.values(), ids=LEADING_ON.keys())
def test_branding_that_leads_to_other_files_is_refused_unread(tmp_path, monkeypatch: pytest.MonkeyPatch, content):
    """An SDP would have been waited for on its port, for ever."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.mp4").write_bytes(media(".mp4", 1))
    with pytest.raises(ValidationError, match=r"intro\.bin is not a readable video"):
        uploaded(intro=content).full_clean()
