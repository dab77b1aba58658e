"""The seven scripts in a row, as a task runs them, against the sandbox vendors."""

import json

import av

from tests.scripts.conftest import ADDRESSES, run_script


def test_seven_scripts_make_a_film_from_words(process, tmp_path):
    addresses = {name: process.addresses[name] for name in ADDRESSES} | {"KIE_FIRST_POLL_SECONDS": 0.1}

    def make(name, output, *flags):
        outcome = run_script(name, *flags, "--output", tmp_path / output, **addresses)
        assert outcome.code == 0, outcome.stdout + outcome.stderr
        assert (tmp_path / output).stat().st_size > 1000
        return outcome

    make("generate_asset.py", "figure.png", "--prompt", "The keeper, full figure, plain white background")
    scene = ("--prompt", "A lighthouse at night", "--reference-image", tmp_path / "figure.png")
    assert make("generate_asset.py", "scene.png", *scene).the("cost")["usd"] > 0.03
    pair = ("--character", tmp_path / "figure.png", "--environment", tmp_path / "scene.png")
    make("create_composite.py", "composite.png", *pair)
    make("create_split_screen.py", "split.png", "--left", tmp_path / "figure.png", "--right", tmp_path / "scene.png")
    seed = ("--image", tmp_path / "composite.png", "--prompt", "The keeper lifts the lamp; the camera pushes in")
    assert make("generate_video.py", "clip.mp4", *seed).the("cost")["unit"] == "credits"
    narration = make("generate_audio.py", "voice.mp3", "--text", "After the storm the keeper lights the lamp.")
    assert [word for word, _, _ in narration.the("timings")["words"]][:3] == ["After", "the", "storm"]
    make("generate_sound_effects.py", "sound.mp3", "--text", "Wind and waves")
    files = {"video": "clip.mp4", "audio": "voice.mp3", "sfx": "sound.mp3"}
    clip = {"clip_number": 1} | {field: str(tmp_path / file) for field, file in files.items()}
    (tmp_path / "manifest.json").write_text(json.dumps({"clips": [clip]}))
    film = make("assemble_video.py", "film.mp4", "--manifest", tmp_path / "manifest.json").the("film")
    with av.open(str(tmp_path / "film.mp4")) as container:
        assert container.streams.video[0].frames == film["frames"]
