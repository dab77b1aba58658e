import subprocess
import sys

import pytest

from tests.scripts.conftest import SCRIPTS, script_environment
from tests.waiting import eventually

NAMES = [
    "assemble_video.py",
    "create_composite.py",
    "create_split_screen.py",
    "generate_asset.py",
    "generate_audio.py",
    "generate_sound_effects.py",
    "generate_video.py",
    "measure_media.py",
]


@pytest.mark.parametrize("name", NAMES)
def test_help_prints_usage_and_no_event(name):
    command = [sys.executable, SCRIPTS / name, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SCRIPTS, timeout=60)
    assert (done.returncode, "usage:" in done.stdout, '"event"' in done.stdout) == (0, True, False)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_arguments_exit_with_one_and_say_so(run, name):
    outcome = run(name, "--nonsense", "x")
    assert (outcome.code, outcome.names, outcome.the("error")["kind"]) == (1, ["started", "error"], "permanent")
    assert outcome.stderr == ""


def test_termination_in_a_paid_call_leaves_no_file(vendor, tmp_path):
    vendor.say("/v1/text-to-speech/", delay=3)
    command = [sys.executable, SCRIPTS / "generate_audio.py", "--text", "A", "--output", tmp_path / "a.mp3"]
    environment = script_environment(ELEVENLABS_BASE_URL=vendor.url)
    process = subprocess.Popen(command, cwd=SCRIPTS, env=environment, stdout=subprocess.PIPE, text=True)
    with process.stdout:
        assert [process.stdout.readline() for _ in range(2)] == ['{"event": "started"}\n', '{"event": "sending"}\n']
        eventually(lambda: vendor.calls, 5)
        process.terminate()
        assert process.wait(5) == 1
    assert list(tmp_path.iterdir()) == []


def test_environment_file_that_cannot_be_read_is_named(run, tmp_path):
    flags = ("--text", "A", "--output", tmp_path / "a.mp3")
    outcome = run("generate_audio.py", *flags, SCRIPTS_ENV_FILE=tmp_path / "absent.env")
    assert (outcome.code, outcome.names) == (1, ["started", "error"])
    assert "absent.env" in outcome.the("error")["message"]


def test_output_that_cannot_be_written_fails_before_paying(run, vendor, tmp_path):
    (tmp_path / "file").write_text("in the way")
    outcome = run("generate_asset.py", "--prompt", "A", "--output", tmp_path / "file" / "a.png")
    assert (outcome.code, outcome.names, vendor.calls) == (1, ["started", "error"], [])
