from typing import Any

from accounts.console import JsonCommand
from accounts.roles import sync_roles


class Command(JsonCommand):
    help = "Make the groups Support, Billing, Ops and Read-only, with exactly their permissions."

    def report(self, **options: Any) -> dict[str, Any]:
        return sync_roles()
