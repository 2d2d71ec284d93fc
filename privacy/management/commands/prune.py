from typing import Any

from django.core.management.base import CommandParser

from accounts.cli import JsonCommand, add_yes, confirm, listed
from accounts.personal_data import prune


class Command(JsonCommand):
    help = "Delete codes, sessions, idempotency records and limit counts that are past their time."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_yes(parser)
        parser.add_argument("--dry-run", action="store_true", help="count rows and delete nothing")

    def report(self, **options: Any) -> dict[str, Any]:
        dry_run = options["dry_run"]
        if not dry_run and not options["yes"]:
            confirm(f"This deletes for ever: {listed(prune(dry_run=True))}.", yes=False)
        return {"dry_run": dry_run, **prune(dry_run=dry_run)}
