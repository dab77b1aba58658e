import json
import re
from fractions import Fraction

import av
import pytest
from PIL import Image, ImageChops, ImageStat

from scripts.packets import is_damaged
from tests.media import ffmpeg, loudness, picture
from tests.scripts.conftest import run_script

FRAME = 1 / 24


def write_manifest(folder, clips, **keys):
    path = folder / "manifest.json"
    numbered = [{"clip_number": number} | {field: str(path) for field, path in clip.items()} for number, clip in clips]
    path.write_text(json.dumps({"clips": numbered, **keys}))
    return path


def assemble(run, folder, clips, **keys):
    manifest = write_manifest(folder, clips, **keys)
    return run("assemble_video.py", "--manifest", manifest, "--output", folder / "film.mp4")


def frame_times(path):
    with av.open(str(path)) as container:
        return [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]


def sound_length(path):
    with av.open(str(path)) as container:
        return sum(frame.samples for frame in container.decode(audio=0)) / 48_000


def pixel(path, second, x, y):
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if float(frame.pts * frame.time_base) >= second:
                return frame.to_image().getpixel((x, y))
    return None


@pytest.fixture(scope="module")
def film(media, tmp_path_factory):
    """One film of three clips, shared by the tests that look at it: a short narration, a long one, a foreign clip."""
    folder = tmp_path_factory.mktemp("film")
    clips = [
        (2, {"video": media / "clip.mp4", "audio": media / "long.wav", "sfx": media / "noise.mp3"}),
        (1, {"video": media / "clip.mp4", "audio": media / "short.wav", "sfx": media / "noise.mp3"}),
        (3, {"video": media / "small.mp4", "audio": media / "short.wav"}),
    ]
    manifest = write_manifest(folder, clips)
    outcome = run_script("assemble_video.py", "--manifest", manifest, "--output", folder / "film.mp4")
    assert outcome.code == 0, outcome.stdout + outcome.stderr
    return folder / "film.mp4", outcome


def test_assemble_video_has_the_promised_streams(film):
    path, _ = film
    with av.open(str(path)) as container:
        (video,), (audio,) = container.streams.video, container.streams.audio
        assert (video.codec.name, video.pix_fmt, video.width, video.height) == ("h264", "yuv420p", 1920, 1080)
        assert video.average_rate == Fraction(24)
        assert (audio.codec.name, audio.rate, audio.layout.name) == ("aac", 48_000, "stereo")
    head = path.read_bytes()[:4096]
    assert head.index(b"moov") < 100, "faststart puts the index before the media"


def test_assemble_video_cuts_each_clip_at_its_narration(film):
    path, outcome = film
    frames = 37 + 101 + 37  # 1.51 s, 4.2 s and 1.51 s at 24 frames a second, each to the next frame
    times = frame_times(path)
    assert len(times) == frames
    assert times == pytest.approx([number * FRAME for number in range(frames)], abs=0.001)
    assert sound_length(path) == pytest.approx(frames * FRAME, abs=FRAME)
    assert outcome.the("film")["frames"] == frames


def test_assemble_video_holds_the_last_frame_and_says_so(film):
    path, outcome = film
    assert (outcome.the("warning")["piece"], outcome.the("warning")["held"]) == ("clip 2", pytest.approx(1.2, abs=0.05))
    start = 37 * FRAME
    moving = [pixel(path, start + second, 960, 540) for second in (0.5, 1.0, 1.5, 2.0)]
    held = {pixel(path, start + second, 960, 540) for second in (3.2, 3.6, 4.0)}
    assert len(set(moving)) > 1
    assert max(max(channel) - min(channel) for channel in zip(*held, strict=True)) < 12


def test_assemble_video_meets_loudness_and_true_peak(film):
    path, _ = film
    integrated, true_peak = loudness(path)
    assert integrated == pytest.approx(-14, abs=0.5)
    assert true_peak <= -1.5


@pytest.mark.parametrize("lasts", [0.02, 0.1])
def test_assemble_video_keeps_to_the_peak_where_loudness_can_not_be_reached(run, media, tmp_path, lasts):
    ffmpeg("-f", "lavfi", "-i", f"aevalsrc='if(lt(t,{lasts}),0.9,0)':d=3:s=48000", tmp_path / "click.wav")
    outcome = assemble(run, tmp_path, [(1, {"video": media / "clip.mp4", "audio": tmp_path / "click.wav"})])
    assert (outcome.code, "LUFS instead of -14" in outcome.the("warning")["message"]) == (0, True)
    assert loudness(tmp_path / "film.mp4")[1] <= -1.5


