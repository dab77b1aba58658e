"""The sums that caps are held against, counted again from the ledger."""

import argparse
from typing import Any

from django.core.management import BaseCommand

from production import ledger
from production.models import Meter


class Command(BaseCommand):
    help = "Counts what caps are held against again from the ledger's lines and mends what differs; safe to repeat."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what differs, change nothing")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        found = ledger.recount(mend=not dry_run)
        for each in found:
            whose = f"{Meter(each.key.meter).label} {each.key.key} since {each.key.since}"
            simulated = " (simulated)" if each.simulated else ""
            self.stdout.write(f"{whose}{simulated}: shows {each.shows} USD, its lines say {each.should} USD")
        done = "differ" if dry_run else "mended"
        self.stdout.write(f"{len(found)} sums {done}." if found else "Every sum is what its lines say.")
