"""Passwords can't be tried without end."""

import pytest
from django.contrib.auth import authenticate
from django.test import Client
from django.urls import reverse

from config import login
from tests.factories import PASSWORD, make_operator

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_tried() -> None:
    login.counts.clear()


def log_in(name: str, password: str) -> bool:
    client = Client()
    client.post(reverse("admin:login"), {"username": name, "password": password})
    return "_auth_user_id" in client.session


def test_login_after_too_many_wrong_passwords_is_refused_for_a_while():
    mine, other = make_operator(), make_operator()
    assert not any(log_in(mine.username, "wrong") for _ in range(login.MOST_WRONG))
    assert not log_in(mine.username, PASSWORD)
    assert log_in(other.username, PASSWORD)
    login.counts.clear()  # as time does
    assert log_in(mine.username, PASSWORD)


def test_login_still_counts_after_many_invented_names():
    mine = make_operator()
    for number in range(login.MOST_WRONG + 400):
        authenticate(username=mine.username if number < login.MOST_WRONG else f"nobody-{number}", password="wrong")
    assert not log_in(mine.username, PASSWORD)


def test_login_forgets_what_was_wrong_before_it_was_right():
    operator = make_operator()
    for _ in range(3):
        assert not any(log_in(operator.username, "wrong") for _ in range(login.MOST_WRONG - 1))
        assert log_in(operator.username, PASSWORD)


def test_login_that_is_refused_works_out_no_password(monkeypatch: pytest.MonkeyPatch):
    hashed = []
    for _ in range(login.MOST_WRONG):
        log_in("nobody", "wrong")
    monkeypatch.setattr("django.contrib.auth.hashers.MD5PasswordHasher.encode", lambda *_: hashed.append(1) or "")
    assert not log_in("nobody", "wrong")
    assert not hashed
