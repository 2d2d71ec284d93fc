"""The audit log: unchangeable events, and their addresses."""

import hashlib
import hmac
import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone
from uuid_utils.compat import uuid7

from gemchat.api.client_address import Client
from gemchat.api.request_id import request_id

# Longer than an abuse report takes to arrive, shorter than the events.
ADDRESS_LIFETIME = timedelta(days=90)


class AccountAction(models.TextChoices):
    """Actions of users, commands and staff on accounts, as named in the audit log."""

    SIGNED_IN = "signed_in"
    STAFF_SIGNED_IN = "staff_signed_in"
    STAFF_SIGN_IN_FAILED = "staff_sign_in_failed"
    SUPERUSER_CREATED = "superuser_created"
    LIMIT_REACHED = "limit_reached"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    SECOND_FACTOR_SET = "second_factor_set"
    SESSIONS_ENDED = "sessions_ended"
    REFRESH_REUSED = "refresh_reused"
    CODE_SENT = "code_sent"
    CODE_CLEARED = "code_cleared"
    USER_DISABLED = "user_disabled"
    USER_ENABLED = "user_enabled"
    CONFIRMATION_REQUIRED = "confirmation_required"
    ACCOUNT_CONFIRMED = "account_confirmed"
    NUMBER_RELEASED = "number_released"
    ACCOUNT_RESTORED = "account_restored"
    ACCOUNT_CLOSED = "account_closed"
    USER_DELETED = "user_deleted"


class AuditEventQuerySet(models.QuerySet["AuditEvent"]):
    def record(
        self,
        action: str,
        *,
        user_id: uuid.UUID | None = None,
        mobile: str = "",
        target: str = "",
        client: Client | None = None,
        actor: str = "",
        **details: Any,
    ) -> "AuditEvent":
        """Add an event; `actor` is empty for the user, `command`, or the id of staff.

        `target` is the id of the changed row, if the row is no user. The address of `client` is in
        a separate row, in AuditAddress.
        """
        # Without a savepoint: the event and the address go in together, or not at all.
        with transaction.atomic(savepoint=False):
            event = self.create(
                action=action,
                user_id=user_id,
                mobile_digest=mobile_digest(mobile) if mobile else "",
                target=target,
                actor=actor,
                request_id=request_id.get(),
                details=details,
            )
            if client is not None and client.ip:
                AuditAddress.objects.create(
                    event=event,
                    user_id=as_user_id(actor) if actor else user_id,
                    ip=client.ip,
                    created_at=event.created_at,
                )
        return event

    def prunable(self) -> "AuditEventQuerySet":
        days = settings.AUDIT_RETENTION_DAYS
        if not days:
            return self.none()
        return self.filter(created_at__lt=timezone.now() - timedelta(days=days))


class AuditEvent(models.Model):
    """One event. A trigger refuses UPDATE, and DELETE before half a year.

    No event names a person, so the events of an erased account stay. There is no foreign key. A
    number is a digest; only OTP_SECRET can make the digest. `user_id` is random, and is in no other
    row after the erasure of the user. Addresses are in AuditAddress, and can be erased.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # A value of the `TextChoices` of an app's actions, such as AccountAction.
    action = models.CharField(max_length=24)
    user_id = models.UUIDField(null=True)
    mobile_digest = models.CharField(max_length=32, blank=True)
    actor = models.CharField(max_length=64, blank=True)
    target = models.CharField(max_length=255, blank=True)
    request_id = models.CharField(max_length=64)
    details = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        indexes = [
            # Events of a user, newest first.
            models.Index("user_id", F("created_at").desc(), name="audit_of_user"),
            # Events of a number, also of an unknown number.
            models.Index("mobile_digest", F("created_at").desc(), name="audit_of_number"),
            # The audit log in the back office: of a kind, of a member of staff, of a row, or of a
            # request; newest first.
            models.Index("action", F("id").desc(), name="audit_of_action"),
            models.Index("actor", F("id").desc(), name="audit_of_actor", condition=~Q(actor="")),
            models.Index("target", name="audit_of_target", condition=~Q(target="")),
            models.Index("request_id", name="audit_of_request"),
        ]

    def __str__(self) -> str:
        return f"{self.action} at {self.created_at:%Y-%m-%d %H:%M:%S}"


class AuditAddressQuerySet(models.QuerySet["AuditAddress"]):
    def prunable(self) -> "AuditAddressQuerySet":
        return self.filter(created_at__lt=timezone.now() - ADDRESS_LIFETIME)

    def erase(self, *, user_id: uuid.UUID, mobile: str) -> None:
        """Delete the addresses of a user, and those of failures for the user's number."""
        self.filter(user_id=user_id).delete()
        self.filter(event__mobile_digest=mobile_digest(mobile)).delete()


class AuditAddress(models.Model):
    """The address of an audited request.

    The address is in a row beside the event, because the event can never change. This row is
    deleted after ADDRESS_LIFETIME, or with the person.
    """

    event = models.OneToOneField(
        AuditEvent, models.CASCADE, primary_key=True, related_name="address"
    )
    # The owner of the address: the acting member of staff, else the event's user.
    user_id = models.UUIDField(null=True)
    ip = models.GenericIPAddressField()
    created_at = models.DateTimeField()

    objects = AuditAddressQuerySet.as_manager()

    class Meta:
        indexes = [
            # The erasure and the export of a user.
            models.Index("user_id", "event", name="audit_address_of_user"),
            # The nightly pruning.
            models.Index("created_at", name="audit_address_age"),
        ]

    def __str__(self) -> str:
        return self.ip


def as_user_id(actor: str) -> uuid.UUID | None:
    """Return the id of a member of staff; None for a command."""
    try:
        return uuid.UUID(actor)
    except ValueError:
        return None


def mobile_digest(mobile: str) -> str:
    """Return the digest of a number in audit events: 32 hexadecimal digits."""
    key = settings.OTP_SECRET.encode()
    return hmac.new(key, b"audit" + mobile.encode(), hashlib.sha256).hexdigest()[:32]
