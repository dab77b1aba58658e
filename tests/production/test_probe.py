"""Files that are not what their name says."""

import pytest
from PIL import Image

from production import probe
from production.errors import Kind, Trouble
from tests.factories import media


@pytest.mark.parametrize(("suffix", "seconds"), [(".mp4", 2), (".mp3", 3)])
def test_seconds_of_media(tmp_path, suffix, seconds):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(media(suffix, seconds))
    assert probe.seconds_of(path) == pytest.approx(seconds, abs=0.2)


def test_seconds_of_a_still(tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(media(".png"))
    assert probe.seconds_of(path) is None


@pytest.mark.parametrize("suffix", [".png", ".mp4", ".mp3"])
@pytest.mark.parametrize(
    "junk",
    [b"", b"\0" * 5000, b"<html>Too many requests</html>" * 50, b'{"error": 1}', bytes(range(256)) * 40],
    ids=["empty", "zeroes", "html", "json", "bytes"],
)
def test_seconds_of_junk(tmp_path, suffix, junk):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(junk)
    with pytest.raises(Trouble, match=rf"x\{suffix}") as trouble:
        probe.seconds_of(path)
    assert trouble.value.kind == Kind.PERMANENT
    assert len(trouble.value.message) <= 300


def test_seconds_of_half_an_image(tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(media(".png")[:-20])
    with pytest.raises(Trouble):
        probe.seconds_of(path)


def test_seconds_of_an_image_too_large(tmp_path):
    path = tmp_path / "x.png"
    Image.new("1", (9000, 9000)).save(path)
    with pytest.raises(Trouble, match="9000x9000: too large"):
        probe.seconds_of(path)


def test_seconds_of_a_list_of_other_files(tmp_path):
    (tmp_path / "other.mp4").write_bytes(media(".mp4", 1))
    path = tmp_path / "x.mp4"
    path.write_bytes(b"ffconcat version 1.0\nfile other.mp4\n")
    with pytest.raises(Trouble, match=r"x\.mp4 is not a readable mp4 file"):
        probe.seconds_of(path)


def test_seconds_of_a_picture_that_would_run_a_program(tmp_path):
    """Pillow has Ghostscript draw an EPS, whatever its name."""
    path = tmp_path / "x.png"
    Image.new("RGB", (40, 40)).save(path, format="EPS")
    with pytest.raises(Trouble, match=r"x\.png is not a readable image"):
        probe.seconds_of(path)
