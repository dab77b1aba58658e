"""What opens something stands in no log, whoever writes the line."""

import io
import json
import logging
import logging.config
import uuid
from collections.abc import Iterator

import pytest
from django.conf import settings as django_settings
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """The log as production writes it."""
    handler = logging.StreamHandler(io.StringIO())
    words = django_settings.LOGGING["formatters"]["json"]
    handler.setFormatter(words["()"](**{name: value for name, value in words.items() if name != "()"}))
    logging.getLogger().addHandler(handler)
    yield handler.stream
    logging.getLogger().removeHandler(handler)


@pytest.mark.parametrize("path", ["/media/signed/{}/clip.png", "/callback/{}"])
def test_log_shows_no_address_that_opens_something(lines: io.StringIO, path: str):
    word = str(uuid.uuid4())
    Client().get(path.format(word))
    logging.getLogger("somebody").error("went wrong: https://studio.example%s", path.format(word))
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert any(line.get("request", "").startswith("GET /") for line in told)
    assert any(line["event"].startswith("went wrong: https://studio.example/") for line in told)
    assert word not in lines.getvalue()
