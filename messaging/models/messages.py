"""Messages: a tree in each chatroom, in which the branches are variants of one conversation.

A reply is a row from the moment that its prompt is accepted, and every step of its life is one
conditional update that names the status and the attempt which it expects: whoever comes second,
or from an attempt that was given up, changes nothing.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple, get_args

from django.conf import settings
from django.db import models, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone
from psycopg.types.json import Jsonb
from uuid_utils.compat import uuid7

from accounts.models import User
from billing.models import DailyQuota
from billing.plans import plan_for
from chatrooms.models import Chatroom
from gemchat.stores.compiled import Compiled
from gemchat.stores.prepared import execute_together, fetch
from messaging.gemini.base import ErrorCode
from messaging.replies.claims import CLAIM, LOCK, NEXT

# The error code of a reply that failed by a fault of this program.
INTERNAL = "internal"
ERROR_CODES = (*get_args(ErrorCode), INTERNAL)


def resend_after() -> timedelta:
    """A queued reply that nobody has claimed for so long is sent to the queue again."""
    return timedelta(seconds=2 * settings.REPLY_SWEEP_SECONDS)


class MessageQuerySet(models.QuerySet["Message"]):
    def owned_by(self, user: User) -> "MessageQuerySet":
        """The user's messages, without those of rooms that were deleted."""
        return self.filter(user=user, chatroom__deleted_at=None)

    def under_way(self) -> "MessageQuerySet":
        return self.filter(status__in=UNDER_WAY)

    def claim(
        self, *, reply_id: uuid.UUID, now: datetime, reads: Sequence[str] = ()
    ) -> "Claimed | None":
        """Take a queued reply for generation; None when it is not to be had now.

        It is not when it is over or already being generated, when an earlier one of its room
        is under way, when it is to wait, or when its user has as many under way as the plan
        allows. Each of `reads` is a statement in which the reply is `%(reply)s`.
        """
        values: dict[str, Any] = {
            "reply": reply_id,
            "places": Jsonb(
                {tier: plan.concurrent_replies for tier, plan in settings.PLANS.items()}
            ),
            "lease": now + timedelta(seconds=settings.REPLY_LEASE_SECONDS),
            "now": now,
        }
        # Sent as one message, which PostgreSQL takes for one transaction: a person waits meanwhile,
        # and each round trip of a worker with much to do takes a millisecond.
        _, claimed, *found = execute_together([LOCK, claim_statement(), *reads], values)
        row = claimed.fetchone()
        if row is None:
            return None
        return Claimed(claimed_replies().instance(row), [cursor.fetchall() for cursor in found])

    def next_to_claim(self, *, user_id: uuid.UUID, now: datetime) -> list[uuid.UUID]:
        """The user's replies that could be claimed now, oldest first."""
        waiting = [reply_id for (reply_id,) in fetch(NEXT, {"user": user_id, "now": now})]
        if not waiting:
            return []
        owner = User.objects.get(pk=user_id)
        generating = self.filter(user=owner, status=Message.Status.GENERATING).count()
        return waiting[: max(0, plan_for(owner).concurrent_replies - generating)]

    def renew_leases(
        self, *, attempts: list[tuple[uuid.UUID, int]], now: datetime
    ) -> dict[tuple[uuid.UUID, int], bool]:
        """Keep running attempts at replies. Those that still hold theirs, with `stop_requested`."""
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
        # One statement for all; an attempt that ends in between is not generating any more.
        generating.filter(pk__in=[pk for pk, _ in held]).update(lease_expires_at=lease)
        return held

    def expired(self, *, now: datetime) -> "MessageQuerySet":
        """The replies whose worker has died."""
        return self.filter(status=Message.Status.GENERATING, lease_expires_at__lte=now)

    def put_back(
        self,
        reply_id: uuid.UUID,
        attempt: int,
        *,
        expired_at: datetime | None = None,
        not_before: datetime | None = None,
    ) -> bool:
        """Queue a reply again whose attempt was given up; False if it is not that attempt's.

        `expired_at` asks besides that the lease has run out by then: a worker that has renewed it
        in the meantime keeps its reply.
        """
        held = self.filter(pk=reply_id, attempt=attempt, status=Message.Status.GENERATING)
        if expired_at is not None:
            held = held.filter(lease_expires_at__lte=expired_at)
        resend_at = not_before or timezone.now() + resend_after()
        return bool(
            held.update(
                status=Message.Status.QUEUED,
                lease_expires_at=None,
                not_before=not_before,
                resend_at=resend_at,
            )
        )

    def stop_queued(self, *, reply: "Message") -> bool:
        """End a reply that no worker has; its place of the day's quota is given back.

        It counts as an attempt, so that text of an earlier one, if there was any, is void.
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

    def ask_to_stop(self, *, reply: "Message") -> bool:
        """Flag a reply that a worker has; False once it has ended."""
        return bool(
            self.filter(pk=reply.pk, status=Message.Status.GENERATING).update(stop_requested=True)
        )

    def make_again(self, *, reply_id: uuid.UUID) -> bool:
        """Queue a failed reply once more, as the same row; False if it is not there as failed.

        It takes no place of the quota: where the failure gave it back it stays so, and where the
        user had to pay for the failure it is the same place still. Its text and error are void.
        """
        room = Chatroom.objects.filter(pk=OuterRef("chatroom"), deleted_at=None)
        # No join: it would hide the status in a subquery, which is not looked at again by
        # whoever has waited for the row.
        return bool(
            self.filter(Exists(room), pk=reply_id, status=Message.Status.FAILED).update(
                status=Message.Status.QUEUED,
                content="",
                attempts_forgiven=F("attempt"),
                not_before=None,
                resend_at=timezone.now() + resend_after(),
                stop_requested=False,
                first_token_at=None,
                ended_at=None,
                error_code="",
                error_detail="",
                provider_code="",
                finish_reason="",
            )
        )

    def take_unsent(self, *, now: datetime, limit: int = 1000) -> list[uuid.UUID]:
        """Queued replies that the queue may never have heard of; each is given out once a while."""
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

    # Version 7, so that ids sort by time: the order of a room, and of the variants of a turn.
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    chatroom = models.ForeignKey(Chatroom, models.CASCADE, related_name="messages", db_index=False)
    # The room's owner, who never changes: here too, so that the claims of one user need no join.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )
    parent = models.ForeignKey(
        "self", models.CASCADE, null=True, related_name="children", db_index=False
    )
    # Which variant of the next turn is shown, where there are several.
    active_child = models.UUIDField(null=True, editable=False)
    sender = models.CharField(max_length=8, choices=Sender)
    status = models.CharField(max_length=12, choices=Status)
    content = models.TextField(blank=True, default="", db_default="")
    created_at = models.DateTimeField()

    # The rest is of replies only.
    # The model that was asked for, and what Gemini says that answered.
    model = models.CharField(max_length=64, blank=True, default="", db_default="")
    model_version = models.CharField(max_length=64, blank=True, default="", db_default="")
    attempt = models.PositiveSmallIntegerField(default=0, db_default=0)
    # Attempts before staff had the reply made again; these do not count as tries any more.
    attempts_forgiven = models.PositiveSmallIntegerField(default=0, db_default=0)
    lease_expires_at = models.DateTimeField(null=True)
    resend_at = models.DateTimeField(null=True)
    not_before = models.DateTimeField(null=True)
    stop_requested = models.BooleanField(default=False, db_default=False)
    # The day whose quota this reply took; empty once it has been given back.
    quota_day = models.DateField(null=True)
    started_at = models.DateTimeField(null=True)
    first_token_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=32, blank=True, default="", db_default="")
    error_detail = models.CharField(max_length=200, blank=True, default="", db_default="")
    # What Gemini called it, as "429 RESOURCE_EXHAUSTED" or "SAFETY".
    provider_code = models.CharField(max_length=64, blank=True, default="", db_default="")
    finish_reason = models.CharField(max_length=32, blank=True, default="", db_default="")
    prompt_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    cached_tokens = models.PositiveIntegerField(null=True)
    thinking_tokens = models.PositiveIntegerField(null=True)
    context_messages = models.PositiveIntegerField(null=True)
    context_tokens = models.PositiveIntegerField(null=True)
    context_truncated = models.BooleanField(null=True)
    rating = models.SmallIntegerField(default=0, db_default=0)
    feedback_comment = models.TextField(blank=True, default="", db_default="")
    # The table has one more column, of which the model knows nothing, as no row is ever read with
    # it: `words`, generated from the content and indexed as `message_search`; see messaging.search.

    # Set by `messaging.history.branch` on messages that are shown.
    sibling_ids: list[uuid.UUID]

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
            # Claims: a user's replies under way, and the next one of a room.
            models.Index(
                "user",
                "chatroom",
                "id",
                name="message_under_way",
                condition=Q(status__in=["queued", "generating"]),
            ),
            # The sweep for queued replies that nobody has claimed.
            models.Index("resend_at", name="message_resend", condition=Q(status="queued")),
            # The sweep for replies whose worker has died.
            models.Index(
                "lease_expires_at", name="message_lease", condition=Q(status="generating")
            ),
            # All messages of a user, by time: usage, erasure, staff.
            models.Index("user", "id", name="message_user"),
            # The back office: what waits, oldest first; what failed, also by code and of a user.
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
        return self.attempt - self.attempts_forgiven

    @property
    def has_ended(self) -> bool:
        return self.status not in UNDER_WAY


UNDER_WAY = [Message.Status.QUEUED, Message.Status.GENERATING]


class Claimed(NamedTuple):
    """A reply that a worker has, and the rows of what was read along with its claim."""

    reply: Message
    found: list[list[Any]]


@cache
def claimed_replies() -> Compiled[Message]:
    return Compiled(Message.objects.select_related("chatroom", "user"), "chatroom", "user")


@cache
def claim_statement() -> str:
    return CLAIM.format(columns=claimed_replies().columns("reply", "room", "owner"))
