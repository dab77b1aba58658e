"""Scripts are tested as their runner uses them: a subprocess, its events, its exit code, its file."""

import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass

import pytest
from PIL import Image, ImageDraw

from tests import ROOT
from tests.media import ffmpeg, picture
from tests.vendor import Vendor

SCRIPTS = ROOT / "scripts"
KEYS = {
    "GEMINI_API_KEY": "sandbox-gemini-key",
    "KIE_API_KEY": "sandbox-kie-key",
    "ELEVENLABS_API_KEY": "sandbox-eleven-key",
    "ELEVENLABS_VOICE_ID": "21m00Tcm4TlvDq8ikWAM",
}
ADDRESSES = ("GEMINI_BASE_URL", "KIE_BASE_URL", "KIE_UPLOAD_URL", "CATBOX_URL", "ELEVENLABS_BASE_URL")


@dataclass
class Outcome:
    code: int
    events: list[dict]
    stdout: str
    stderr: str

    def all(self, event):
        return [entry for entry in self.events if entry["event"] == event]

    def the(self, event):
        (entry,) = self.all(event)
        return entry

    @property
    def names(self):
        return [entry["event"] for entry in self.events]


def script_environment(**extra):
    base = {"PATH": os.environ["PATH"], "SCRIPTS_ENV_FILE": "", "FILM_PRESET": "ultrafast", "FILM_CRF": "30"}
    measured = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    return base | measured | KEYS | {name: str(value) for name, value in extra.items()}


def run_script(name, *arguments, **environment):
    command = [sys.executable, str(SCRIPTS / name), *map(str, arguments)]
    made = script_environment(**environment)
    done = subprocess.run(command, capture_output=True, text=True, cwd=SCRIPTS, env=made, timeout=60)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return Outcome(done.returncode, events, done.stdout, done.stderr)


@pytest.fixture
def vendor():
    with closing(Vendor()) as scripted:
        yield scripted


@pytest.fixture
def run(vendor):
    """Run a script with every address pointing at the scripted vendor."""

    def with_addresses(name, *arguments, **environment):
        return run_script(name, *arguments, **dict.fromkeys(ADDRESSES, vendor.url) | environment)

    return with_addresses


@pytest.fixture(scope="session")
def media(tmp_path_factory):
    """A folder of small real media: clips with a wrong sound of their own, narrations, effects, pictures."""
    folder = tmp_path_factory.mktemp("media")
    for name, source, seconds in (("clip", "testsrc2=s=1920x1080:r=24", 3), ("small", "testsrc2=s=1280x720:r=30", 2)):
        picture_and_tone = ("-f", "lavfi", "-i", source, "-f", "lavfi", "-i", "sine=f=3000", "-t", seconds)
        ffmpeg(
            *picture_and_tone, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", folder / f"{name}.mp4"
        )
    for name, seconds in (("short", 1.51), ("long", 4.2)):
        tone = f"aevalsrc='0.2*sin(440*2*PI*t)*(0.6+0.4*sin(9*t))':d={seconds}:s=44100"
        ffmpeg("-f", "lavfi", "-i", tone, folder / f"{name}.wav")
    ffmpeg("-f", "lavfi", "-i", "anoisesrc=d=5:c=pink:a=0.1", "-c:a", "libmp3lame", folder / "noise.mp3")
    (folder / "seed.png").write_bytes(picture())
    return folder


@pytest.fixture(scope="session")
def mp3(media):
    return (media / "noise.mp3").read_bytes()


@pytest.fixture
def figure(tmp_path):
    """A red figure with a white heart on a white backdrop, cut by the lower edge."""
    image = Image.new("RGB", (640, 360), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((240, 60, 400, 360), fill="red")
    draw.rectangle((300, 150, 340, 190), fill="white")
    path = tmp_path / "figure.png"
    image.save(path)
    return path
