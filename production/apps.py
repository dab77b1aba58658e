from typing import Any

from django.apps import AppConfig
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate

# A machine that vanishes in the midst of a transaction would keep its locks, a lane's among them, for as long as the
# server believes in it: two hours by default. No transaction of ours waits for anything but the database.
VANISHED = """
SET idle_in_transaction_session_timeout = '30s';
SET tcp_keepalives_idle = 20; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"""


class ProductionConfig(AppConfig):
    name = "production"

    def ready(self) -> None:
        from production import checks, providers, selftest  # noqa: F401 - checks and selftest register themselves

        post_migrate.connect(providers.open_lanes, sender=self)
        connection_created.connect(_give_up_on_the_vanished)


def _give_up_on_the_vanished(connection: BaseDatabaseWrapper, **_: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(VANISHED)
