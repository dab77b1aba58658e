"""A task as the documents that `import_production` reads."""

import argparse
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError

from production import exporting
from production.models import Task


class Command(BaseCommand):
    help = "Writes a task's plan as documents that import_production reads; --media copies its finished files too."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("task", type=int, help="number of the task")
        parser.add_argument("folder", type=Path, help="is made where it lacks; documents of these names are replaced")
        parser.add_argument("--media", action="store_true", help="copy the selected takes beside the documents")

    def handle(self, *args: Any, task: int, folder: Path, media: bool, **options: Any) -> None:
        row = Task.objects.select_related("channel").filter(pk=task).first()
        if row is None:
            raise CommandError(f"There is no task {task}")
        try:
            written = exporting.export(row, folder, media=media)
        except (exporting.ExportingError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write("\n".join(map(str, written)))
