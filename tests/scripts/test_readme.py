"""What scripts/README.md tells a person to type works as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import av
import pytest
from PIL import Image

from tests import ROOT
from tests.scripts.conftest import SCRIPTS, script_environment

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = "".join(BLOCK.findall((SCRIPTS / "README.md").read_text()))


@pytest.fixture
def typed(tmp_path):
    """All commands of the page, typed into one shell; (the folder they call $WORK, what was printed)."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in script_environment().items() if not name.endswith(("_KEY", "_ID"))}
    command = ["bash", "-eu", "-o", "pipefail", "-c", COMMANDS]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment | {"PATH": path, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (work,) = tmp_path.glob("tmp.*")
    return work, done.stdout


def test_readme_commands_do_what_the_page_says(typed):
    work, said = typed
    for name in ("composite.png", "split.png"):
        with Image.open(work / name) as picture:
            assert picture.size == (1920, 1080)
    for name in ("clip.mp4", "second.mp4", "film.mp4"):
        with av.open(str(work / name)) as film:
            assert film.streams.video[0].frames > 24
    assert said.count('"event": "submitted"') == 3, "blocking, catbox and signed; the phased one is read by sed"
    assert '"kind": "refused"' in said
    assert "exit 1" in said
    assert not (work / "duel.png").exists()
    assert '"vendor":"kie"' in said.replace(" ", "")


def test_readme_runs_every_script_and_names_every_setting_of_the_paying_ones():
    page = (SCRIPTS / "README.md").read_text()
    scripts = [path.name for path in SCRIPTS.glob("*.py") if "__main__" in path.read_text()]
    assert len(scripts) == 8
    assert [name for name in scripts if f"python {name}" not in COMMANDS] == []
    read = re.compile(r'(?:setting|number|_number|signed_address)\(\s*"([A-Z_]+)"|^NUMBERS = \{(.*)\}$', re.MULTILINE)
    sources = "".join(
        (SCRIPTS / f"{name}.py").read_text() for name in ("kie", "gemini", "eleven", "seeds", "generate_video")
    )
    names = {name for found in read.findall(sources) for name in re.findall(r"[A-Z_]{4,}", " ".join(found))}
    assert len(names) > 12
    assert sorted(name for name in names if name not in page) == []
