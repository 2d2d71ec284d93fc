from typing import Any

from accounts.cli import COMMAND, JsonCommand
from accounts.models import AuditEvent
from backoffice.models import BackofficeAction
from backoffice.roles import sync_roles


class Command(JsonCommand):
    help = "Create the groups Support, Billing, Ops and Read-only, with exactly their permissions."

    def report(self, **options: Any) -> dict[str, Any]:
        permissions = sync_roles()
        AuditEvent.objects.record(
            BackofficeAction.ROLES_SYNCED, actor=COMMAND, permissions=permissions
        )
        return permissions
