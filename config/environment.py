"""The environment of a rehearsal: demo, tests, bench and chaos never meet a real vendor, a real key or real data.

It starts from names known to be harmless, not from what the shell has: a list of what to drop would miss tomorrow's
key. An empty ENV_FILE keeps every `.env` unread.

`python -m config.environment [NAME=value]... COMMAND...` runs a command in such an environment, as env(1) would.
"""

import base64
import itertools
import os
import re
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import environ

Environment = dict[str, str]

HARMLESS = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TMPDIR|TZ|VIRTUAL_ENV|LD_LIBRARY_PATH|XDG_RUNTIME_DIR|CI|FFMPEG"
    r"|LANG|LANGUAGE|LC_\w+|TERM|COLORTERM|NO_COLOR|FORCE_COLOR|COLUMNS|LINES"
    r"|PYTHONUNBUFFERED|PYTHONDONTWRITEBYTECODE|PYTHONWARNINGS"
    r"|COVERAGE_PROCESS_(START|CONFIG)"  # else the stack of a journey would go unmeasured
)
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True)
class Vendor:
    """The names by which the product knows one outside service.

    `keys` are all needed to use it; `addresses` maps each name to the service's own address; `choices` are its optional
    settings, taken over with the keys because they belong to the same account; `extras` are secrets that an account may
    have: a rehearsal has them, a vendor turned real only with its own.
    """

    name: str
    keys: tuple[str, ...]
    addresses: Mapping[str, str]
    choices: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()


VENDORS = (
    # Real webhooks come in through a tunnel: its address belongs to the account.
    Vendor("Notion", ("NOTION_API_KEY",), {"NOTION_BASE_URL": "https://api.notion.com"}, ("PUBLIC_URL",)),
    Vendor(
        "Gemini",
        ("GEMINI_API_KEY",),
        {"GEMINI_BASE_URL": "https://generativelanguage.googleapis.com"},
        ("GEMINI_IMAGE_MODEL", "GEMINI_TEXT_MODEL"),
    ),
    Vendor(
        "KIE",
        ("KIE_API_KEY",),
        {
            "KIE_BASE_URL": "https://api.kie.ai",
            "KIE_UPLOAD_URL": "https://kieai.redpandaai.co",
            "CATBOX_URL": "https://catbox.moe/user/api.php",
        },
        ("KIE_VIDEO_MODEL", "SEED_UPLOAD"),
        ("KIE_WEBHOOK_KEY",),
    ),
    Vendor(
        "ElevenLabs",
        ("ELEVENLABS_API_KEY", "ELEVENLABS_VOICE_ID"),
        {"ELEVENLABS_BASE_URL": "https://api.elevenlabs.io"},
        ("ELEVENLABS_MODEL", "ELEVENLABS_SOUND_MODEL"),
    ),
    Vendor(
        "YouTube",
        ("GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"),
        {
            "GOOGLE_TOKEN_URL": "https://oauth2.googleapis.com/token",
            "YOUTUBE_BASE_URL": "https://youtube.googleapis.com/",
        },
    ),
    Vendor("Slack", ("SLACK_WEBHOOK_URL",), {}),
    Vendor("Discord", ("DISCORD_WEBHOOK_URL",), {}),
)
ADDRESSES = frozenset(name for vendor in VENDORS for name in vendor.addresses) | {
    "SLACK_WEBHOOK_URL",
    "DISCORD_WEBHOOK_URL",
}


def rehearsal(addresses: Mapping[str, str], **extra: str) -> Environment:
    """An environment in which every vendor is the sandbox, with new secrets; `extra` is set last.

    `addresses` is what the sandbox wrote. A vendor it forgot would be the real one by default, so ValueError.
    """
    _refuse_strangers(addresses)
    keys = {key: f"sandbox-{key.lower()}" for vendor in VENDORS for key in (*vendor.keys, *vendor.extras)}
    return harmless() | keys | dict(addresses) | new_secrets() | extra


def harmless() -> Environment:
    """What of this process's environment points at nobody and opens nothing; every `.env` stays unread."""
    kept = {name: value for name, value in os.environ.items() if HARMLESS.fullmatch(name)}
    return kept | {"ENV_FILE": "", "SCRIPTS_ENV_FILE": ""}


def with_real_keys(environment: Environment, dotenv: Path) -> tuple[Environment, list[str]]:
    """Turn each vendor real whose keys all stand in `dotenv`; the new environment and the names of those vendors.

    Their address is the one in `dotenv`, else the vendor's own. The others stay in the sandbox.
    """
    given = {name: value for name, value in _read(dotenv).items() if value and not value.startswith("sandbox-")}
    real = [vendor for vendor in VENDORS if all(key in given for key in vendor.keys)]
    changed = dict(environment)
    for vendor in real:
        names = (*vendor.keys, *vendor.addresses, *vendor.choices, *vendor.extras)
        theirs = {name: given[name] for name in names if name in given}
        changed |= dict(vendor.addresses) | dict.fromkeys(vendor.extras, "") | theirs
    return changed, [vendor.name for vendor in real]


def run_sealed(arguments: list[str]) -> NoReturn:
    """Become the command that follows the settings, in a harmless environment with these settings."""
    command = list(itertools.dropwhile(lambda argument: "=" in argument, arguments))
    settings = dict(argument.split("=", 1) for argument in arguments[: -len(command)])
    os.execvpe(command[0], command, harmless() | settings)  # noqa: S606 - no shell is what is wanted


def _read(dotenv: Path) -> Environment:
    """What the settings' own reader makes of the file, without a trace in os.environ; a missing file is empty."""

    class Reader(environ.Env):  # type: ignore[misc] # django-environ has no types
        ENVIRON: Environment = {}

    Reader.read_env(dotenv, parse_comments=True)
    return Reader.ENVIRON


def _refuse_strangers(addresses: Mapping[str, str]) -> None:
    if missing := sorted(ADDRESSES - addresses.keys()):
        raise ValueError(f"the sandbox has no address for {', '.join(missing)}")
    for name, address in addresses.items():
        if urlsplit(address).hostname not in LOOPBACK:
            raise ValueError(f"{name} of the sandbox is not on this machine: {address}")


def new_secrets() -> Environment:
    """What only this installation knows."""
    return {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "ENCRYPTION_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }


if __name__ == "__main__":
    run_sealed(sys.argv[1:])