def test_assemble_video_of_silence_tells_finite_levels(run, media, tmp_path):
    ffmpeg("-f", "lavfi", "-i", "anullsrc", "-t", 1.5, tmp_path / "silent.mp3")
    outcome = assemble(run, tmp_path, [(1, {"video": media / "clip.mp4", "audio": tmp_path / "silent.mp3"})])
    assert outcome.the("loudness") == {"event": "loudness", "lufs": -70.0, "true_peak": -70.0}
    assert "Infinity" not in outcome.stdout


def test_assemble_video_ignores_the_sound_of_a_clip(film):
    path, _ = film
    log = ffmpeg(
        "-i", path, "-af", "highpass=f=2800,highpass=f=2800,lowpass=f=3200,volumedetect", "-ss", 5.8, "-f", "null", "-"
    )
    assert float(re.search(r"mean_volume: (-?[\d.]+)", log)[1]) < -40, "the clip's own 3 kHz tone is in the film"


def test_assemble_video_reports_progress_to_the_end(film):
    _, outcome = film
    assert [(entry["done"], entry["of"]) for entry in outcome.all("progress")] == [(done, 8) for done in range(1, 9)]
    assert outcome.all("sending") == []


@pytest.mark.parametrize(("size", "copied"), [("640x360", False), ("1920x1080", True)])
def test_assemble_video_keeps_flash_and_click_together(run, tmp_path, size, copied):
    flash = f"color=black:s={size}:r=24:d=2,drawbox=c=white:t=fill:enable='between(n,24,24)'"
    coder = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")
    ffmpeg("-f", "lavfi", "-i", flash, *coder, tmp_path / "flash.mp4")
    click = "aevalsrc='if(between(t,1,1.01),0.8*sin(2000*PI*t),0.0005*sin(300*t))':d=2:s=48000"
    ffmpeg("-f", "lavfi", "-i", click, tmp_path / "click.wav")
    clip = {"video": tmp_path / "flash.mp4", "audio": tmp_path / "click.wav"}
    outcome = assemble(run, tmp_path, [(1, clip), (2, clip), (3, clip)])
    assert (outcome.code, outcome.the("film")["copied"]) == (0, copied)
    with av.open(str(tmp_path / "film.mp4")) as container:
        light = [(float(frame.pts * frame.time_base), bytes(frame.planes[0])[0]) for frame in container.decode(video=0)]
    flashes = [time for time, brightness in light if brightness > 128]
    log = ffmpeg("-i", tmp_path / "film.mp4", "-af", "silencedetect=n=-25dB:d=0.2", "-f", "null", "-")
    clicks = [float(end) for end in re.findall(r"silence_end: ([\d.]+)", log)][:3]
    assert len(flashes) == 3
    assert clicks == pytest.approx(flashes, abs=FRAME)


def packets(path):
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def test_assemble_video_copies_the_picture_bit_for_bit(run, media, tmp_path):
    source = ("-f", "lavfi", "-i", "testsrc2=s=1920x1080:r=24", "-t", 3, "-pix_fmt", "yuv420p")
    ffmpeg(*source, "-c:v", "libx264", "-preset", "ultrafast", "-bf", 3, tmp_path / "clip.mp4")
    clip = {"video": tmp_path / "clip.mp4", "audio": media / "short.wav"}
    outcome = assemble(run, tmp_path, [(1, clip), (2, clip)])
    assert (outcome.code, outcome.the("film")["copied"]) == (0, True)
    whole, film = packets(tmp_path / "clip.mp4"), packets(tmp_path / "film.mp4")
    length = len(film) // 2
    assert 37 <= length <= 40, "the narration needs 37 frames, a clean cut lies at most three later"
    assert film == whole[:length] * 2
    assert frame_times(tmp_path / "film.mp4") == pytest.approx(
        [place * FRAME for place in range(2 * length)], abs=0.001
    )
    assert sound_length(tmp_path / "film.mp4") == pytest.approx(2 * length * FRAME, abs=FRAME)


