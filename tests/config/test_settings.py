"""The settings file: typed, honest about what is missing, and listed in full."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from config.environment import VENDORS

ROOT = Path(__file__).resolve().parents[2]
GOOD = {
    "SECRET_KEY": "x" * 50,
    "ENCRYPTION_KEY": "q6Zy4iA0n3Vv1pO8vY1mQm0H0hFJb1e2s5t8u0w2y4A=",
    "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none",
}


def load(expression: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Print an expression about the settings, as a process of its own sees them."""
    code = f"from config import settings; print({expression})"
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=kept | env, capture_output=True, text=True, check=False
    )


def value(expression: str, **env: str) -> str:
    loaded = load(expression, **GOOD | env)
    assert loaded.returncode == 0, loaded.stderr
    return loaded.stdout.strip()


def test_settings_refuse_to_start_naming_every_missing_secret():
    loaded = load("1")
    assert loaded.returncode != 0
    last = loaded.stderr.strip().splitlines()[-1]
    assert "Not starting: set SECRET_KEY, ENCRYPTION_KEY, DATABASE_URL (or the same name with _FILE)" in last


@pytest.mark.parametrize("name", sorted(GOOD))
def test_settings_refuse_an_empty_secret(name):
    loaded = load("1", **GOOD | {name: ""})
    assert f"set {name} (or" in loaded.stderr


def test_settings_read_secrets_from_files(tmp_path):
    files = {}
    for name, secret in (GOOD | {"KIE_API_KEY": "kie-from-a-file"}).items():
        (tmp_path / name).write_text(f"{secret}\n")
        files[f"{name}_FILE"] = str(tmp_path / name)
    loaded = load("[settings.SECRET_KEY, settings.KIE_API_KEY, settings.ENCRYPTION_KEYS]", **files)
    assert loaded.stdout.strip() == str([GOOD["SECRET_KEY"], "kie-from-a-file", [GOOD["ENCRYPTION_KEY"]]])


def test_settings_read_the_dotenv_file_that_is_named(tmp_path):
    dotenv = tmp_path / "some.env"
    dotenv.write_text("".join(f"{name}={secret}\n" for name, secret in GOOD.items()) + "BATCH=7\n")
    assert load("settings.BATCH", ENV_FILE=str(dotenv)).stdout.strip() == "7"


def test_settings_are_typed():
    facts = "[settings.LEASE.total_seconds(), settings.RETRY_MINUTES, settings.DEBUG, settings.TEXT_USD_PER_MILLION]"
    assert value(facts) == "[30.0, (1, 5, 15, 60), False, (Decimal('0.30'), Decimal('2.50'))]"
    changed = value(facts, LEASE_SECONDS="5", RETRY_MINUTES="0.1,2", DEBUG="on", GEMINI_TEXT_USD_PER_MILLION="1,2.5")
    assert changed == "[5.0, (0.1, 2.0), True, (Decimal('1'), Decimal('2.5'))]"


def test_settings_of_https_are_strict():
    facts = "[settings.SECURE_SSL_REDIRECT, settings.SESSION_COOKIE_SECURE, settings.SECURE_HSTS_SECONDS > 0]"
    assert value(facts, PUBLIC_URL="https://studio.example/") == "[True, True, True]"
    assert value(facts) == "[False, False, False]"
    assert "'studio.example'" in value("settings.ALLOWED_HOSTS", PUBLIC_URL="https://studio.example")


def test_settings_change_addresses_by_name():
    assert value("settings.ADDRESSES['KIE_BASE_URL']", KIE_BASE_URL="http://127.0.0.1:5") == "http://127.0.0.1:5"
    assert value("settings.ADDRESSES == settings.OWN_ADDRESSES") == "True"


def test_settings_take_several_encryption_keys():
    assert (
        value("len(settings.ENCRYPTION_KEYS)", ENCRYPTION_KEY=f"{GOOD['ENCRYPTION_KEY']},{GOOD['ENCRYPTION_KEY']}")
        == "2"
    )


def test_every_name_that_is_read_stands_in_the_example():
    source = (ROOT / "config/settings.py").read_text()
    read = set(re.findall(r'(?:env\.\w+|seconds|secret)\("([A-Z_]+)"', source))
    read |= {name for vendor in VENDORS for name in (*vendor.keys, *vendor.addresses, *vendor.choices)}
    listed = set(re.findall(r"^#? ?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert read - {"ENV_FILE"} <= listed
    assert len(read) > 30
