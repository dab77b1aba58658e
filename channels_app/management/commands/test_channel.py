"""Is a channel ready?"""

import argparse
from collections import Counter
from typing import Any

from django.core.management import BaseCommand, CommandError

from channels_app import selftest
from channels_app.models import Channel
from channels_app.selftest import Level, Line


class Command(BaseCommand):
    help = "Looks whether a channel could make a video now: Notion, voice, quotas, YouTube, disk. Costs nothing."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("slugs", nargs="*", help="of the channels")
        parser.add_argument("--all", action="store_true", help="every channel that is switched on")

    def handle(self, *args: Any, slugs: list[str], **options: Any) -> None:
        if bool(slugs) == options["all"]:
            raise CommandError("Name channels by their slug, or say --all")
        channels = Channel.objects.filter(slug__in=slugs) if slugs else Channel.objects.filter(active=True)
        if unknown := set(slugs) - {channel.slug for channel in channels}:
            known = ", ".join(Channel.objects.values_list("slug", flat=True)) or "none yet"
            raise CommandError(f"There is no channel {', '.join(sorted(unknown))}; there are {known}")
        levels = Counter(line.result.level for channel in channels for line in self._told(channel))
        if levels[Level.FAIL]:
            raise CommandError(f"{levels[Level.FAIL]} checks failed")

    def _told(self, channel: Channel) -> list[Line]:
        self.stdout.write(f"{channel} ({channel.slug})")
        told = []
        for line in selftest.run(channel):
            result = line.result
            remedy = f" → {result.remedy}" if result.remedy else ""
            self.stdout.write(f"  {result.level:4}  {line.title}: {result.found}{remedy}")
            self.stdout.flush()
            told.append(line)
        return told
