"""Channels from their files, and back: what a file says becomes the channel's, what it leaves out stays as it is.

A channel is all or nothing; one's faults are not another's. Nothing is ever deleted or switched off by a file that is
not there.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files import File
from django.db import IntegrityError, models, transaction
from django.db.models.fields.files import FieldFile
from environ.fileaware_mapping import FileAwareMapping

from channels_app.branding import MOST_BRANDING
from channels_app.documents import FIELDS, TOKENS, Document, Fault, FaultyError, read, write
from channels_app.models import Channel, Token
from production.stages import PIECES

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Outcome:
    """What became of a channel: created, changed (in which fields) or unchanged; `notes` for who runs it."""

    channel: Channel
    verb: str
    changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        fields = f" in {', '.join(self.changes)}" if self.verb == "changed" else ""
        return "; ".join([f"{self.verb}{fields}", *self.notes])


def find(paths: list[Path]) -> list[Path]:
    """The files that are meant, those of folders in their order."""
    found = []
    for path in paths:
        inside = sorted(each for each in path.iterdir() if each.suffix in SUFFIXES) if path.is_dir() else [path]
        found += inside
    return list(dict.fromkeys(found))


def sync_all(paths: list[Path], *, dry_run: bool = False) -> Iterator[Outcome | FaultyError]:
    """Each file on its own. Two files of one channel: only the first counts, or each run would change it twice."""
    seen: dict[str, Path] = {}
    for path in paths:
        try:
            document = read(path)
            slug = document.values["slug"]
            if slug in seen:
                raise FaultyError(document.fault("slug", f"“{slug}” is {seen[slug]}'s already; give it another"))
            seen[slug] = path
            yield sync(document, dry_run=dry_run)
        except FaultyError as faulty:
            yield faulty


def sync(document: Document, *, dry_run: bool = False) -> Outcome:
    """Make the channel as its file says. Errors: FaultyError, and then nothing has changed."""
    channel = Channel.objects.filter(slug=document.values["slug"]).first() or Channel()
    is_new = not channel.pk
    with ExitStack() as stack:
        changes = _set(channel, document, stack)
        _validate(channel, document)
        tokens, notes = _tokens(channel, document)
        if not dry_run:
            _save(channel, changes, tokens, document)
    changed = (*changes, *(f"{TOKENS}.{token.name}" for token in tokens))
    return Outcome(channel, "created" if is_new else "changed" if changed else "unchanged", changed, tuple(notes))


def _set(channel: Channel, document: Document, stack: ExitStack) -> list[str]:
    """Puts on the row what differs; which fields those are. Branding files stay open until the stack is left."""
    changes = []
    for name, value in document.values.items():
        old = getattr(channel, name)
        new = _branding(document, name, value, old, stack) if isinstance(old, FieldFile) else value
        if new != old:
            setattr(channel, name, new)
            changes.append(name)
    return changes


def _branding(
    document: Document, name: str, said: str, old: FieldFile, stack: ExitStack
) -> "FieldFile | File[bytes] | str":
    """The file beside the document; what is stored already with the same bytes stays."""
    if not said:
        return ""
    path, home = (document.path.parent / said).resolve(), document.path.parent.resolve()
    if not path.is_relative_to(home) or not path.is_file():
        raise FaultyError(document.fault(name, f"{said} is no file in or below {document.path.parent}; put it there"))
    if path.stat().st_size > MOST_BRANDING:
        raise FaultyError(document.fault(name, f"{said} has over {MOST_BRANDING} bytes; make it shorter"))
    try:
        file = stack.enter_context(path.open("rb"))
    except OSError as error:
        raise FaultyError(document.fault(name, f"{said} can't be read ({error.strerror})")) from error
    return old if _is_same(old, path) else File(file, name=path.name)


def _is_same(old: FieldFile, path: Path) -> bool:
    if not old or not Path(old.path).is_file():
        return False
    with Path(old.path).open("rb") as stored, path.open("rb") as given:
        return hashlib.file_digest(stored, "sha256").digest() == hashlib.file_digest(given, "sha256").digest()


def _validate(channel: Channel, document: Document) -> None:
    """By the model's own rules. What an older row holds that the file says nothing of is not the file's fault."""
    others = set(FIELDS) - set(document.values) if channel.pk else set()
    try:
        channel.full_clean(exclude=others)
    except ValidationError as error:
        raise FaultyError(*_faults(document, error)) from error


def _faults(document: Document, error: ValidationError) -> Iterator[Fault]:
    for name, messages in error.message_dict.items():
        known = FIELDS.get(name)
        choices = getattr(known, "base_field", known)
        allowed = [str(key) for key, _ in getattr(choices, "choices", None) or ()]
        remedy = f"Write one of {', '.join(allowed)}." if allowed else ""
        missing = "It has to be in the file." if name not in document.values and name in FIELDS else ""
        yield document.fault(name if name in FIELDS else "", " ".join([*messages, remedy, missing]).strip())


# ---------------------------------------------------------------- secrets


def _tokens(channel: Channel, document: Document) -> tuple[list[Token], list[str]]:
    """The tokens that are new or differ, and what to say of those whose variable is empty: they stay as stored."""
    differ, notes = [], []
    for name, variable in document.tokens.items():
        entry = f"{TOKENS}.{name}"
        _require_usable(document, entry, name, variable)
        token = _stored(channel, name) or Token(channel=channel, name=name)
        value = _secret(document, entry, variable)
        if value and value != token.value:
            token.value = value
            differ.append(token)
        elif not value and token.pk:
            notes.append(f"{name}: {variable} is empty here, the stored one stays")
        elif not value:
            raise FaultyError(
                document.fault(entry, f"the environment has no {variable}; set it, or take this line out")
            )
    return differ, notes


def _require_usable(document: Document, entry: str, name: str, variable: str) -> None:
    """A token that no script is handed would be a silent mistake; this installation's own secrets go nowhere."""
    known = sorted({secret for piece in PIECES for secret in piece.secrets})
    if name not in known:
        raise FaultyError(document.fault(entry, f"no script reads {name}; there are {', '.join(known)}"))
    if variable.removesuffix("_FILE") in settings.OWN_NAMES:
        raise FaultyError(
            document.fault(entry, f"{variable} is this installation's own; use a variable of the channel's")
        )


