"""Files that were finished before there were looks, looked over now."""

import argparse
from collections.abc import Iterator
from typing import Any

from django.core.management import BaseCommand
from django.db.models import QuerySet

from production import looking, takes, workspace
from production.management.progress import shown
from production.models import Take, Task


class Command(BaseCommand):
    help = "Looks over the files of unfinished tasks that no look has said anything of; safe to repeat."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--task", type=int, help="only this task's: its number")
        parser.add_argument("--dry-run", action="store_true", help="say how many it would be, change nothing")

    def handle(self, *args: Any, task: int | None, dry_run: bool, **options: Any) -> None:
        unseen = Take.objects.unseen().filter(task=task) if task else Take.objects.unseen()
        count = unseen.count()
        tasks = Task.objects.filter(pk__in=unseen.values("task")).select_related("channel").order_by("pk")
        for each in () if dry_run else shown(tasks, self.stderr, tasks.count()):
            for take, words in _look_over(each, unseen.filter(task=each)):
                self.stdout.write(f"{each.pk} “{each}”: {take.name} {words}")
        count -= 0 if dry_run else unseen.count()  # those whose files are gone
        told = "To be looked over" if dry_run else "Looked over"
        self.stdout.write(f"{told}: {count} file{'' if count == 1 else 's'}.")


def _look_over(task: Task, unseen: QuerySet[Take]) -> Iterator[tuple[Take, str]]:
    """What is wrong with which; one whose file is gone is left alone."""
    found = {(take.kind, take.position): take for take in unseen}
    for take in found.values():
        take.task = task
    files = {piece: path for piece, take in found.items() if (path := workspace.file_of(take)).is_file()}
    texts = {number: take.prompt for (kind, number), take in found.items() if kind == "narration"}
    for piece, looked in looking.look_over(files, texts).items():
        takes.keep_look(found[piece], findings=looked.findings, measured=looked.measured)
        yield from ((found[piece], finding["words"]) for finding in looked.findings)
