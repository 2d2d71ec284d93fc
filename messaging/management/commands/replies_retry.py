from collections import Counter
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.cli import COMMAND, JsonCommand
from accounts.models import AuditEvent
from messaging.models import ERROR_CODES
from messaging.models.audit import MessagingAction
from messaging.replies.retry import NotFailed, failed_replies, retry


def moment(text: str) -> datetime:
    """Parse an ISO 8601 time or day, in UTC if without a zone."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


class Command(JsonCommand):
    help = "Have failed replies made again, oldest first, at no cost to their users' quota."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--since", type=moment, help="asked for since then, as 2026-11-24T08:00 (UTC)"
        )
        parser.add_argument("--code", default="", choices=ERROR_CODES, help="failed with this code")
        parser.add_argument("--limit", type=int, default=100, help="replies at most (100)")
        parser.add_argument("--dry-run", action="store_true", help="count them and do nothing")

    def report(self, **options: Any) -> dict[str, Any]:
        if options["limit"] < 1:
            raise CommandError("Give a --limit of 1 or more.")
        failed = failed_replies(since=options["since"], code=options["code"])
        found = list(failed.values_list("pk", "user_id", "error_code")[: options["limit"]])
        retried = 0
        for reply_id, user_id, code in found if not options["dry_run"] else []:
            try:
                retry(reply_id=reply_id)
            except NotFailed:
                continue
            retried += 1
            AuditEvent.objects.record(
                MessagingAction.REPLY_RETRIED,
                user_id=user_id,
                target=str(reply_id),
                actor=COMMAND,
                code=code,
            )
        return {
            "found": len(found),
            "by_code": dict(Counter(code for _, _, code in found)),
            "retried": retried,
            "dry_run": options["dry_run"],
        }
