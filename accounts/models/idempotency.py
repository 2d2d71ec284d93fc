"""Answers to requests with an Idempotency-Key, for a day."""

import json
import uuid

from django.conf import settings
from django.db import connection, models
from django.db.models import Q
from uuid_utils.compat import uuid7

from accounts.models.rate_limits import ExpiringQuerySet
from gemchat.stores.locks import TRY_LOCK_SQL, Lock, lock_name

# The lock and the record in one statement. The snapshot is older than the lock, so a record
# committed in between is not found. The unique constraint then stops the second answer.
LOCK_AND_READ_SQL = f"""
SELECT {TRY_LOCK_SQL},
    record.id, request_digest, status, lease_until, headers, body, created_at
FROM (SELECT 1) AS one
LEFT JOIN accounts_idempotencyrecord AS record ON record.user_id = %(user)s AND key = %(key)s
"""  # noqa: S608 the values are parameters


class KeyLocked(Exception):
    """Another transaction holds the lock of the key."""


class IdempotencyRecordQuerySet(ExpiringQuerySet["IdempotencyRecord"]):
    def lock_and_get(self, *, user_id: uuid.UUID, key: str) -> "IdempotencyRecord | None":
        """Lock a user's key up to the transaction's end, and read the record.

        Raises KeyLocked, without waiting.
        """
        name = lock_name(Lock.IDEMPOTENCY_KEY, f"{user_id} {key}")
        with connection.cursor() as cursor:
            cursor.execute(LOCK_AND_READ_SQL, {"name": name, "user": user_id, "key": key})
            is_locked, record_id, digest, status, lease_until, headers, body, created_at = (
                cursor.fetchone()
            )
        if not is_locked:
            raise KeyLocked
        if record_id is None:
            return None
        return IdempotencyRecord(
            id=record_id,
            user_id=user_id,
            key=key,
            request_digest=bytes(digest),
            status=status,
            lease_until=lease_until,
            headers=json.loads(headers),
            body=body,
            created_at=created_at,
        )


class IdempotencyRecord(models.Model):
    """The answer to a request with an Idempotency-Key (`accounts.api.idempotency`)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, db_index=False)
    key = models.CharField(max_length=255)
    # SHA-256 of method, path and body.
    request_digest = models.BinaryField(max_length=32)
    # Null while a call over the network is in progress, until the lease runs out.
    status = models.SmallIntegerField(null=True)
    lease_until = models.DateTimeField(null=True)
    headers = models.JSONField(default=dict)
    body = models.TextField(blank=True)
    created_at = models.DateTimeField()

    objects = IdempotencyRecordQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="one_answer_a_key", fields=["user", "key"]),
            models.CheckConstraint(
                name="idempotency_answered_or_leased",
                condition=Q(status=None, lease_until__isnull=False)
                | Q(status__isnull=False, lease_until=None),
            ),
        ]
        indexes = [
            # The nightly pruning of old answers.
            models.Index("created_at", name="idempotency_age"),
        ]

    def __str__(self) -> str:
        return self.key