def test_assemble_video_adds_intro_watermark_fade_and_captions(run, media, tmp_path):
    (tmp_path / "mark.png").write_bytes(picture((200, 100), "red"))
    words = [["Up", 0.0, 0.3], ["the", 0.3, 0.5], ["stairs.", 0.5, 1.0]]
    clip = {"clip_number": 1, "video": str(media / "clip.mp4"), "audio": str(media / "short.wav"), "words": words}
    spread = {"clip_number": 2, "video": str(media / "clip.mp4"), "audio": str(media / "short.wav"), "text": "No times"}
    keys = {"intro": media / "small.mp4", "watermark": tmp_path / "mark.png", "captions": tmp_path / "film.srt"}
    manifest = {
        "clips": [clip, spread],
        "fade": 0.5,
        "loudness": -16,
        **{name: str(path) for name, path in keys.items()},
    }
    (tmp_path / "m.json").write_text(json.dumps(manifest))
    film = tmp_path / "film.mp4"
    outcome = run("assemble_video.py", "--manifest", tmp_path / "m.json", "--output", film)
    assert outcome.code == 0, outcome.stdout
    assert max(pixel(film, 0, 960, 540)) < 24
    red, green, blue = pixel(film, 2.5, 1920 - 48 - 100, 1080 - 48 - 50)
    assert (red > 200, green < 60, blue < 60) == (True, True, True)
    assert loudness(film)[0] == pytest.approx(-16, abs=0.5)
    captions = (tmp_path / "film.srt").read_text().split("\n\n")
    assert captions[0] == "1\n00:00:02,000 --> 00:00:03,000\nUp the stairs."
    assert captions[1].splitlines()[1:] == ["00:00:03,542 --> 00:00:05,052", "No times"]


def test_assemble_video_captions_stay_in_order_and_inside_their_clip(run, media, tmp_path):
    odd = [["late", 1.4, 99], [" ", 0.2, 0.3], ["back", 0.9, 0.4], ["a\n\n2", -5, 0.1]]
    clip = {"clip_number": 1, "video": str(media / "clip.mp4"), "audio": str(media / "short.wav"), "words": odd}
    manifest = json.dumps({"clips": [clip, clip | {"clip_number": 2}], "captions": True})
    (tmp_path / "m.json").write_text(manifest, encoding="utf-8-sig")  # as some editors do
    outcome = run("assemble_video.py", "--manifest", tmp_path / "m.json", "--output", tmp_path / "film.mp4")
    assert outcome.code == 0, outcome.stderr
    assert (tmp_path / "film.srt").read_text().split("\n\n") == [
        "1\n00:00:00,000 --> 00:00:00,100\na 2",
        "2\n00:00:00,900 --> 00:00:01,542\nback late",
        "3\n00:00:01,542 --> 00:00:01,642\na 2",
        "4\n00:00:02,442 --> 00:00:03,083\nback late\n",
    ]


def colours(folder, name, source, seconds=2):
    """A clip of 1080p at 24 frames a second."""
    clip = ("-f", "lavfi", "-i", source, "-t", seconds, "-c:v", "libx264", "-preset", "ultrafast")
    ffmpeg(*clip, "-pix_fmt", "yuv420p", folder / f"{name}.mp4")
    return folder / f"{name}.mp4"


def test_assemble_video_writes_captions_and_thumbnail_beside_the_film(run, media, tmp_path):
    grey = colours(tmp_path, "grey", "color=gray:s=1920x1080:r=24")
    vivid = colours(tmp_path, "vivid", "testsrc2=s=1920x1080:r=24,hue=h=90")
    clips = [{"clip_number": number, "video": str(path), "audio": str(media / "short.wav"), "text": "Up we go."}
             for number, path in enumerate((grey, vivid, grey), 1)]  # fmt: skip
    manifest = {"clips": clips, "captions": True, "thumbnail": True, "intro": str(media / "clip.mp4")}
    (tmp_path / "m.json").write_text(json.dumps(manifest))
    outcome = run("assemble_video.py", "--manifest", tmp_path / "m.json", "--output", tmp_path / "film.mp4")
    assert outcome.code == 0, outcome.stdout
    assert (tmp_path / "film.srt").read_text().count("Up we go.") == 3
    with Image.open(tmp_path / "film.jpg") as thumbnail, av.open(str(vivid)) as container:
        assert (thumbnail.format, thumbnail.size) == ("JPEG", (1280, 720))
        wanted = next(container.decode(video=0)).to_image().resize((32, 18))
        difference = ImageChops.difference(thumbnail.convert("RGB").resize((32, 18)), wanted)
    assert max(ImageStat.Stat(difference).mean) < 8, "neither a grey clip nor the intro, which every film has"
    assert (tmp_path / "film.jpg").stat().st_size < 2_000_000


