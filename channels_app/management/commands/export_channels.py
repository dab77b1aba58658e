"""Channels as YAML files."""

import argparse
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError

from channels_app import sync
from channels_app.models import Channel


class Command(BaseCommand):
    help = "Writes each channel as a YAML file that sync_channels reads, branding beside it; of secrets only the names."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, help="is made where it lacks; files of these names are replaced")
        parser.add_argument("slugs", nargs="*", help="only these channels")

    def handle(self, *args: Any, folder: Path, slugs: list[str], **options: Any) -> None:
        channels = Channel.objects.filter(slug__in=slugs) if slugs else Channel.objects.all()
        if unknown := set(slugs) - {channel.slug for channel in channels}:
            raise CommandError(f"There is no channel {', '.join(sorted(unknown))}")
        try:
            for channel in channels:
                self.stdout.write(str(sync.export(channel, folder)))
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}") from error
