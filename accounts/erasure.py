"""What is kept about a user, to hand out and to erase."""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from accounts import limits
from accounts.models import AuditEvent, OneTimeCode, Session, User

USER_FIELDS = ["id", "mobile", "name", "tier", "is_verified", "is_active", "created_at"]
SESSION_FIELDS = ["id", "created_at", "last_used_at", "ip", "user_agent", "auth_method"]
CODE_FIELDS = ["created_at", "ended_at", "ending", "ip", "delivery_status"]
EVENT_FIELDS = ["created_at", "action", "ip", "details"]


def export_account(user: User) -> dict[str, Any]:
    """All that accounts keep about a user, but for secrets and their digests."""
    return {
        "user": {name: getattr(user, name) for name in USER_FIELDS},
        "sessions": _rows(Session.objects.filter(user=user), SESSION_FIELDS),
        "codes": _rows(OneTimeCode.objects.filter(mobile=user.mobile), CODE_FIELDS),
        "events": _rows(AuditEvent.objects.filter(user_id=user.pk), EVENT_FIELDS),
    }


def _rows(queryset: QuerySet[Any], fields: list[str]) -> list[dict[str, Any]]:
    return list(queryset.order_by("id").values(*fields))


def erase_account(user: User, *, actor: str = "") -> None:
    """Delete a user with all that belongs to it; the audit keeps that it happened."""
    with transaction.atomic():
        AuditEvent.objects.record(
            AuditEvent.Action.USER_DELETED, user_id=user.pk, mobile=user.mobile, actor=actor
        )
        OneTimeCode.objects.filter(mobile=user.mobile).delete()
        limits.clear(mobile=user.mobile)
        user.delete()
