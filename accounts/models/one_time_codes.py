"""One-time codes: life, tries, and delivery to the phone."""

import hmac
import secrets
import uuid
from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from uuid_utils.compat import uuid7

from gemchat.api.client_address import Client

# From the network of the code's request, and from all others together: a stranger's wrong codes
# leave the owner's tries alone.
TRIES = 5
LIFETIME = timedelta(days=7)
DELIVERY_LEASE = timedelta(seconds=60)


class OneTimeCodeQuerySet(models.QuerySet["OneTimeCode"]):
    def active(self) -> "OneTimeCodeQuerySet":
        return self.filter(ended_at=None, expires_at__gt=timezone.now())

    def issue(
        self, *, mobile: str, ip: str | None, code_id: uuid.UUID | None = None
    ) -> "OneTimeCode":
        """Make a number's new code, in the caller's transaction.

        Live codes stay valid: else a stranger's request would void the code in the owner's hands.
        """
        now = timezone.now()
        expired = self.filter(expires_at__lte=now)
        expired.end(mobile=mobile, ending=OneTimeCode.Ending.REPLACED)
        return self.create(
            id=code_id or uuid7(),
            mobile=mobile,
            ip=ip,
            created_at=now,
            expires_at=now + settings.OTP_LIFETIME,
            next_delivery_at=Now(),
        )

    def end(self, *, mobile: str, ending: "OneTimeCode.Ending") -> int:
        return self.filter(mobile=mobile, ended_at=None).update(
            ended_at=timezone.now(), ending=ending
        )

    def due_for_delivery(self) -> "OneTimeCodeQuerySet":
        """Return codes without a sender, or with a dead sender.

        The clock is PostgreSQL's, since a web process stores the time and a worker compares.
        """
        return self.active().filter(
            delivery_status=OneTimeCode.Delivery.QUEUED, next_delivery_at__lte=Now()
        )

    def claim_delivery(self, code_id: uuid.UUID) -> "OneTimeCode | None":
        """Claim the delivery of a code for a minute; None before the code is due."""
        claimed = (
            self.due_for_delivery()
            .filter(pk=code_id)
            .update(
                next_delivery_at=Now() + DELIVERY_LEASE,
                delivery_tries=F("delivery_tries") + 1,
            )
        )
        return self.get(pk=code_id) if claimed else None

    def prunable(self) -> "OneTimeCodeQuerySet":
        return self.filter(created_at__lt=timezone.now() - LIFETIME)


class OneTimeCode(models.Model):
    """Six digits sent to a number.

    The digits are in no row: the HMAC of the row's id and salt under OTP_SECRET gives the digits.
    So the delivery task gets the id alone, and a reader of the database knows no code.
    """

    class Ending(models.TextChoices):
        USED = "used"
        REPLACED = "replaced"
        TRIES_SPENT = "tries_spent"
        CLEARED = "cleared"

    class Delivery(models.TextChoices):
        QUEUED = "queued"
        SENT = "sent"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    mobile = models.CharField(max_length=16)
    salt = models.BinaryField(max_length=16, default=partial(secrets.token_bytes, 16))
    attempts_left = models.SmallIntegerField(default=TRIES)
    strange_attempts_left = models.SmallIntegerField(default=TRIES)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ending = models.CharField(max_length=12, choices=Ending, blank=True)
    ip = models.GenericIPAddressField(null=True)
    delivery_status = models.CharField(max_length=8, choices=Delivery, default=Delivery.QUEUED)
    delivery_tries = models.SmallIntegerField(default=0)
    delivery_error = models.CharField(max_length=200, blank=True)
    # The time of the next try; during a delivery, the end of the lease. By PostgreSQL's clock.
    next_delivery_at = models.DateTimeField()

    objects = OneTimeCodeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="code_ends_for_a_reason",
                condition=Q(ended_at=None, ending="") | (~Q(ended_at=None) & ~Q(ending="")),
            ),
            models.CheckConstraint(
                name="code_tries_in_range",
                condition=Q(attempts_left__gte=0, attempts_left__lte=TRIES),
            ),
            models.CheckConstraint(
                name="code_strange_tries_in_range",
                condition=Q(strange_attempts_left__gte=0, strange_attempts_left__lte=TRIES),
            ),
        ]
        indexes = [
            # A number's codes, newest first, for the last used code and for the view of staff.
            models.Index("mobile", F("created_at").desc(), name="code_of_number"),
            # The sweep for unsent codes.
            models.Index(
                "next_delivery_at",
                name="code_due_for_delivery",
                condition=Q(delivery_status="queued", ended_at=None),
            ),
            # Codes without delivery, for the searches of staff.
            models.Index("id", name="code_failed", condition=Q(delivery_status="failed")),
        ]

    def __str__(self) -> str:
        return f"code for {self.mobile}"

    @property
    def digits(self) -> str:
        """Return the code. Never store or log the code, except in an SMS."""
        digest = hmac.digest(
            settings.OTP_SECRET.encode(), b"one-time code" + self.id.bytes + self.salt, "sha256"
        )
        # Of 256 bits: the bias of the modulo is far below any measurement.
        return f"{int.from_bytes(digest) % 1_000_000:06d}"

    def matches(self, digits: str) -> bool:
        """`digits` are ASCII: compare_digest raises TypeError for other text."""
        return hmac.compare_digest(self.digits, digits)

    def is_from(self, client: Client) -> bool:
        """Check whether the client's network asked for the code; nobody asked for staff's."""
        return self.ip is not None and Client(ip=self.ip).network == client.network

    def has_try(self, client: Client) -> bool:
        return bool(self.attempts_left if self.is_from(client) else self.strange_attempts_left)

    @property
    def tries_spent(self) -> int:
        return 2 * TRIES - self.attempts_left - self.strange_attempts_left

    def use(self) -> bool:
        """End the code as used, and all siblings; False when the code has ended before."""
        used = (
            OneTimeCode.objects.active()
            .filter(pk=self.pk)
            .update(ended_at=timezone.now(), ending=self.Ending.USED)
        )
        if used:
            OneTimeCode.objects.end(mobile=self.mobile, ending=self.Ending.REPLACED)
        return used == 1

    def spend_try(self, client: Client) -> None:
        """Count a wrong try of the client; the last try of all ends the code."""
        purse = "attempts_left" if self.is_from(client) else "strange_attempts_left"
        tries = OneTimeCode.objects.filter(pk=self.pk, ended_at=None)
        tries.filter(**{f"{purse}__gt": 0}).update(**{purse: F(purse) - 1})
        tries.filter(attempts_left=0, strange_attempts_left=0).update(
            ended_at=timezone.now(), ending=self.Ending.TRIES_SPENT
        )

    def record_sent(self) -> None:
        self.delivery_status = self.Delivery.SENT
        self.delivery_error = ""
        self.save(update_fields=["delivery_status", "delivery_error"])

    def record_failure(self, *, error: str, retry_after: timedelta | None) -> None:
        """Store the reason of a failed delivery; without `retry_after` the delivery is given up."""
        changes: dict[str, Any] = {"delivery_error": error[:200]}
        if retry_after is None:
            changes["delivery_status"] = self.Delivery.FAILED
        else:
            changes["next_delivery_at"] = Now() + retry_after
        OneTimeCode.objects.filter(pk=self.pk).update(**changes)
