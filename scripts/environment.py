"""Settings and secrets from the environment, missing names filled in from ``.env`` beside the scripts."""

import math
import os
from pathlib import Path
from urllib.parse import urlsplit

from contract import Failure, hide


def load() -> None:
    """Fill in names missing from the environment out of SCRIPTS_ENV_FILE (default: ``.env`` here; empty: no file)."""
    chosen = os.environ.get("SCRIPTS_ENV_FILE")
    path = Path(__file__).with_name(".env") if chosen is None else Path(chosen)
    if chosen == "" or (chosen is None and not path.exists()):
        return
    for name, value in _parse(path).items():
        os.environ.setdefault(name, value)


def _parse(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()  # some editors begin a file with a mark
    except (OSError, UnicodeDecodeError) as error:
        raise Failure("permanent", f"{path} can't be read: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
    values = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip().removeprefix("export ")
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier():
            raise Failure("permanent", f"{path}, line {number}: expected NAME=value")
        values[name.strip()] = _unquote(value.strip())
    return values


def _unquote(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value.partition(" #")[0].rstrip()


def setting(name: str, default: str = "") -> str:
    """The value of a setting; an empty one counts as not set."""
    return os.environ.get(name, "").strip() or default


def secret(name: str) -> str:
    """A secret that must be there; from now on it is never printed. Printable ASCII, as it travels in a header."""
    value = setting(name)
    hide(value)
    if not value:
        raise Failure("permanent", f"{name} is not set")
    if not (value.isascii() and value.isprintable()):
        raise Failure("permanent", f"{name} holds characters that no key has")
    return value


def number(name: str, default: float) -> float:
    """A setting that is a number, not negative: a price or a count."""
    text = setting(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise Failure("permanent", f"{name} is not a number of zero or more")
    return value


def address(name: str, default: str) -> str:
    """The base URL of a service, without a slash at its end."""
    value = setting(name, default).rstrip("/")
    if not is_web_address(value):
        raise Failure("permanent", f"{name} is not an http(s) address")
    return value


def signed_address(name: str) -> str:
    """A URL that opens something to whoever has it: never printed, and taken as it is."""
    value = setting(name)
    hide(value)
    if not is_web_address(value):
        raise Failure("permanent", f"{name} is not an http(s) address")
    return value


def is_web_address(value: object) -> bool:
    """Whether this is an http(s) URL with a host; anything else that a service sends back is not followed."""
    if not isinstance(value, str) or any(character.isspace() for character in value):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # also of a port that is none
        return False
