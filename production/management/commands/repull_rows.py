"""Rows of the Notion board, read again: what webhooks have missed."""

import argparse
import datetime as dt
from collections.abc import Iterator
from typing import Any

from django.core.management import BaseCommand, CommandError
from django.utils import timezone

from production import intake, notion
from production.errors import Trouble
from production.management.progress import shown
from production.models import NotionBoard


class Command(BaseCommand):
    help = "Reads the Notion rows changed since a date again and does what they ask for; safe to repeat."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--since", type=moment, required=True, help="2026-11-20, or 2026-11-20T14:00")
        parser.add_argument("--dry-run", action="store_true", help="say what would be taken in, change nothing")

    def handle(self, *args: Any, since: dt.datetime, dry_run: bool, **options: Any) -> None:
        board = NotionBoard.objects.exclude(data_source_id="").order_by("pk").first()
        if board is None:
            raise CommandError("There is no board yet: manage.py notion_board create")
        read = 0
        try:
            for page in shown(_pages(board, since), self.stderr):
                read += 1
                if intake.asks_for_something(page):
                    said = "would be taken in" if dry_run else intake.look_at(page.id)[1]
                    self.stdout.write(f"“{page.title or page.id}”: {said}")
        except Trouble as trouble:
            raise CommandError(f"After {read} rows: {trouble.message}. Run it again.") from trouble
        self.stdout.write(f"{read} rows read.")


def _pages(board: NotionBoard, since: dt.datetime) -> Iterator[notion.Page]:
    for batch in notion.changed(board.data_source_id, since):
        yield from batch.pages


def moment(text: str) -> dt.datetime:
    """A day or moment in the time zone of the settings."""
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no date; one is 2026-11-20") from None
    return found if found.tzinfo else timezone.make_aware(found)
