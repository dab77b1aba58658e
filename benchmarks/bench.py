"""What every measure is given: a folder of its own, a database, and whether a quick look will do."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import django
from django.core.management import call_command

from config import devpg, environment

Amount = TypeVar("Amount")


@dataclass(frozen=True)
class Bench:
    """`smoke`: everything runs once and briefly, to show that it does; its times mean nothing."""

    folder: Path
    smoke: bool = False

    def amount(self, full: Amount, smoke: Amount) -> Amount:
        return smoke if self.smoke else full

    def database(self, name: str) -> str:
        """The address of an empty database that survives a power cut: what that costs belongs to the figures."""
        return devpg.ensure(self.folder / "pg", name)

    def set_up_django(self, database: str) -> None:
        """Django in this process, with no settings but the database's address; migrated."""
        told = {"DJANGO_SETTINGS_MODULE": "config.settings", "DATABASE_URL": database, "LOG_LEVEL": "WARNING"}
        os.environ.clear()
        os.environ.update(environment.harmless() | environment.new_secrets() | told)
        django.setup()
        call_command("migrate", verbosity=0)
