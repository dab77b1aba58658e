"""Passwords can't be tried without end: ten wrong ones for a name, and for five minutes not even the right one counts.

Counted in a cache of its own, which each process of the web server has for itself: a restart forgets it. Who is logged
in stays so. Nobody's password is worked out meanwhile, which costs a third of a second each.
"""

import hashlib
from typing import Any

import structlog
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core.cache import caches
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

log = structlog.get_logger(__name__)
MOST_WRONG = 10
PATIENCE = 300  # seconds, from the first wrong one
counts = caches["logins"]


class PatientBackend(ModelBackend):
    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **words: Any
    ) -> User | None:
        """Errors: PermissionDenied, which the login page words as a wrong password."""
        key = f"login:{hashlib.sha256(f'{username}'.encode(errors='replace')).hexdigest()}"
        if _tries(key) > MOST_WRONG:
            log.warning("login_attempt_refused", reason="too many wrong passwords for this name")
            raise PermissionDenied
        user = super().authenticate(request, username, password, **words)
        if user:
            counts.delete(key)
        return user


def _tries(key: str) -> int:
    """Counted before the look, so that many at once are not all the first."""
    counts.add(key, 0, PATIENCE)
    try:
        return int(counts.incr(key))
    except ValueError:  # it has ended just now
        return 1
