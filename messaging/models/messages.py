"""Messages: a tree in each chatroom, with variants of the conversation as branches.

A reply is a row from the acceptance of the prompt on. Every step in the life of a reply is a
conditional update with the expected status and attempt. So a second worker changes nothing, and an
abandoned attempt changes nothing.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any, TypedDict, get_args

from django.conf import settings
from django.db import models, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.models import User
from billing.models import DailyQuota
from chatrooms.models import Chatroom
from gemchat.api.text import rfc3339
from messaging.gemini.base import ErrorCode
from messaging.models.gemini_models import GeminiModel

# The error code for a fault of the program.
INTERNAL = "internal"
ERROR_CODES = (*get_args(ErrorCode), INTERNAL)


def resend_after() -> timedelta:
    """Return the wait for a claim before a queued reply is enqueued again."""
    return timedelta(seconds=2 * settings.REPLY_SWEEP_SECONDS)


class MessageQuerySet(models.QuerySet["Message"]):
    def owned_by(self, user: User) -> "MessageQuerySet":
        """Filter the user's messages, without messages of deleted rooms."""
        return self.filter(user=user, chatroom__deleted_at=None)

    def active(self) -> "MessageQuerySet":
        return self.filter(status__in=ACTIVE_STATUSES)

    def renew_leases(
        self, *, attempts: list[tuple[uuid.UUID, int]], now: datetime
    ) -> dict[tuple[uuid.UUID, int], bool]:
        """Renew the leases of attempts; returns `stop_requested` by current attempt."""
        generating = self.filter(
            pk__in=[pk for pk, _ in attempts], status=Message.Status.GENERATING
        )
        asked = set(attempts)
        held = {
            (pk, attempt): stop_requested
            for pk, attempt, stop_requested in generating.values_list(
                "pk", "attempt", "stop_requested"
            )
            if (pk, attempt) in asked
        }
        lease = now + timedelta(seconds=settings.REPLY_LEASE_SECONDS)
        # A single statement for all; an attempt ended in between is not in generation any more.
        generating.filter(pk__in=[pk for pk, _ in held]).update(lease_expires_at=lease)
        return held

    def expired(self, *, now: datetime) -> "MessageQuerySet":
        """Filter the replies of dead workers."""
        return self.filter(status=Message.Status.GENERATING, lease_expires_at__lte=now)

    def requeue(
        self,
        reply_id: uuid.UUID,
        attempt: int,
        *,
        expired_at: datetime | None = None,
        retry_at: datetime | None = None,
        wait_reason: str = "",
    ) -> bool:
        """Requeue the reply of an abandoned attempt; False if another attempt has the reply.

        With `expired_at` the lease must have run out at `expired_at`: a worker with a renewed lease
        keeps the reply.
        """
        held = self.filter(pk=reply_id, attempt=attempt, status=Message.Status.GENERATING)
        if expired_at is not None:
            held = held.filter(lease_expires_at__lte=expired_at)
        resend_at = retry_at or timezone.now() + resend_after()
        return bool(
            held.update(
                status=Message.Status.QUEUED,
                lease_expires_at=None,
                retry_at=retry_at,
                wait_reason=wait_reason,
                resend_at=resend_at,
            )
        )

    def note_wait(
        self, reply_id: uuid.UUID, attempt: int, *, reason: str, retry_at: datetime
    ) -> None:
        """Write the wait of a reply in generation, for readers."""
        held = self.filter(pk=reply_id, attempt=attempt, status=Message.Status.GENERATING)
        held.update(retry_at=retry_at, wait_reason=reason)

    def stop_queued(self, *, reply: "Message") -> bool:
        """End a queued reply, and give the quota slot back.

        The stop counts as an attempt, so any text of an earlier attempt is void.
        """
        with transaction.atomic():
            # The order of locks: the room, then the day's quota and messages.
            rooms = Chatroom.objects.select_for_update(no_key=True)
            list(rooms.filter(pk=reply.chatroom_id).values_list("pk"))
            stopped = self.filter(pk=reply.pk, status=Message.Status.QUEUED).update(
                status=Message.Status.STOPPED,
                attempt=F("attempt") + 1,
                ended_at=timezone.now(),
                resend_at=None,
                quota_day=None,
            )
            if stopped and reply.quota_day:
                DailyQuota.objects.release(user_id=reply.user_id, day=reply.quota_day)
        return bool(stopped)

    def request_stop(self, *, reply: "Message") -> bool:
        """Flag a reply in generation; False once the reply has ended."""
        return bool(
            self.filter(pk=reply.pk, status=Message.Status.GENERATING).update(stop_requested=True)
        )

    def requeue_failed(self, *, reply_id: uuid.UUID) -> bool:
        """Queue a failed reply again, in the same row; False if not failed.

        The reply takes no new quota slot: a slot given back by the failure stays free, and a
        charged failure keeps the same slot. The text and the error are void.
        """
        room = Chatroom.objects.filter(pk=OuterRef("chatroom"), deleted_at=None)
        # No join: a join would hide the status in a subquery. PostgreSQL does not check a subquery
        # again after a wait for the row.
        return bool(
            self.filter(Exists(room), pk=reply_id, status=Message.Status.FAILED).update(
                status=Message.Status.QUEUED,
                content="",
                attempts_reset=F("attempt"),
                retry_at=None,
                resend_at=timezone.now() + resend_after(),
                stop_requested=False,
                first_token_at=None,
                ended_at=None,
                error_code="",
                error_detail="",
                provider_code="",
            )
        )

    def claim_unsent(self, *, now: datetime, limit: int = 1000) -> list[uuid.UUID]:
        """Claim queued replies that the queue may lack, each once in `resend_after`."""
        due = (
            self.filter(status=Message.Status.QUEUED, resend_at__lte=now)
            .order_by("resend_at")
            .values_list("pk", flat=True)[:limit]
        )
        ids = list(due)
        self.filter(pk__in=ids, status=Message.Status.QUEUED).update(resend_at=now + resend_after())
        return ids