def _stored(channel: Channel, name: str) -> Token | None:
    """Without its value where that can't be decrypted any more: a new one heals it."""
    if not channel.pk:
        return None
    try:
        return channel.tokens.filter(name=name).first()
    except ValueError:
        token = channel.tokens.filter(name=name).defer("value").get()
        token.value = ""
        return token


def _secret(document: Document, entry: str, variable: str) -> str:
    """As settings read theirs: from the variable, or from the file that `{variable}_FILE` names."""
    try:
        return str(FileAwareMapping(os.environ).get(variable, "")).strip()
    except (OSError, ValueError) as error:
        raise FaultyError(document.fault(entry, f"{variable}_FILE can't be read; mend its path")) from error


# ---------------------------------------------------------------- saving


def _save(channel: Channel, changes: list[str], tokens: list[Token], document: Document) -> None:
    """Files first: no transaction waits for a copy."""
    for name in changes:
        file = getattr(channel, name)
        if isinstance(file, FieldFile) and file:
            file.save(str(file.name), file.file, save=False)
    try:
        with transaction.atomic():
            if not channel.pk:
                channel.save()
            elif changes:
                channel.save(update_fields=changes)
            for token in tokens:
                token.channel = channel
                token.save()
    except IntegrityError as error:
        raise FaultyError(document.fault("", "somebody else changed this channel meanwhile; run it again")) from error


def without_file(slugs: set[str]) -> list[str]:
    """Channels that none of these files speaks of; they stay as they are."""
    return list(Channel.objects.exclude(slug__in=slugs).values_list("slug", flat=True))


# ---------------------------------------------------------------- back


def export(channel: Channel, folder: Path) -> Path:
    """Write the channel's file and its branding into `folder`; of secrets only the names. Errors: OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: _copy(getattr(channel, name), folder, channel, name) for name in _branded(channel)}
    variables = {
        name: f"{channel.slug.upper().replace('-', '_')}_{name}"
        for name in channel.tokens.order_by("name").values_list("name", flat=True)
    }
    path = folder / f"{channel.slug}.yaml"
    path.write_text(write(channel, files, variables), encoding="utf-8")
    return path


def _branded(channel: Channel) -> list[str]:
    return [name for name, each in FIELDS.items() if isinstance(each, models.FileField) and getattr(channel, name)]


def _copy(file: FieldFile, folder: Path, channel: Channel, name: str) -> str:
    target = folder / channel.slug / f"{name}{Path(file.name or '').suffix}"
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(file.path, target)
    return str(target.relative_to(folder))
