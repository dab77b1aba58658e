"""A production begun by hand goes on here."""

import argparse
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError

from channels_app.models import Channel
from production import importing
from production.errors import DecisionError, Trouble
from production.importing import Production
from production.stages import STAGES


class Command(BaseCommand):
    help = "Makes a task of a production begun by hand: its documents and the media there are; --dry-run only tells."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "folder", type=Path, help="holds 02_story_script.md and the others, assets/, videos/, audio/"
        )
        parser.add_argument("--channel", required=True, help="slug or name")
        parser.add_argument("--page", default="", help="id of its Notion row; without it a row is added to the board")
        stages = [stage.name for stage in STAGES[:-1]]
        says = "begin here: what comes before is approved; without it each gate asks"
        parser.add_argument("--stage", default="", choices=stages, help=says)
        parser.add_argument("--by", default="import", help="who says so, for the history")
        parser.add_argument("--dry-run", action="store_true", help="print what was understood, change nothing")

    def handle(self, *args: Any, folder: Path, channel: str, dry_run: bool, **options: Any) -> None:
        production = importing.understand(folder, _channel(channel))
        for note in production.notes:
            self.stdout.write(f"{note}")
        if production.faults:
            raise CommandError("\n".join(map(str, production.faults)))
        self._tell(production)
        if dry_run:
            return
        try:
            task = importing.bring_in(production, page_id=options["page"], by=options["by"], stage=options["stage"])
        except (importing.ImportingError, DecisionError, Trouble, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Task {task.pk} “{task}” is {task.get_status_display()}, Notion row {task.page_id}.")

    def _tell(self, production: Production) -> None:
        plan, lacks = production.plan, production.lacks
        self.stdout.write(f"“{plan['title']}”: {len(plan['clips'])} clips, {len(plan['assets'])} images")
        for number, clip in enumerate(plan["clips"], 1):
            self.stdout.write(f"  clip {number}: {clip['layout']} of {clip['character']} and {clip['environment']}")
        kinds = dict.fromkeys([*(kind for kind, _ in production.media), *lacks])
        for kind in kinds:
            there = [number for each, number in production.media if each == kind]
            missing = lacks.get(kind, [])
            self.stdout.write(f"  {kind}: {len(there)} there; to be made: {', '.join(map(str, missing)) or 'none'}")


def _channel(name: str) -> Channel:
    channel = Channel.objects.filter(slug=name).first() or Channel.objects.filter(name=name).first()
    if channel is None:
        known = ", ".join(Channel.objects.values_list("slug", flat=True)) or "none yet"
        raise CommandError(f"There is no channel “{name}”; there are {known}")
    return channel
