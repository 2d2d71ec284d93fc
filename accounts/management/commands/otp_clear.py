from typing import Any

from django.core.management.base import CommandParser

from accounts.auth import rate_limits
from accounts.cli import COMMAND, MobileCommand, add_yes, confirm
from accounts.models import AuditEvent, OneTimeCode
from accounts.models.audit import AccountAction


class Command(MobileCommand):
    help = "End a number's live code, and reset the number's limits."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_yes(parser)

    def run_for_mobile(self, mobile: str, **options: Any) -> dict[str, Any]:
        hits = rate_limits.hits_of_number(mobile=mobile).count()
        confirm(
            f"This ends the code of {mobile} and deletes {hits} limit hits.", yes=options["yes"]
        )
        ended = OneTimeCode.objects.end(mobile=mobile, ending=OneTimeCode.Ending.CLEARED)
        hits = rate_limits.clear(mobile=mobile)
        AuditEvent.objects.record(AccountAction.CODE_CLEARED, mobile=mobile, actor=COMMAND)
        return {"codes_ended": ended, "limit_hits_forgotten": hits}
