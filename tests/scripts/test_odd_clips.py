"""Clips as no model makes them but people bring them: turned, with oblong pixels, in other containers, cut off."""

import av
import pytest
from PIL import Image, ImageChops, ImageStat

from tests.media import ffmpeg, picture
from tests.scripts.test_assemble_video import assemble, colours

TARGET = "color=navy:s={size}:r=24,drawbox=x=iw/2-{w}/2:y=ih/2-{h}/2:w={w}:h={h}:c=white:t=fill,"
TARGET += "drawbox=w=iw:h=60:c=red:t=fill"  # which way is up


def turned(folder):
    clip = colours(folder, "lying", TARGET.format(size="1920x1080", w=200, h=200))
    ffmpeg("-display_rotation", 90, "-i", clip, "-c", "copy", folder / "turned.mp4")
    return folder / "turned.mp4"


def with_wide_pixels(folder):
    return colours(folder, "wide", TARGET.format(size="1440x1080", w=150, h=200) + ",setsar=4/3")


def with_narrow_pixels(folder):
    return colours(folder, "narrow", TARGET.format(size="1920x1080", w=400, h=300) + ",setsar=3/4")


def first_frame(path):
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert (container.streams.video[0].width, container.streams.video[0].height) == (frame.width, frame.height)
        return frame.to_image()


def white_box(picture):
    left, top, right, bottom = picture.convert("RGB").getchannel("G").point(lambda v: 255 if v > 128 else 0).getbbox()
    return right - left, bottom - top


@pytest.mark.parametrize("odd", [turned, with_wide_pixels, with_narrow_pixels])
def test_assemble_video_turns_and_fits_a_clip_without_stretching(run, media, tmp_path, odd):
    clips = [{"video": media / "clip.mp4", "audio": media / "short.wav"}]
    clips.insert(0, clips[0] | {"video": odd(tmp_path)})
    outcome = assemble(run, tmp_path, list(enumerate(clips, 1)))
    assert (outcome.code, outcome.the("film")["copied"]) == (0, False)
    frame = first_frame(tmp_path / "film.mp4")
    width, height = white_box(frame)
    assert frame.size == (1920, 1080)
    assert width == pytest.approx(height, rel=0.03), "a square stays a square"


def test_thumbnail_and_poster_stand_upright_as_the_film_does(run, media, tmp_path):
    clip = {"video": turned(tmp_path), "audio": media / "short.wav"}
    assert assemble(run, tmp_path, [(1, clip)], thumbnail=True).code == 0
    film = first_frame(tmp_path / "film.mp4").resize((1280, 720))
    with Image.open(tmp_path / "film.jpg") as thumbnail:
        assert max(ImageStat.Stat(ImageChops.difference(film, thumbnail.convert("RGB"))).mean) < 8
    measured = run("measure_media.py", "--input", tmp_path / "turned.mp4", "--poster", tmp_path / "poster.webp")
    assert (measured.the("measured")["width"], measured.the("measured")["height"]) == (1080, 1920)
    with Image.open(tmp_path / "poster.webp") as poster:
        assert poster.size == (640, 1138)
        assert white_box(poster)[0] == pytest.approx(white_box(poster)[1], rel=0.03)


def test_assemble_video_says_that_a_clip_ends_before_its_header_says(run, media, tmp_path):
    """What comes of it is a held last frame, as of any clip that is too short."""
    ffmpeg("-i", media / "clip.mp4", "-c", "copy", "-an", tmp_path / "clip.mkv")
    content = (tmp_path / "clip.mkv").read_bytes()
    (tmp_path / "clip.mkv").write_bytes(content[: len(content) // 4])
    clip = {"video": tmp_path / "clip.mkv", "audio": media / "short.wav"}
    outcome = assemble(run, tmp_path, [(1, clip)])
    assert (outcome.code, outcome.the("warning")["piece"]) == (0, "clip 1")
    assert outcome.the("warning")["held"] == pytest.approx(0.75, abs=0.3)
    assert outcome.the("film")["frames"] == 37


def test_assemble_video_tags_what_it_encodes_as_bt709(run, media, tmp_path):
    clip = {"video": media / "small.mp4", "audio": media / "short.wav"}
    assert assemble(run, tmp_path, [(1, clip)]).code == 0
    assert "yuv420p(tv, bt709," in ffmpeg("-i", tmp_path / "film.mp4", "-c", "copy", "-f", "null", "-")


@pytest.mark.parametrize(("size", "shown"), [((100, 600), (40, 240)), ((600, 100), (240, 40)), ((60, 90), (60, 90))])
def test_assemble_video_keeps_a_watermark_in_its_corner(run, media, tmp_path, size, shown):
    (tmp_path / "mark.png").write_bytes(picture(size, "white"))
    clip = {"video": colours(tmp_path, "dark", "color=black:s=1920x1080:r=24"), "audio": media / "short.wav"}
    assert assemble(run, tmp_path, [(1, clip)], watermark=str(tmp_path / "mark.png")).code == 0
    mark = first_frame(tmp_path / "film.mp4")
    assert white_box(mark) == pytest.approx(shown, abs=2)
    assert mark.getpixel((1920 - 48 - shown[0] // 2, 1080 - 48 - shown[1] // 2))[1] > 200
