"""Bad input gets one line that names the file or field, exit 1, no output, and no paid call."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.media import picture
from tests.scripts.conftest import ADDRESSES, SCRIPTS, script_environment

PAYING = ("generate_asset.py", "generate_video.py", "generate_audio.py", "generate_sound_effects.py")


@pytest.fixture
def seed(tmp_path):
    path = tmp_path / "seed.png"
    path.write_bytes(picture((320, 180)))
    return path


@pytest.fixture
def make(run, seed, tmp_path):
    """Runs a script with flags that are good but for the given ones; the output would be tmp_path/out/made."""

    def start(name, *flags, **environment):
        usual = {
            "generate_asset.py": ("--prompt", "A lamp"),
            "generate_video.py": ("--image", seed, "--prompt", "Lift the lamp"),
            "generate_audio.py": ("--text", "After the storm"),
            "generate_sound_effects.py": ("--text", "Wind", "--no-normalize"),
        }[name]
        return run(name, *usual, "--output", tmp_path / "out/made", *flags, **environment)

    return start


def refused(outcome, tmp_path, *words):
    """The whole of the bargain: one error event of one line with the words, exit 1, nothing left behind."""
    (error,) = outcome.all("error")
    assert (outcome.code, outcome.names[-1], outcome.stderr) == (1, "error", "")
    assert "\n" not in error["message"]
    assert [word for word in words if word not in error["message"]] == []
    out = tmp_path / "out"
    assert not out.exists() or list(out.iterdir()) == []
    return error


def corrupt(kind, size):
    """A picture whose end is missing."""
    return picture((640, 360), kind=kind)[:size]


@pytest.mark.parametrize(
    "content",
    [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", corrupt("PNG", -40), corrupt("JPEG", -200), b"text " * 99],
    ids=["empty", "GIF", "PNG's name", "JPEG's name", "PNG cut", "JPEG cut", "text"],
)
@pytest.mark.parametrize(
    ("name", "flag"), [("generate_asset.py", "--reference-image"), ("generate_video.py", "--image")]
)
def test_corrupt_picture(make, vendor, tmp_path, name, flag, content):
    (tmp_path / "broken.img").write_bytes(content)
    error = refused(make(name, flag, tmp_path / "broken.img"), tmp_path, "broken.img", "not a readable PNG")
    assert (error["kind"], vendor.calls) == ("permanent", [])


@pytest.mark.parametrize(
    ("name", "flag"), [("generate_asset.py", "--reference-image"), ("generate_video.py", "--image")]
)
def test_picture_without_end(make, vendor, tmp_path, name, flag):
    with (tmp_path / "huge.png").open("wb") as file:
        file.write(picture())
        file.truncate(8 << 30)  # a hole: it takes no room on the disk, but would in memory
    error = refused(make(name, flag, tmp_path / "huge.png"), tmp_path, "huge.png is larger than 200 MB")
    assert (error["kind"], vendor.calls) == ("permanent", [])


@pytest.mark.parametrize(
    ("name", "flag"), [("generate_asset.py", "--reference-image"), ("generate_video.py", "--image")]
)
@pytest.mark.parametrize("where", ["absent.png", "."])
def test_missing_picture(make, vendor, tmp_path, name, flag, where):
    refused(make(name, flag, tmp_path / where), tmp_path, str(tmp_path / where), "does not exist")
    assert vendor.calls == []


@pytest.mark.parametrize(
    ("name", "flags", "words"),
    [
        ("generate_asset.py", ("--prompt", "  "), ("--prompt",)),
        ("generate_video.py", ("--prompt", "x" * 2501), ("--prompt", "2501", "2500")),
        ("generate_video.py", ("--prompt", ""), ("--prompt",)),
        ("generate_audio.py", ("--text", "x" * 10_001), ("--text", "10001", "eleven_multilingual_v2")),
        ("generate_audio.py", ("--text", "x" * 5_001, "--model", "eleven_v3"), ("--text", "5001", "eleven_v3")),
        ("generate_audio.py", ("--text", "\n"), ("--text",)),
        ("generate_audio.py", ("--stability", "nan"), ("--stability",)),
        ("generate_audio.py", ("--similarity", "high"), ("--similarity",)),
        ("generate_sound_effects.py", ("--text", " "), ("--text",)),
        ("generate_sound_effects.py", ("--duration", "0.4"), ("--duration",)),
        ("generate_sound_effects.py", ("--format", "mp3_44100"), ("--format",)),
        ("generate_sound_effects.py", ("--target-volume", "3"), ("--target-volume",)),
    ],
)
def test_flag_out_of_bounds(make, vendor, tmp_path, name, flags, words):
    refused(make(name, *flags), tmp_path, *words)
    assert vendor.calls == []


def test_too_many_references(make, vendor, seed, tmp_path):
    refused(make("generate_asset.py", *["--reference-image", seed] * 15), tmp_path, "14", "15")
    assert vendor.calls == []


@pytest.mark.parametrize("name", PAYING)
def test_output_that_is_a_folder(make, vendor, tmp_path, name):
    outcome = make(name, "--output", tmp_path, PHASE="")
    refused(outcome, tmp_path, "--output", str(tmp_path), "folder")
    assert outcome.all("sending") == []
    assert vendor.calls == []


@pytest.mark.parametrize("name", PAYING)
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["keys.env", "No such file"]),
        (b"", None),
        (b"GEMINI_API_KEY", ["keys.env, line 1", "NAME=value"]),
        (b"\n# keys\n=x\n", ["keys.env, line 3", "NAME=value"]),
        (b"A=\xff\xfe", ["keys.env", "not UTF-8"]),
        ("folder", ["keys.env", "Is a directory"]),
    ],
    ids=["absent", "empty", "no value", "no name", "not UTF-8", "a folder"],
)
def test_environment_file_that_can_not_be_read(make, vendor, tmp_path, name, content, words):
    file = tmp_path / "keys.env"
    if content == "folder":
        file.mkdir()
    elif content is not None:
        file.write_bytes(content)
    keys = dict.fromkeys(("GEMINI_API_KEY", "KIE_API_KEY", "ELEVENLABS_API_KEY"), "")
    outcome = make(name, SCRIPTS_ENV_FILE=file, **keys)
    refused(outcome, tmp_path, *words or ["_API_KEY is not set"])
    assert vendor.calls == []


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("generate_asset.py", "GEMINI_API_KEY", "sandbox-\tkey"),
        ("generate_asset.py", "GEMINI_BASE_URL", "vendor.example"),
        ("generate_asset.py", "GEMINI_BASE_URL", "https://vendor.example:99999"),
        ("generate_audio.py", "ELEVENLABS_BASE_URL", "http://vendor.example:port"),
        ("generate_asset.py", "GEMINI_IMAGE_USD_PER_MILLION", "thirty"),
        ("generate_video.py", "KIE_CREDIT_USD", "-1"),
        ("generate_video.py", "KIE_VIDEO_CREDITS", "nan"),
        ("generate_video.py", "KIE_WAIT_SECONDS", "for ever"),
        ("generate_video.py", "PHASE", "begin"),
        ("generate_video.py", "FFMPEG", "no-such-program"),
        ("generate_audio.py", "ELEVENLABS_VOICE_ID", ""),
        ("generate_audio.py", "ELEVENLABS_CREDIT_USD", "free"),
        ("generate_sound_effects.py", "ELEVENLABS_BASE_URL", "ftp://vendor.example"),
    ],
)
def test_setting_that_makes_no_sense(make, vendor, tmp_path, name, setting, value):
    outcome = make(name, **{setting: value})
    refused(outcome, tmp_path, setting)
    assert (outcome.all("sending"), vendor.calls) == ([], [])


@pytest.mark.parametrize(
    ("name", "setting", "kind"),
    [
        ("generate_asset.py", "GEMINI_IMAGE_MODEL", "permanent"),
        ("generate_video.py", "KIE_VIDEO_MODEL", "permanent"),
        ("generate_audio.py", "ELEVENLABS_MODEL", "permanent"),
        ("generate_sound_effects.py", "ELEVENLABS_SOUND_MODEL", "permanent"),
    ],
)
def test_unknown_model_is_named_with_its_setting(process, make, tmp_path, name, setting, kind):
    real = {address: process.addresses[address] for address in ADDRESSES}
    spent = process.client.spent_usd()
    error = refused(make(name, **real, **{setting: "no-such-model"}), tmp_path, f"{setting} is no-such-model")
    assert (error["kind"], process.client.spent_usd()) == (kind, spent)


@pytest.mark.parametrize(
    ("name", "flags", "words"),
    [
        ("generate_audio.py", ("--text", "x" * 5_001, "--model", "eleven_v4"), ("5000",)),
        ("generate_sound_effects.py", ("--text", "x" * 451), ("451", "450")),
        ("generate_sound_effects.py", ("--format", "mp3_11111_64"), ("output_format",)),
    ],
)
def test_limit_that_only_the_vendor_knows(process, make, tmp_path, name, flags, words):
    real = {address: process.addresses[address] for address in ADDRESSES}
    assert refused(make(name, *flags, **real), tmp_path, *words)["kind"] == "permanent"


TAG = b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10)
EMPTY_WAV = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x44\xac\0\0\x88\x58\x01\0\x02\0\x10\0data\0\0\0\0"


@pytest.mark.parametrize("content", [b"", TAG, TAG + bytes(50)], ids=["nothing", "a tag", "a tag and zeros"])
def test_narration_of_zero_length(make, vendor, tmp_path, content):
    vendor.say("/v1/text-to-speech/", {"audio_base64": base64.b64encode(content).decode()})
    assert refused(make("generate_audio.py"), tmp_path)["kind"] == "unknown"


@pytest.mark.parametrize(
    ("form", "content"),
    [("mp3_44100_128", TAG), ("pcm_44100", b""), ("pcm_44100", b"\0"), ("wav_44100", EMPTY_WAV)],
    ids=["an MP3's tag", "no sample", "half a sample", "a WAV's header"],
)
def test_sound_of_zero_length(make, vendor, tmp_path, form, content):
    vendor.say("/v1/sound-generation", content)
    assert refused(make("generate_sound_effects.py", "--format", form), tmp_path)["kind"] == "unknown"


@pytest.mark.parametrize("name", PAYING)
def test_start_loads_only_requests_and_the_standard_library(name):
    """What a script loads before it has anything to do: no vendor's SDK, no imaging."""
    program = (
        "import json, runpy, sys\n"
        "sys.argv = [sys.argv[1], '--help']\n"
        "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\nexcept SystemExit:\n    pass\n"
        "files = {name: getattr(module, '__file__', None) for name, module in sys.modules.items() if '.' not in name}\n"
        "print(json.dumps({name: file for name, file in files.items() if file}))"
    )
    command = [sys.executable, "-c", program, str(SCRIPTS / name)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SCRIPTS, env=bare(), timeout=60, check=True)
    files = json.loads(done.stdout.splitlines()[-1])
    strangers = {module for module, file in files.items() if "site-packages" in file and not module.startswith("_")}
    own = {module for module, file in files.items() if Path(file).parent == SCRIPTS}
    assert strangers - own == {"requests", "urllib3", "idna", "certifi", "charset_normalizer"}


def bare():
    """The environment without the measuring of coverage, which loads itself."""
    return {name: value for name, value in script_environment().items() if not name.startswith("COVERAGE_")}


@pytest.mark.parametrize("name", PAYING)
def test_start_stays_under_60_megabytes(name):
    program = (
        "import resource, subprocess, sys\n"
        "subprocess.run([sys.executable, sys.argv[1], '--help'], check=True, stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [sys.executable, "-c", program, str(SCRIPTS / name)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SCRIPTS, env=bare(), timeout=60, check=True)
    assert int(done.stdout) * 1024 < 60e6
