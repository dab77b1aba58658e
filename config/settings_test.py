"""Settings of the test run: its own PostgreSQL from the wheel (fsync off), no `.env`, no vendor but loopback."""

import os
from pathlib import Path

from config import devpg, environment

_kept = {name: value for name, value in os.environ.items() if name.startswith(("DJANGO_SETTINGS_", "PYTEST_", "COV"))}
_sealed = environment.harmless() | environment.new_secrets() | _kept
os.environ.clear()
os.environ |= _sealed | {
    "DATABASE_URL": devpg.ensure(Path(__file__).resolve().parent.parent / "var/test/pg", durable=False),
    "PUBLIC_URL": "http://localhost:8000",
}

from config.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
