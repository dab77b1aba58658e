"""Tiny real scripts: what an operator might drop into SCRIPTS_DIR."""

from dataclasses import dataclass
from pathlib import Path

from tests.factories import media

PRELUDE = """
import json, os, sys, time
output = sys.argv[sys.argv.index("--output") + 1]
def say(event, **words):
    print(json.dumps({"event": event, **words}), flush=True)
def finish():
    with open(__file__ + ".media", "rb") as source, open(output, "wb") as target:
        target.write(source.read())
"""


@dataclass(frozen=True)
class Scripts:
    """Writes scripts into a folder; a script's `finish()` writes a whole file of its kind to --output."""

    folder: Path

    def write(self, name: str, body: str, *, suffix: str = ".png") -> Path:
        path = self.folder / name
        path.write_text(PRELUDE + body)
        Path(f"{path}.media").write_bytes(media(suffix, 1 if suffix != ".png" else 0))
        return path
