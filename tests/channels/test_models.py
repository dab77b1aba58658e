"""Channels and their secrets: encrypted at rest, and immune to what the package gets wrong."""

import threading  # noqa: TID251 - two form validations at once

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.forms import modelform_factory
from pytest_django import Settings

from channels_app.models import Channel, Token
from production.models import NotionBoard
from tests.factories import make_channel

pytestmark = pytest.mark.django_db
TokenForm = modelform_factory(Token, fields=["name", "value"])


def make_token(value: str = "sk-secret", **words: object) -> Token:
    return Token.objects.create(**{"channel": make_channel(), "name": "KIE_API_KEY", "value": value} | words)


def stored(token: Token) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM channels_token WHERE id = %s", [token.pk])
        return cursor.fetchone()[0]


# ---------------------------------------------------------------- SecretTextField


@pytest.mark.parametrize("value", ["sk-secret", "", " ", "ünïcødé 🐝", "x" * 10_000, "gAAAAAB-looks-encrypted"])
def test_secret_comes_back_as_it_was_and_lies_encrypted(value):
    token = make_token(value)
    assert Token.objects.get(pk=token.pk).value == value
    assert stored(token).startswith("gAAAA")
    assert not value.strip() or value not in stored(token)


def test_secret_may_be_null_where_the_column_may():
    assert NotionBoard.objects.create().active_token is None
    assert NotionBoard.objects.get().active_token is None


def test_secret_is_encrypted_anew_each_time():
    assert stored(make_token()) != stored(make_token())


def test_secret_survives_a_failed_validation():
    """The package would return ciphertext from every later read in this process."""
    token = make_token()
    form = TokenForm({"name": "no environment name", "value": "new"}, instance=Token.objects.get(pk=token.pk))
    assert not form.is_valid()
    with pytest.raises(ValidationError):
        Token(channel=token.channel, name="", value="x").full_clean()
    assert Token.objects.get(pk=token.pk).value == "sk-secret"


def test_secret_survives_validation_beside_reading():
    """The package keeps decrypt state on the field, which all threads share."""
    field, token = Token._meta.get_field("value"), make_token()
    written, stop, wrong = stored(token), threading.Event(), []

    def validate() -> None:
        while not stop.is_set():
            if field.clean("typed", None) != "typed":
                wrong.append("validated")

    thread = threading.Thread(target=validate)
    thread.start()
    try:
        wrong += [1 for _ in range(300) if field.from_db_value(written, None, connection) != "sk-secret"]
    finally:
        stop.set()
        thread.join(10)
    assert wrong == []


def test_secret_with_a_wrong_key_is_loud(settings: Settings):
    token = make_token()
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(ValueError, match=r"Token.value: not decryptable with the current ENCRYPTION_KEY"):
        Token.objects.get(pk=token.pk)


def test_secret_while_keys_are_being_changed(settings: Settings):
    token, new = make_token(), Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [new, *settings.ENCRYPTION_KEYS]
    found = Token.objects.get(pk=token.pk)
    assert found.value == "sk-secret"
    found.save()
    settings.ENCRYPTION_KEYS = [new]
    assert Token.objects.get(pk=token.pk).value == "sk-secret"


def test_secret_is_in_no_text_of_its_row():
    token = make_token()
    assert "sk-secret" not in f"{token} {token!r}"
    assert str(token) == f"{token.channel}: KIE_API_KEY"


# ---------------------------------------------------------------- rows


@pytest.mark.parametrize("name", ["KIE_API_KEY", "A", "A1_B"])
def test_token_name_is_an_environment_name(name):
    Token(channel=make_channel(), name=name, value="x").full_clean()


@pytest.mark.parametrize("name", ["", "kie", "1A", "A-B", "A B", "X" * 41])
def test_token_name_is_nothing_else(name):
    with pytest.raises(ValidationError):
        Token(channel=make_channel(), name=name, value="x").full_clean()


def test_token_name_is_unique_in_its_channel():
    token = make_token()
    make_token()
    with pytest.raises(IntegrityError), transaction.atomic():
        make_token(channel=token.channel)


@pytest.mark.parametrize("words", [{"max_concurrent": 0}, {"clips_per_video": 0}])
def test_channel_refuses_what_could_never_work(words):
    with pytest.raises(IntegrityError), transaction.atomic():
        make_channel(**words)
    with pytest.raises(ValidationError):
        Channel(slug="s", name="n", **words).full_clean()


def test_channel_defaults_are_careful():
    channel = make_channel(name="Sea Stories")
    assert (str(channel), channel.privacy, channel.synthetic_media, channel.made_for_kids) == (
        "Sea Stories",
        "private",
        True,
        False,
    )
    assert channel.gates == ["assets", "video", "audio"]
    channel.full_clean()


@pytest.mark.parametrize("gates", [["assembly"], ["upload"], ["lunch"]])
def test_channel_gates_are_those_that_can_be_chosen(gates):
    with pytest.raises(ValidationError):
        Channel(slug="s", name="n", gates=gates).full_clean()