def test_assemble_video_lowers_the_effect_under_the_voice(run, media, tmp_path):
    voice = "aevalsrc='if(lt(t,2),0.3*sin(2*PI*200*t),0)':d=4:s=48000"
    ffmpeg("-f", "lavfi", "-i", voice, tmp_path / "voice.wav")
    ffmpeg("-f", "lavfi", "-i", "sine=f=5000:d=4:r=48000", "-af", "volume=0.3", tmp_path / "effect.wav")
    clip = {"video": media / "clip.mp4", "audio": tmp_path / "voice.wav", "sfx": tmp_path / "effect.wav"}
    assert assemble(run, tmp_path, [(1, clip)]).code == 0

    def effect(second):
        band = "highpass=f=4000,highpass=f=4000,volumedetect"
        log = ffmpeg("-ss", second, "-t", 0.8, "-i", tmp_path / "film.mp4", "-vn", "-af", band, "-f", "null", "-")
        return float(re.search(r"mean_volume: (-?[\d.]+)", log)[1])

    assert effect(3) - effect(1) > 6, "dB between a pause and the voice"


def turned(folder, clip):
    ffmpeg("-display_rotation", 180, "-i", clip, "-c", "copy", folder / "turned.mp4")
    return folder / "turned.mp4"


def faster(folder, clip):
    return colours(folder, "faster", "testsrc2=s=1920x1080:r=25")


def otherwise_coded(folder, clip):
    ffmpeg("-i", clip, "-c:v", "libx264", "-preset", "ultrafast", "-x264-params", "cabac=1:ref=3", folder / "other.mp4")
    return folder / "other.mp4"


@pytest.mark.parametrize("odd", [turned, faster, otherwise_coded])
def test_assemble_video_encodes_streams_that_differ(run, media, tmp_path, odd):
    clips = [(1, {"video": media / "clip.mp4", "audio": media / "short.wav"})]
    clips += [(2, {"video": odd(tmp_path, media / "clip.mp4"), "audio": media / "short.wav"})]
    clips += [(3, clips[0][1])]
    outcome = assemble(run, tmp_path, clips)
    assert (outcome.code, outcome.the("film")["copied"]) == (0, False)
    times = frame_times(tmp_path / "film.mp4")
    assert times == pytest.approx([number * FRAME for number in range(3 * 37)], abs=0.001)
    assert sound_length(tmp_path / "film.mp4") == pytest.approx(3 * 37 * FRAME, abs=FRAME)
    assert ffmpeg("-v", "warning", "-i", tmp_path / "film.mp4", "-f", "null", "-").strip() == ""


