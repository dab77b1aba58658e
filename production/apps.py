from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ProductionConfig(AppConfig):
    name = "production"

    def ready(self) -> None:
        from production import checks, providers  # noqa: F401 - checks registers itself

        post_migrate.connect(providers.open_lanes, sender=self)
