from typing import Any

from accounts.auth import rate_limits
from accounts.cli import COMMAND, MobileCommand
from accounts.models import AuditEvent, OneTimeCode
from accounts.models.audit import AccountAction


class Command(MobileCommand):
    help = "End a number's live code, and reset the number's limits."

    def run_for_mobile(self, mobile: str, **options: Any) -> dict[str, Any]:
        ended = OneTimeCode.objects.end(mobile=mobile, ending=OneTimeCode.Ending.CLEARED)
        hits = rate_limits.clear(mobile=mobile)
        AuditEvent.objects.record(AccountAction.CODE_CLEARED, mobile=mobile, actor=COMMAND)
        return {"codes_ended": ended, "limit_hits_forgotten": hits}
