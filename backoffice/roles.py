"""The roles of staff: groups whose permissions are listed here alone."""

from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import Q

OWN_APPS = ["accounts", "chatrooms", "messaging", "billing", "files", "privacy", "backoffice"]
CONTENT = Q(content_type__app_label="chatrooms", codename="view_content")
VIEW = Q(content_type__app_label__in=OWN_APPS, codename__startswith="view_") & ~CONTENT
MIRROR = Q(content_type__app_label="djstripe", codename__startswith="view_")
EXPORT_ROWS = Q(content_type__app_label="accounts", codename="export_rows")
RETRY = Q(content_type__app_label="messaging", codename="retry_reply")
RESET_QUOTA = Q(content_type__app_label="billing", codename="change_dailyquota")

ROLES: dict[str, Q] = {
    "Read-only": VIEW,
    # Support staff for users.
    "Support": VIEW
    | CONTENT
    | RETRY
    | RESET_QUOTA
    | Q(
        content_type__app_label="accounts",
        codename__in=[
            "disable_user",
            "end_sessions",
            "send_code",
            "clear_lockouts",
            "export_user",
            "erase_user",
        ],
    ),
    # Staff for payments.
    "Billing": VIEW
    | MIRROR
    | EXPORT_ROWS
    | RESET_QUOTA
    | Q(
        content_type__app_label="djstripe",
        codename__in=["change_customer", "change_subscription", "change_webhookeventtrigger"],
    )
    | Q(
        content_type__app_label="billing",
        codename__in=["add_grant", "change_grant", "change_flag"],
    ),
    # Staff for the operation of the program.
    "Ops": VIEW
    | EXPORT_ROWS
    | RETRY
    | Q(content_type__app_label="django_celery_results", codename="view_taskresult")
    | Q(
        content_type__app_label="messaging",
        codename__in=[
            *["add_geminimodel", "change_geminimodel"],
            *["add_modelprice", "change_modelprice", "delete_modelprice"],
        ],
    ),
}


def sync_roles() -> dict[str, int]:
    """Give each role exactly the listed permissions, and return the counts."""
    with transaction.atomic():
        return {name: _sync(name, permissions) for name, permissions in ROLES.items()}


def _sync(name: str, wanted: Q) -> int:
    group, _ = Group.objects.get_or_create(name=name)
    permissions = Permission.objects.filter(wanted)
    group.permissions.set(permissions)
    return len(permissions)
