"""The roles of staff, as groups whose permissions are written here and nowhere else."""

from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import Q

OWN_APPS = ["accounts", "chatrooms", "messaging", "billing"]
VIEW = Q(content_type__app_label__in=OWN_APPS, codename__startswith="view_")

ROLES: dict[str, Q] = {
    "Read-only": VIEW,
    "Support": VIEW | Q(content_type__app_label="accounts", codename="change_user"),
    "Billing": VIEW
    | Q(content_type__app_label="djstripe", codename__startswith="view_")
    | (Q(content_type__app_label="billing") & ~Q(codename__startswith="delete_")),
    "Ops": VIEW
    | Q(content_type__app_label="django_celery_results", codename__startswith="view_")
    | Q(content_type__app_label="messaging", codename__startswith="change_"),
}


def sync_roles() -> dict[str, int]:
    """Give each role exactly its permissions; how many each has."""
    with transaction.atomic():
        return {name: _sync(name, permissions) for name, permissions in ROLES.items()}


def _sync(name: str, wanted: Q) -> int:
    group, _ = Group.objects.get_or_create(name=name)
    permissions = Permission.objects.filter(wanted)
    group.permissions.set(permissions)
    return len(permissions)
