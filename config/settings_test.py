"""Settings of the test run: its own PostgreSQL from the wheel (fsync off), no `.env`, no vendor but loopback."""

import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet

from config import devpg

os.environ["ENV_FILE"] = os.environ["SCRIPTS_ENV_FILE"] = ""
for _name in list(os.environ):
    if _name.endswith(("_API_KEY", "_BASE_URL", "_WEBHOOK_URL", "_TOKEN_URL")):
        del os.environ[_name]
os.environ |= {
    "SECRET_KEY": secrets.token_urlsafe(50),
    "ENCRYPTION_KEY": Fernet.generate_key().decode(),
    "DATABASE_URL": devpg.ensure(Path(__file__).resolve().parent.parent / "var/test/pg", durable=False),
    "PUBLIC_URL": "http://localhost:8000",
}

from config.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