def cut_off(clip, target):
    content = clip.read_bytes()
    target.write_bytes(content[: len(content) * 2 // 3])


def garbled(clip, target):
    content = bytearray(clip.read_bytes())
    third = len(content) // 3
    content[third : 2 * third] = bytes(third)
    target.write_bytes(content)


@pytest.mark.parametrize("damage", [cut_off, garbled])
def test_assemble_video_names_a_damaged_clip_and_leaves_nothing(run, media, tmp_path, damage):
    ffmpeg("-i", media / "clip.mp4", "-c", "copy", "-movflags", "+faststart", tmp_path / "first.mp4")
    damage(tmp_path / "first.mp4", tmp_path / "bad.mp4")
    good = {"video": media / "small.mp4", "audio": media / "short.wav"}
    bad = good | {"video": tmp_path / "bad.mp4", "audio": media / "long.wav"}
    outcome = assemble(run, tmp_path, [(1, good), (2, bad)], captions=True, thumbnail=True)
    assert (outcome.code, outcome.the("error")["kind"]) == (1, "permanent")
    assert outcome.the("error")["message"].startswith("clip 2: ")
    assert "\n" not in outcome.the("error")["message"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bad.mp4", "first.mp4", "manifest.json"]


def test_assemble_video_names_a_clip_that_would_be_copied_with_a_hole(run, media, tmp_path):
    content = bytearray((media / "clip.mp4").read_bytes())
    middle = content.index(b"mdat") + 40_000  # within what the narration needs
    content[middle : middle + 4096] = bytes(4096)
    (tmp_path / "bad.mp4").write_bytes(content)
    good = {"video": media / "clip.mp4", "audio": media / "short.wav"}
    outcome = assemble(run, tmp_path, [(1, good), (2, good | {"video": tmp_path / "bad.mp4"})])
    assert (outcome.code, outcome.the("error")["kind"]) == (1, "permanent")
    assert outcome.the("error")["message"].startswith(f"clip 2: {tmp_path / 'bad.mp4'} is damaged inside, at packet ")
    assert not (tmp_path / "film.mp4").exists()


@pytest.mark.parametrize(
    ("packet", "damaged"),
    [
        (b"", False),
        (b"\0\0\0\3abc", False),
        (b"\0\0\0\3abc\0\0\0\2de", False),
        (b"\0\0\0\5ab\0\0\0", False),  # zeros at a unit's end are padding
        (b"\0\0\0\3ab", True),
        (b"\0\0\0\0abc", True),
        (b"\0\0\0\x14" + b"ab\0\0\1" + b"c" * 15, True),
        (b"\0\0\0\x14" + b"ab\0\0\3" + b"c" * 15, False),
        (b"\0\0\0\3abcd", True),
        (bytes(50), True),
    ],
)
def test_is_damaged_walks_the_units_of_a_packet(packet, damaged):
    assert is_damaged(packet, 4) == damaged


def test_assemble_video_names_what_is_wrong_and_leaves_nothing(run, media, tmp_path):
    (tmp_path / "junk.mp4").write_bytes(b"no media at all")
    ffmpeg("-f", "lavfi", "-i", "anullsrc", "-t", "0", "-c:a", "pcm_s16le", tmp_path / "empty.wav")
    good = {"video": media / "clip.mp4", "audio": media / "short.wav"}
    for clips, word in (
        ([], "clips"),
        ([(1, good), (1, good)], "clip_number 1"),
        ([(1, good), (2, good | {"video": tmp_path / "junk.mp4"})], "clip 2: video"),
        ([(1, good | {"audio": tmp_path / "absent.mp3"})], "absent.mp3"),
        ([(1, good | {"audio": tmp_path / "empty.wav"})], "empty.wav"),
        ([(1, good | {"sfx": "relative.mp3"})], "clip 1: sfx"),
        ([("one", good)], "clip_number"),
        ([(1, good | {"video": "/a\0b.mp4"})], "clip 1: video"),
    ):
        outcome = assemble(run, tmp_path, clips)
        assert (outcome.code, outcome.names, outcome.the("error")["kind"]) == (1, ["started", "error"], "permanent")
        assert word in outcome.the("error")["message"]
        assert "\n" not in outcome.the("error")["message"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["empty.wav", "junk.mp4", "manifest.json"]


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ({"words": [["Up", float("nan"), 1]]}, "clip 1: words"),
        ({"words": [["Up", 0, float("inf")]]}, "clip 1: words"),
        ({"words": [["Up", 0]]}, "clip 1: words"),
        ({"words": 5}, "clip 1: words"),
        ({"text": {"said": "Up"}}, "clip 1: text"),
    ],
)
def test_assemble_video_names_words_that_make_no_sense(run, media, tmp_path, keys, word):
    clip = {"clip_number": 1, "video": str(media / "clip.mp4"), "audio": str(media / "short.wav")} | keys
    (tmp_path / "m.json").write_text(json.dumps({"clips": [clip], "captions": True}))
    outcome = run("assemble_video.py", "--manifest", tmp_path / "m.json", "--output", tmp_path / "film.mp4")
    assert (outcome.code, outcome.names, outcome.stderr) == (1, ["started", "error"], "")
    assert outcome.the("error")["message"].startswith(word)


def test_assemble_video_writes_over_nothing_that_it_is_made_of(run, media, tmp_path):
    (tmp_path / "clip.mp4").write_bytes((media / "clip.mp4").read_bytes())
    clip = {"video": tmp_path / "clip.mp4", "audio": media / "short.wav"}
    for keys, words in (
        ({"captions": str(tmp_path / "clip.mp4")}, ("captions", "clip 1")),
        ({"captions": str(tmp_path / "a/../manifest.json")}, ("captions", "the manifest")),
        ({"captions": str(tmp_path / "film.mp4")}, ("captions", "--output")),
        ({"captions": True, "thumbnail": str(tmp_path / "film.srt")}, ("thumbnail", "captions")),
        ({"captions": "/a\0b.srt"}, ("captions", "absolute path")),
    ):
        outcome = assemble(run, tmp_path, [(1, clip)], **keys)
        assert (outcome.code, outcome.names, outcome.stderr) == (1, ["started", "error"], "")
        assert all(word in outcome.the("error")["message"] for word in words)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["clip.mp4", "manifest.json"]


def test_assemble_video_names_a_manifest_nested_without_end(run, tmp_path):
    (tmp_path / "m.json").write_text("[" * 100_000)
    outcome = run("assemble_video.py", "--manifest", tmp_path / "m.json", "--output", tmp_path / "film.mp4")
    assert (outcome.code, outcome.stderr) == (1, "")
    assert "m.json is not JSON" in outcome.the("error")["message"]
