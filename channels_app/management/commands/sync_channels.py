"""Channels from YAML files."""

import argparse
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError

from channels_app import sync
from channels_app.sync import Outcome


class Command(BaseCommand):
    help = "Makes channels as their YAML files say; nothing is deleted. --dry-run only tells."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("paths", nargs="*", type=Path, help="files or folders; by default CHANNELS_DIR")
        parser.add_argument("--dry-run", action="store_true", help="say what would change, change nothing")

    def handle(self, *args: Any, paths: list[Path], dry_run: bool, **options: Any) -> None:
        if not paths and not settings.CHANNELS_DIR.is_dir():
            raise CommandError(f"There is no folder {settings.CHANNELS_DIR}: make it, set CHANNELS_DIR or name files")
        files = _find(paths or [settings.CHANNELS_DIR])
        outcomes = list(self._told(files, dry_run=dry_run))
        if not paths:
            self._tell_of_others(outcomes)
        if faulty := len(files) - len(outcomes):
            raise CommandError(f"{faulty} of {len(files)} files can't be used: their channels are as they were")
        if not files:
            self.stdout.write("No *.yaml there: nothing to do.")

    def _told(self, files: list[Path], *, dry_run: bool) -> Any:
        would = "would be " if dry_run else ""
        for outcome in sync.sync_all(files, dry_run=dry_run):
            if isinstance(outcome, Outcome):
                self.stdout.write(f"{outcome.channel.slug}: {would}{outcome.said}")
                yield outcome
            else:
                for fault in outcome.faults:
                    self.stderr.write(str(fault))

    def _tell_of_others(self, outcomes: list[Outcome]) -> None:
        others = sync.without_file({outcome.channel.slug for outcome in outcomes})
        if others:
            self.stdout.write(f"No usable file speaks of {', '.join(others)}: left as they are.")


def _find(paths: list[Path]) -> list[Path]:
    try:
        return sync.find(paths)
    except OSError as error:
        raise CommandError(f"{error.filename} can't be read ({error.strerror}): mend its permissions") from error