class Message(models.Model):
    class Sender(models.TextChoices):
        USER = "user"
        GEMINI = "gemini"

    class Status(models.TextChoices):
        QUEUED = "queued"
        GENERATING = "generating"
        COMPLETE = "complete"
        FAILED = "failed"
        STOPPED = "stopped"

    # Version 7, so ids sort by time: the order of messages in a room, and of variants of a turn.
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    chatroom = models.ForeignKey(Chatroom, models.CASCADE, related_name="messages", db_index=False)
    # The owner of the room never changes. The column is a copy, so the claims of a user need no
    # join.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )
    parent = models.ForeignKey(
        "self", models.CASCADE, null=True, related_name="children", db_index=False
    )
    # The active variant of the next turn, if there are several variants.
    active_child = models.UUIDField(null=True, editable=False)
    sender = models.CharField(max_length=8, choices=Sender)
    status = models.CharField(max_length=12, choices=Status)
    content = models.TextField(blank=True, default="")
    created_at = models.DateTimeField()

    # All further columns are for replies only.
    # The requested model, and the model version in Gemini's answer.
    model = models.CharField(max_length=64, blank=True, default="")
    # The level of thinking in the request; empty for the model's own.
    thinking = models.CharField(max_length=8, choices=GeminiModel.Thinking, blank=True, default="")
    model_version = models.CharField(max_length=64, blank=True, default="")
    attempt = models.PositiveSmallIntegerField(default=0)
    # Attempts before a retry by staff; earlier attempts do not count as tries any more.
    attempts_reset = models.PositiveSmallIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True)
    resend_at = models.DateTimeField(null=True)
    # The time of the next try, and the code of the failure before the wait.
    retry_at = models.DateTimeField(null=True)
    wait_reason = models.CharField(max_length=32, blank=True, default="")
    stop_requested = models.BooleanField(default=False)
    # The day of the reply's quota slot; empty once the slot has been given back.
    quota_day = models.DateField(null=True)
    started_at = models.DateTimeField(null=True)
    first_token_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=32, blank=True, default="")
    error_detail = models.CharField(max_length=200, blank=True, default="")
    # Gemini's name for the failure, as "429 RESOURCE_EXHAUSTED" or "SAFETY".
    provider_code = models.CharField(max_length=64, blank=True, default="")
    finish_reason = models.CharField(max_length=32, blank=True, default="")
    prompt_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    cached_tokens = models.PositiveIntegerField(null=True)
    thinking_tokens = models.PositiveIntegerField(null=True)
    context_messages = models.PositiveIntegerField(null=True)
    context_tokens = models.PositiveIntegerField(null=True)
    context_truncated = models.BooleanField(null=True)
    rating = models.SmallIntegerField(default=0)
    feedback_comment = models.TextField(blank=True, default="")
    # The table has a further column: `words`, generated from the content and indexed as
    # `message_search`; see messaging.history.search. The model omits the column, since no row is
    # ever read with `words`.

    # Set by `messaging.history.branch` on messages for clients.
    sibling_ids: list[uuid.UUID]
    file_ids: list[uuid.UUID] | None

    objects = MessageQuerySet.as_manager()

    class Meta:
        permissions = [("retry_reply", "Can have failed replies made again")]
        constraints = [
            models.CheckConstraint(
                name="message_sender_is_known", condition=Q(sender__in=["user", "gemini"])
            ),
            models.CheckConstraint(
                name="message_status_fits_sender",
                condition=Q(sender="user", status="complete")
                | Q(
                    sender="gemini",
                    status__in=["queued", "generating", "complete", "failed", "stopped"],
                ),
            ),
            models.CheckConstraint(
                name="message_reply_has_a_prompt",
                condition=Q(sender="user") | Q(parent__isnull=False),
            ),
            models.CheckConstraint(
                name="message_lease_while_generating",
                condition=Q(status="generating", lease_expires_at__isnull=False)
                | (~Q(status="generating") & Q(lease_expires_at=None)),
            ),
            models.CheckConstraint(
                name="message_error_when_failed",
                condition=(Q(status="failed") & ~Q(error_code=""))
                | (~Q(status="failed") & Q(error_code="")),
            ),
            models.CheckConstraint(
                name="message_end_when_ended",
                condition=Q(sender="user")
                | Q(status__in=["queued", "generating"], ended_at=None)
                | Q(status__in=["complete", "failed", "stopped"], ended_at__isnull=False),
            ),
            models.CheckConstraint(
                name="message_rating_is_known", condition=Q(rating__in=[-1, 0, 1])
            ),
            models.UniqueConstraint(
                "chatroom",
                name="message_one_generating_in_a_room",
                condition=Q(status="generating"),
            ),
        ]
        indexes = [
            # All messages of a room: export, deletion.
            models.Index("chatroom", "id", name="message_room"),
            # The variants of a turn and the way down a branch.
            models.Index("parent", "id", name="message_children"),
            # The variants of a room's first turn.
            models.Index("chatroom", "id", name="message_roots", condition=Q(parent__isnull=True)),
            # Claims: a user's active replies, and the next reply of a room.
            models.Index(
                "user",
                "chatroom",
                "id",
                name="message_under_way",
                condition=Q(status__in=["queued", "generating"]),
            ),
            # The sweep for unclaimed queued replies.
            models.Index("resend_at", name="message_resend", condition=Q(status="queued")),
            # The sweep for replies of dead workers.
            models.Index(
                "lease_expires_at", name="message_lease", condition=Q(status="generating")
            ),
            # All messages of a user, by time: usage, erasure, staff.
            models.Index("user", "id", name="message_user"),
            # The back office: waiting replies, oldest first; failed replies, also by code and by
            # user.
            models.Index(
                "id", name="message_waiting", condition=Q(status__in=["queued", "generating"])
            ),
            models.Index("id", name="message_failed", condition=Q(status="failed")),
            models.Index(
                "error_code", "id", name="message_failed_code", condition=Q(status="failed")
            ),
            models.Index("user", "id", name="message_failed_user", condition=Q(status="failed")),
        ]

    def __str__(self) -> str:
        return f"{self.sender} {self.id}"

    @property
    def is_reply(self) -> bool:
        return self.sender == self.Sender.GEMINI

    @property
    def tries(self) -> int:
        return self.attempt - self.attempts_reset

    @property
    def has_ended(self) -> bool:
        return self.status not in ACTIVE_STATUSES


ACTIVE_STATUSES = [Message.Status.QUEUED, Message.Status.GENERATING]


class Waiting(TypedDict):
    reason: str
    retry_at: str


def waiting_of(message: Any) -> Waiting | None:
    """Return the wait of an active reply for the next try, or None."""
    retry_at = message.retry_at
    if retry_at is None or message.status not in ACTIVE_STATUSES or retry_at <= timezone.now():
        return None
    return {"reason": message.wait_reason, "retry_at": rfc3339(retry_at)}
