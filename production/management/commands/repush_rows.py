"""Rows of the Notion board, written again: what people or an outage have changed there."""

import argparse
import datetime as dt
from typing import Any

from django.core.management import BaseCommand
from django.db.models import QuerySet
from django.utils import timezone

from production import lifecycle
from production.management.commands.repull_rows import moment
from production.management.progress import shown
from production.models import SharedFile, Sharing, Task
from production.stages import Status


class Command(BaseCommand):
    help = "Has status, errors, cost and links of tasks written to their Notion rows again; safe to repeat."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--since", type=moment, help="only tasks whose status has changed since: 2026-11-20")
        parser.add_argument("--channel", default="", help="only of this channel: slug")
        parser.add_argument("--files", action="store_true", help="also what is attached or linked in the column Assets")
        parser.add_argument("--dry-run", action="store_true", help="say how many it would be, change nothing")

    def handle(self, *args: Any, files: bool, dry_run: bool, **options: Any) -> None:
        tasks = _tasks(options["since"], options["channel"])
        count = tasks.count()
        for task in () if dry_run else shown(tasks.select_related("channel").iterator(500), self.stderr, count):
            lifecycle.tell_again(task)
            if files and task.channel.storage:
                SharedFile.objects.filter(take__task=task).update(attached=None)
                Sharing.objects.update_or_create(task=task, defaults={"due_at": timezone.now()})
        self.stdout.write(f"{count} rows {'would be' if dry_run else 'will be'} written, as the budget allows.")


def _tasks(since: dt.datetime | None, channel: str) -> QuerySet[Task]:
    """The newest task of each row: a row that was made a second time shows that one."""
    newest = Task.objects.order_by("page_id", "-pk").distinct("page_id")
    tasks = Task.objects.filter(pk__in=newest.values("pk")).exclude(status=Status.DRAFT).order_by("pk")
    tasks = tasks.filter(status_since__gte=since) if since else tasks
    return tasks.filter(channel__slug=channel) if channel else tasks
