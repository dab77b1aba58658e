"""People who look at the admin."""

import pytest
from django.test import Client

from tests.factories import make_operator, make_staff


@pytest.fixture
def operator_client(client: Client) -> Client:
    """Logged in as who may decide everything."""
    client.force_login(make_operator(username="olga"))
    return client


@pytest.fixture
def looker_client(client: Client) -> Client:
    """Logged in as staff that may look at tasks and decide nothing."""
    client.force_login(make_staff("view_task", username="luis"))
    return client
