"""What is kept about a user, as the files of an export; each app has its own part."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django_otp.plugins.otp_totp.models import TOTPDevice

from accounts.models import (
    AuditAddress,
    AuditEvent,
    IdempotencyRecord,
    LimitHit,
    OneTimeCode,
    Session,
    User,
)

BATCH = 200


@dataclass(frozen=True)
class Section:
    """Rows of one table that are the user's, in a file of this name."""

    name: str
    rows: QuerySet[Any]
    # Secrets, digests, and what names somebody else. All other columns go out, new ones too.
    without: Collection[str] = ()
    # More where rows are small, and there is no index that gives a user's in order.
    batch: int = BATCH

    def batches(self) -> Iterator[list[dict[str, Any]]]:
        """The rows in order of their keys, as many at a time as memory does not notice."""
        fields = [field.attname for field in self.rows.model._meta.concrete_fields]
        shown = [name for name in fields if name not in self.without]
        key = self.rows.model._meta.pk.attname
        rows = self.rows.order_by("pk").values(*{*shown, key})
        batch = list(rows[: self.batch])
        while batch:
            yield [{name: row[name] for name in shown} for row in batch]
            batch = list(rows.filter(pk__gt=batch[-1][key])[: self.batch])


def account_sections(user: User) -> list[Section]:
    events = AuditEvent.objects.filter(user_id=user.pk)
    return [
        Section("account", User.objects.filter(pk=user.pk), ["password"]),
        Section(
            "sessions", Session.objects.filter(user=user), ["refresh_digest", "previous_digest"]
        ),
        Section("codes", OneTimeCode.objects.filter(mobile=user.mobile), ["salt"]),
        Section("limits", LimitHit.objects.filter(subject=user.mobile), ["network"]),
        Section("events", events.filter(actor=""), ["actor", "mobile_digest"]),
        # The actor may be a member of staff.
        Section("events_by_others", events.exclude(actor=""), ["actor", "mobile_digest"]),
        # Of the user's own requests: the address of a member of staff is theirs.
        Section("event_addresses", AuditAddress.objects.filter(user_id=user.pk)),
        Section("requests", IdempotencyRecord.objects.filter(user=user), ["request_digest"]),
        Section("second_factors", TOTPDevice.objects.filter(user=user), ["key"]),
    ]
