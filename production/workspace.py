"""Where the files of a task lie (FR44).

{root}/{channel}/{task}/takes/{take}/{token}/   one start of a script: stdout, stderr, exit, its output
{root}/{channel}/{task}/assets/characters/hero.png -> the selected take   (composites, videos, audio, sfx, final alike)
"""

import datetime as dt
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django.conf import settings
from django.core import signing

from production.models import Take, Task

SIGNED, SIGNED_LIFE = "take file", dt.timedelta(hours=24)  # a render waits in the provider's line before it fetches


def folder(task: Task) -> Path:
    return settings.WORKSPACE_ROOT / task.channel.slug / str(task.pk)


def run_folder(take: Take) -> Path:
    """The folder of the take's present claim; another claim has another token and so another folder."""
    return folder(take.task) / "takes" / str(take.pk) / str(take.token)


def file_of(take: Take) -> Path:
    """The file that the take produced."""
    return folder(take.task) / take.output


def signed_name(take: Take) -> str:
    """A word that opens this take's file to a provider without a login, for SIGNED_LIFE; see `signed_take`."""
    return signing.dumps(take.pk, salt=SIGNED)


def signed_take(name: str) -> Take | None:
    """The take whose file the word opens, None where it is none of ours or too old."""
    try:
        key = signing.loads(name, salt=SIGNED, max_age=SIGNED_LIFE)
    except signing.BadSignature:
        return None
    return Take.objects.select_related("task__channel").filter(pk=key, state=Take.State.DONE).first()


def relative(take: Take, path: Path) -> str:
    return str(path.relative_to(folder(take.task)))


def canonical(take: Take, name: str) -> Path:
    """The place in the workspace where people and scripts find the piece, whichever take is selected."""
    return folder(take.task) / take.piece.folder / f"{name}{Path(take.output).suffix}"


def point_to(take: Take, link: Path) -> None:
    """Let `link` lead to the take's file; atomic: a reader sees the old take or the new one."""
    link.parent.mkdir(parents=True, exist_ok=True)
    fresh = link.with_name(f".{link.name}.{take.token}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(file_of(take))
    fresh.replace(link)


def write(path: Path, text: str) -> None:
    """Whole or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text)
    fresh.replace(path)


def fingerprint(path: Path) -> tuple[str, int]:
    """(sha256, bytes) of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return digest.hexdigest(), file.tell()


def is_full() -> bool:
    """Whether the disk has so little left that nothing new should begin: a half-written file costs more than a wait."""
    return bool(free_bytes() < settings.DISK_RESERVE)


def free_bytes() -> int:
    """What is left on the disk of the workspaces."""
    root: Path = settings.WORKSPACE_ROOT
    there = next(folder for folder in (root, *root.parents) if folder.exists())  # nothing is made before the first take
    return shutil.disk_usage(there).free


def remove(task: Task) -> None:
    """Errors: OSError where something can't be removed; what is gone already is none."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder(task))


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for runs that belong to no take; gone afterwards."""
    settings.WORKSPACE_ROOT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".ask-", dir=settings.WORKSPACE_ROOT, ignore_cleanup_errors=True) as folder:
        yield Path(folder)
