"""The settings file: typed, honest about what is missing, and listed in full."""

import datetime as dt
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.environment import VENDORS
from tests import ROOT

GOOD = {
    "SECRET_KEY": "x" * 50,
    "ENCRYPTION_KEY": "q6Zy4iA0n3Vv1pO8vY1mQm0H0hFJb1e2s5t8u0w2y4A=",
    "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none",
}


def load(expression: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Print an expression about the settings, as a process of its own sees them."""
    code = f"from config import settings; print({expression})"
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH") if name in os.environ}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, env=kept | env, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Callable[..., SimpleNamespace]:
    """The settings file, run with GOOD and these environment variables and no others."""

    def run(**env: str) -> SimpleNamespace:
        for name in list(os.environ):
            monkeypatch.delenv(name)
        for name, text in (GOOD | env).items():
            monkeypatch.setenv(name, text)
        return SimpleNamespace(**runpy.run_path(str(ROOT / "config/settings.py")))

    return run


def test_settings_refuse_to_start_naming_every_missing_secret():
    loaded = load("1")
    assert loaded.returncode != 0
    last = loaded.stderr.strip().splitlines()[-1]
    assert "Not starting: set SECRET_KEY, ENCRYPTION_KEY, DATABASE_URL (or the same name with _FILE)" in last


def test_settings_refuse_a_broker_there_is_not(read):
    with pytest.raises(ImproperlyConfigured, match="QUEUE_BROKER is redis, neither postgres nor orm"):
        read(QUEUE_BROKER="redis")


def test_settings_leave_the_queue_to_django_q2_where_asked(read):
    assert read().Q_CLUSTER["broker_class"] == "production.broker.PostgresBroker"
    assert read(QUEUE_BROKER="orm").Q_CLUSTER["broker_class"] is None


def test_settings_add_to_the_options_of_the_database_address(read):
    options = read(DATABASE_URL=GOOD["DATABASE_URL"] + "?connect_timeout=1").DATABASES["default"]["OPTIONS"]
    assert (int(options["connect_timeout"]), options["tcp_user_timeout"]) == (1, 20_000)


@pytest.mark.parametrize("name", sorted(GOOD))
def test_settings_refuse_an_empty_secret(read, name):
    with pytest.raises(ImproperlyConfigured, match=rf"set {name} \(or"):
        read(**{name: ""})


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


def test_settings_are_typed(read):
    plain = read()
    assert (dt.timedelta(seconds=30), (1, 5, 15, 60), False) == (plain.LEASE, plain.RETRY_MINUTES, plain.DEBUG)
    assert (Decimal("0.50"), Decimal("3.00")) == plain.TEXT_USD_PER_MILLION
    changed = read(LEASE_SECONDS="5", RETRY_MINUTES="0.1,2", DEBUG="on", GEMINI_TEXT_USD_PER_MILLION="1,2.5")
    assert (dt.timedelta(seconds=5), (0.1, 2.0), True) == (changed.LEASE, changed.RETRY_MINUTES, changed.DEBUG)
    assert (Decimal(1), Decimal("2.5")) == changed.TEXT_USD_PER_MILLION


def test_settings_of_https_are_strict(read):
    for url, strict in (("https://studio.example/", True), ("http://localhost:8000", False)):
        found = read(PUBLIC_URL=url)
        assert (found.SECURE_SSL_REDIRECT, found.SESSION_COOKIE_SECURE, found.SECURE_HSTS_SECONDS > 0) == (strict,) * 3
    assert "studio.example" in read(PUBLIC_URL="https://studio.example").ALLOWED_HOSTS


def test_settings_change_addresses_by_name(read):
    assert read(KIE_BASE_URL="http://127.0.0.1:5").ADDRESSES["KIE_BASE_URL"] == "http://127.0.0.1:5"


def test_settings_go_to_the_vendors_by_default(read):
    plain = read()
    assert plain.ADDRESSES == plain.OWN_ADDRESSES
    assert all(address.startswith("https://") for address in plain.ADDRESSES.values())


def test_settings_take_several_encryption_keys(read):
    key = GOOD["ENCRYPTION_KEY"]
    assert [key, key] == read(ENCRYPTION_KEY=f"{key},{key}").ENCRYPTION_KEYS


def test_every_name_that_is_read_stands_in_the_example():
    source = (ROOT / "config/settings.py").read_text()
    read = set(re.findall(r'(?:env\.\w+|seconds|secret)\("([A-Z_]+)"', source))
    read |= {name for vendor in VENDORS for name in (*vendor.keys, *vendor.addresses, *vendor.choices)}
    listed = set(re.findall(r"^#? ?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert read - {"ENV_FILE"} <= listed
    assert len(read) > 30
