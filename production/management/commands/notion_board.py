"""The Notion database of videos, made, looked over and mended."""

import argparse
import re
from typing import Any

from django.core.management import BaseCommand, CommandError

from production import board as boards
from production.errors import Trouble
from production.models import NotionBoard

ID = re.compile(r"[0-9a-f]{32}")


class Command(BaseCommand):
    help = "The Notion database of videos: create makes it below a page, check says what it lacks, repair mends it."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        deeds = parser.add_subparsers(dest="deed", required=True)
        create = deeds.add_parser("create", help="make the database with all its columns")
        create.add_argument("--parent", type=notion_id, required=True, help="the page it is made below: id or address")
        create.add_argument("--name", default="Videos", help="what it is called in Notion; by default Videos")
        for deed, says in (("check", "say what it lacks; exit 1 where something does"), ("repair", "mend it")):
            other = deeds.add_parser(deed, help=says)
            other.add_argument("--database", type=notion_id, help="take this database from now on: id or address")

    def handle(self, *args: Any, deed: str, **options: Any) -> None:
        board = NotionBoard.objects.first_or_new()
        try:
            if deed == "create":
                self._create(board, options["parent"], options["name"])
                return
            if options["database"]:
                boards.adopt(board, options["database"])
            findings = boards.check(board) if deed == "check" else boards.repair(board)
        except Trouble as trouble:
            raise CommandError(trouble.message) from trouble
        self._tell(findings, mends=deed == "check")

    def _create(self, board: NotionBoard, parent: str, name: str) -> None:
        boards.build(board, parent=parent, name=name)
        self.stdout.write(f"Made “{name}”: database {board.database_id}, data source {board.data_source_id}.")
        self.stdout.write("Its views are made by hand: docs/how-to.md says which.")

    def _tell(self, findings: list[boards.Finding], *, mends: bool) -> None:
        for finding in findings:
            can = " (repair mends it)" if mends and finding.change else ""
            self.stdout.write(f"{finding.words}{can}")
        if any(finding.is_fault for finding in findings):
            raise CommandError("The board is not as it should be yet.")
        self.stdout.write("The board is as it should be.")


def notion_id(text: str) -> str:
    """The id of a page or database, also out of its address: https://www.notion.so/Videos-1f2e…?v=…"""
    found = ID.findall(text.partition("?")[0].replace("-", "").lower())
    if not found:
        raise argparse.ArgumentTypeError(f"{text} is no id of a Notion page or database, nor its address")
    return str(found[-1])
