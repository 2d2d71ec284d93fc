"""What accounts keep for a time only."""

from django.contrib.sessions.models import Session as BrowserSession
from django.utils import timezone

from accounts.models import (
    AuditAddress,
    AuditEvent,
    IdempotencyRecord,
    LimitHit,
    OneTimeCode,
    Session,
)


def prune_accounts(*, dry_run: bool = False) -> dict[str, int]:
    """Delete what is past its time; how many rows of each kind (with `dry_run`, would be)."""
    expired = {
        "codes": OneTimeCode.objects.prunable(),
        "sessions": Session.objects.prunable(),
        "idempotency_records": IdempotencyRecord.objects.prunable(),
        "limit_hits": LimitHit.objects.prunable(),
        "audit_addresses": AuditAddress.objects.prunable(),
        "audit_events": AuditEvent.objects.prunable(),
        "browser_sessions": BrowserSession.objects.filter(expire_date__lt=timezone.now()),
    }
    if dry_run:
        return {name: rows.count() for name, rows in expired.items()}
    return {name: rows.delete()[0] for name, rows in expired.items()}
