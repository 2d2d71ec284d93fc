from typing import Any

from django.core.management.base import CommandParser

from accounts.cli import JsonCommand, add_yes, confirm, listed
from privacy.retention import purge_expired


class Command(JsonCommand):
    help = (
        "Erase rows past their retention, like each night: temporary chatrooms, chatrooms past"
        " *_RETENTION_DAYS, exports, webhooks, and the rows that prune deletes."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_yes(parser)
        parser.add_argument("--dry-run", action="store_true", help="count rows and erase nothing")

    def report(self, **options: Any) -> dict[str, Any]:
        dry_run = options["dry_run"]
        if not dry_run and not options["yes"]:
            confirm(f"This erases for ever: {listed(purge_expired(dry_run=True))}.", yes=False)
        return {"dry_run": dry_run, **purge_expired(dry_run=dry_run)}
