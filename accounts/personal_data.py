"""Personal data of accounts: exported, pruned and erased.

`personal_data` of each app has the same functions: `export_sections`, `prune` and `erase`.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session as BrowserSession
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django_celery_results.models import TaskResult
from django_otp.plugins.otp_totp.models import TOTPDevice

from accounts.models import (
    AccountAction,
    AuditAddress,
    AuditEvent,
    IdempotencyRecord,
    LimitHit,
    OneTimeCode,
    Session,
    User,
)
from gemchat.stores.batches import in_key_order

BATCH = 200


@dataclass(frozen=True)
class ExportSection:
    """Rows of a user in one table, for a file of this name."""

    name: str
    rows: QuerySet[Any]
    # Secrets, digests, and names of other people. All other columns go out, new columns too.
    exclude: Collection[str] = ()
    # More for small rows without an index by user and key.
    batch: int = BATCH

    def batches(self) -> Iterator[list[dict[str, Any]]]:
        """Yield the rows in key order, a batch at a time."""
        fields = [field.attname for field in self.rows.model._meta.concrete_fields]
        shown = [name for name in fields if name not in self.exclude]
        key = self.rows.model._meta.pk.attname
        for batch in in_key_order(self.rows.values(*{*shown, key}), self.batch):
            yield [{name: row[name] for name in shown} for row in batch]


def export_sections(user: User) -> list[ExportSection]:
    events = AuditEvent.objects.filter(user_id=user.pk)
    return [
        ExportSection("account", User.objects.filter(pk=user.pk), ["password"]),
        ExportSection(
            "sessions", Session.objects.filter(user=user), ["refresh_digest", "previous_digest"]
        ),
        ExportSection("codes", OneTimeCode.objects.filter(mobile=user.mobile), ["salt"]),
        ExportSection("limits", LimitHit.objects.filter(subject=user.mobile), ["network"]),
        ExportSection("events", events.filter(actor=""), ["actor", "mobile_digest"]),
        # The actor may be a member of staff.
        ExportSection("events_by_others", events.exclude(actor=""), ["actor", "mobile_digest"]),
        # Of the user's own requests: the address of a member of staff is theirs.
        ExportSection("event_addresses", AuditAddress.objects.filter(user_id=user.pk)),
        ExportSection("requests", IdempotencyRecord.objects.filter(user=user), ["request_digest"]),
        ExportSection("second_factors", TOTPDevice.objects.filter(user=user), ["key"]),
    ]


def prune(*, dry_run: bool = False) -> dict[str, int]:
    """Delete and count expired rows; a dry run counts only."""
    return prune_rows(
        {
            "codes": OneTimeCode.objects.prunable(),
            "sessions": Session.objects.prunable(),
            "idempotency_records": IdempotencyRecord.objects.prunable(),
            "limit_hits": LimitHit.objects.prunable(),
            "audit_addresses": AuditAddress.objects.prunable(),
            "audit_events": AuditEvent.objects.prunable(),
            "browser_sessions": BrowserSession.objects.filter(expire_date__lt=timezone.now()),
        },
        dry_run=dry_run,
    )


def prune_rows(expired: Mapping[str, QuerySet[Any]], *, dry_run: bool) -> dict[str, int]:
    """Delete and count expired rows of each kind; a dry run counts only."""
    if dry_run:
        return {name: rows.count() for name, rows in expired.items()}
    return {name: rows.delete()[0] for name, rows in expired.items()}


def erase(user: User, *, actor: str = "") -> None:
    """Delete a user with all rows of accounts; the audit log records the deletion."""
    with transaction.atomic():
        AuditEvent.objects.record(
            AccountAction.USER_DELETED, user_id=user.pk, mobile=user.mobile, actor=actor
        )
        AuditAddress.objects.erase(user_id=user.pk, mobile=user.mobile)
        OneTimeCode.objects.filter(mobile=user.mobile).delete()
        LimitHit.objects.anonymise(mobile=user.mobile)
        LimitHit.objects.filter(subject=str(user.pk)).delete()
        delete_admin_traces(user)
        delete_task_results(str(user.pk), user.mobile)
        user.delete()


def delete_admin_traces(user: User) -> None:
    """End the user's sessions in the admin, and delete the admin's entries about the user."""
    own = [
        session.pk
        for session in BrowserSession.objects.iterator()
        if session.get_decoded().get("_auth_user_id") == str(user.pk)
    ]
    BrowserSession.objects.filter(pk__in=own).delete()
    LogEntry.objects.filter(
        Q(object_id=str(user.pk))
        | Q(object_repr__contains=user.mobile)
        | Q(change_message__contains=user.mobile)
    ).delete()


def delete_task_results(*names: str) -> None:
    """Delete the results of failed tasks with any of these names in the error."""
    for name in names:
        TaskResult.objects.filter(Q(result__contains=name) | Q(traceback__contains=name)).delete()
