from typing import Any

from django.core.management.base import CommandParser

from accounts.cli import JsonCommand
from privacy.retention import purge_expired


class Command(JsonCommand):
    help = (
        "Erase all that is past its time, as it is done each night: temporary chatrooms, those that"
        " *_RETENTION_DAYS no longer keep, exports, webhooks, and what prune deletes."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="count them and erase nothing")

    def report(self, **options: Any) -> dict[str, Any]:
        dry_run = options["dry_run"]
        return {"dry_run": dry_run, **purge_expired(dry_run=dry_run)}
