"""What a look at a file counts, with real media; the sandbox's own shows in tests/production/test_looking.py."""

import pytest
from PIL import Image

from tests.media import ffmpeg, picture
from tests.scripts.conftest import run_script

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
MOVING, BLACK, STILL = "testsrc2=s=640x360:r=24", "color=black:s=640x360:r=24", "color=teal:s=640x360:r=24"


def measure(path, *flags):
    outcome = run_script("measure_media.py", "--input", path, "--poster", path.with_suffix(".webp"), *flags)
    assert outcome.code == 0, outcome.stdout + outcome.stderr
    return outcome.the("measured")


def film(path, *sources, seconds=2, sound="sine=f=300:r=48000"):
    """Pictures behind one another, with a sound beside them where one is named."""
    inputs = [part for source in sources for part in ("-f", "lavfi", "-t", seconds, "-i", source)]
    joined = "".join(f"[{number}:v]" for number in range(len(sources))) + f"concat=n={len(sources)}[v]"
    maps = ["-map", "[v]"]
    if sound:
        inputs += ["-f", "lavfi", "-t", seconds * len(sources), "-i", sound]
        maps += ["-map", f"{len(sources)}:a"]
    ffmpeg(*inputs, "-filter_complex", joined, *maps, *X264, path)
    return path


def sound(path, source, *arguments):
    ffmpeg("-f", "lavfi", "-i", source, *arguments, path)
    return path


def test_measure_media_of_a_still(tmp_path, figure):
    said = measure(figure)
    assert (said["width"], said["height"]) == (640, 360)
    assert said["spread"] > 200
    (tmp_path / "blank.png").write_bytes(picture((1920, 1080), "navy"))
    assert measure(tmp_path / "blank.png")["spread"] == 0
    with Image.open(tmp_path / "blank.webp") as poster:
        assert (poster.format, poster.size) == ("WEBP", (640, 360))
    assert (tmp_path / "blank.webp").stat().st_size < 5_000


def test_measure_media_of_a_film_finds_black_and_frozen_stretches(tmp_path):
    said = measure(film(tmp_path / "film.mp4", BLACK, MOVING, STILL))
    assert said["black"] == [[pytest.approx(0, abs=0.1), pytest.approx(2, abs=0.1)]]
    assert [pytest.approx(4, abs=0.2), pytest.approx(6, abs=0.2)] in said["frozen"]
    assert (said["rate"], said["seconds"], said["errors"]) == (24, pytest.approx(6, abs=0.1), 0)
    assert said["sound_seconds"] == pytest.approx(6, abs=0.1)


def test_measure_media_of_a_film_shows_its_first_lit_frame(tmp_path):
    measure(film(tmp_path / "film.mp4", BLACK, "color=white:s=640x360:r=24"))
    with Image.open(tmp_path / "film.webp") as poster:
        assert min(poster.getpixel((320, 180))) > 200


def test_measure_media_of_a_film_without_sound(tmp_path):
    said = measure(film(tmp_path / "film.mp4", MOVING, sound=""))
    assert "lufs" not in said
    assert "sound_seconds" not in said


def test_measure_media_at_a_glance_sees_the_same(tmp_path):
    path = film(tmp_path / "film.mp4", BLACK, MOVING)
    whole, glance = measure(path), measure(path, "--glance")
    assert glance["black"] == whole["black"]
    assert glance["lufs"] == whole["lufs"]


def test_measure_media_counts_what_is_corrupt(tmp_path):
    content = bytearray(film(tmp_path / "film.mp4", MOVING, sound="").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    (tmp_path / "film.mp4").write_bytes(content)
    assert measure(tmp_path / "film.mp4")["errors"] > 0


def test_measure_media_of_sounds(tmp_path):
    gap = "aevalsrc='if(between(t,2,4),0,0.2*sin(2*PI*300*t))':d=6:s=44100"
    assert measure(sound(tmp_path / "gap.mp3", gap))["silent"] == [
        [pytest.approx(2, abs=0.1), pytest.approx(4, abs=0.1)]
    ]
    silent = measure(sound(tmp_path / "silent.mp3", "anullsrc=r=44100:d=3"))
    assert silent["silent"] == [[0, silent["seconds"]]]
    assert silent["lufs"] == -69
    loud = measure(sound(tmp_path / "loud.mp3", "sine=f=300:r=44100:d=3", "-af", "volume=40dB"))
    assert loud["hot"] > 0.2
    assert loud["true_peak"] > -1
    quiet = measure(sound(tmp_path / "quiet.wav", "sine=f=300:r=44100:d=3"))
    assert (quiet["hot"], quiet["silent"], quiet["seconds"]) == (0, [], 3)
    with Image.open(tmp_path / "quiet.webp") as wave:
        assert wave.size == (640, 96)
        assert wave.getpixel((320, 48))[3] > 0, "the wave is drawn on nothing"


@pytest.mark.parametrize("name", ["absent.png", "junk.png", "junk.mp4", "junk.mp3"])
def test_measure_media_of_what_is_none(tmp_path, name):
    if "junk" in name:
        (tmp_path / name).write_bytes(b"no media at all" * 100)
    outcome = run_script("measure_media.py", "--input", tmp_path / name, "--poster", tmp_path / "poster.webp")
    assert (outcome.code, outcome.the("error")["kind"]) == (1, "permanent")
    assert "--input" in outcome.the("error")["message"]
    assert not (tmp_path / "poster.webp").exists()


def test_measure_media_waits_for_its_turn_and_leaves_it(tmp_path):
    path = sound(tmp_path / "a.wav", "sine=f=300:r=44100:d=1")
    for _ in range(3):
        measure(path, "--turns", tmp_path / "turns")
    assert list((tmp_path / "turns").iterdir())
