"""Chatrooms. The messages of a chatroom belong to the app messaging."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.expressions import RawSQL
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.auth import rate_limits
from accounts.models import LimitHit, User
from gemchat.api.errors import DomainError

DEFAULT_TITLE = "New chat"
TEMPORARY_LIFETIME = timedelta(hours=24)
# The first estimate; each room then learns a figure from Gemini's counts.
DEFAULT_CHARACTERS_PER_TOKEN = 4.0

# Whether pinned, the last activity and the id, in falling order each.
Position = tuple[bool, datetime, uuid.UUID]


class ChatroomLimitReached(DomainError):
    code = "chatroom_limit_reached"
    message = "You have as many chatrooms as your plan allows. Delete some, or upgrade to Pro."
    status = 403


class ChatroomQuerySet(models.QuerySet["Chatroom"]):
    def owned_by(self, user: User) -> "ChatroomQuerySet":
        """Filter the user's rooms, without deleted rooms."""
        return self.filter(user=user, deleted_at=None)

    def permanent(self, user: User) -> "ChatroomQuerySet":
        """Filter the user's rooms without temporary rooms: a copy would outlive the room."""
        return self.owned_by(user).filter(expires_at=None)

    def for_list(self, *, archived: bool) -> "ChatroomQuerySet":
        """Filter the rooms of a list, in order: pinned rooms, then the newest activity."""
        return self.filter(archived=archived, expires_at=None, deleted_at=None).order_by(
            "-pinned", "-last_message_at", "-id"
        )

    def after(self, position: Position) -> "ChatroomQuerySet":
        """Filter the rooms after a position in the order of `for_list`.

        The comparison as one row starts the index at the position. A comparison with OR would read
        the index from the beginning.
        """
        return self.filter(
            RawSQL(  # noqa: S611 the values are parameters
                "(pinned, last_message_at, chatrooms_chatroom.id) < (%s, %s, %s)",
                position,
                output_field=models.BooleanField(),
            )
        )

    def locked(self, *, user: User, chatroom_id: uuid.UUID) -> "Chatroom":
        """Return the user's room, locked until the transaction ends. Raises DoesNotExist."""
        return self.owned_by(user).select_for_update(no_key=True).get(pk=chatroom_id)

    def untitled(self) -> "ChatroomQuerySet":
        """Filter the rooms without a title from a person or from the first exchange."""
        return self.filter(is_title_given=False, title=DEFAULT_TITLE, deleted_at=None)

    def inactive(self, *, tier: str, since: datetime) -> "ChatroomQuerySet":
        """Filter the rooms of a tier without messages since `since`, pinned rooms too."""
        return self.filter(user__tier=tier, last_message_at__lt=since, deleted_at=None)

    def expired(self, *, now: datetime) -> "ChatroomQuerySet":
        """Filter the temporary rooms at or after the end of the lifetime."""
        return self.filter(expires_at__lte=now, deleted_at=None)

    def deleted(self) -> "ChatroomQuerySet":
        """Filter the deleted rooms; a room stays until all messages are erased."""
        return self.filter(deleted_at__isnull=False)

    def mark_deleted(self, *, now: datetime) -> int:
        """Mark rooms as deleted; returns the number of rooms."""
        return self.filter(deleted_at=None).update(deleted_at=now)

    def create_within_limits(
        self, *, user: User, most: int, per_minute: int, **fields: Any
    ) -> "Chatroom":
        """Create a room. Raises RateLimited and ChatroomLimitReached.

        Every stored room counts, also a deleted room until the erasure. The lock of the rate lasts
        until the room is stored, so the count is exact.
        """
        with transaction.atomic():
            rate_limits.take(
                kind=LimitHit.Kind.ROOM,
                subject=str(user.pk),
                allowed=[(per_minute, timedelta(minutes=1))],
            )
            if self.filter(user=user).count() >= most:
                raise ChatroomLimitReached
            return self.create_room(user=user, **fields)

    def create_room(
        self,
        *,
        user: User,
        title: str = "",
        system_prompt: str = "",
        model: str = "",
        temporary: bool = False,
    ) -> "Chatroom":
        """Create a room. A room without a title is named after the first exchange."""
        now = timezone.now()
        return self.create(
            user=user,
            title=title or DEFAULT_TITLE,
            is_title_given=bool(title),
            system_prompt=system_prompt,
            model=model,
            created_at=now,
            updated_at=now,
            last_message_at=now,
            expires_at=now + TEMPORARY_LIFETIME if temporary else None,
        )

    def record_exchange(
        self, *, chatroom_id: uuid.UUID, active_leaf: uuid.UUID, added: int, at: datetime
    ) -> None:
        """Count new messages, and activate the branch that ends in `active_leaf`."""
        self.filter(pk=chatroom_id).update(
            active_leaf=active_leaf,
            message_count=F("message_count") + added,
            last_message_at=at,
            updated_at=at,
        )


class Chatroom(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="chatrooms", db_index=False
    )
    title = models.CharField(max_length=100)
    # A person's title is never overwritten by a generated title.
    is_title_given = models.BooleanField(default=False)
    system_prompt = models.TextField(blank=True)
    # The model for requests without a model; empty for the server's.
    model = models.CharField(max_length=64, blank=True, default="")
    pinned = models.BooleanField(default=False)
    archived = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    # The order of lists; in a room without messages, the time of creation.
    last_message_at = models.DateTimeField()
    message_count = models.PositiveIntegerField(default=0)
    # The last message of the active branch. No foreign key: messaging depends on chatrooms, and the
    # row is always written under the lock of the room.
    active_leaf = models.UUIDField(null=True, editable=False)
    # The first message of the context, until the context is over the budget again. A value off the
    # branch of a reply does not count.
    context_from = models.UUIDField(null=True, editable=False)
    characters_per_token = models.FloatField(default=DEFAULT_CHARACTERS_PER_TOKEN, editable=False)
    # Set on temporary rooms; a temporary room is in no list and no export.
    expires_at = models.DateTimeField(null=True)
    # A deleted room is gone for everybody; the rows are erased in the background.
    deleted_at = models.DateTimeField(null=True, editable=False)
    # The table has a further column: `title_words`, generated from the title and indexed as
    # `chatroom_search`. The model omits the column, since no row is ever read with `title_words`.

    objects = ChatroomQuerySet.as_manager()

    class Meta:
        permissions = [("view_content", "Can read what people wrote")]
        constraints = [
            models.CheckConstraint(name="chatroom_title_is_not_empty", condition=~Q(title="")),
            models.CheckConstraint(
                name="chatroom_characters_per_token_is_positive",
                condition=Q(characters_per_token__gt=0),
            ),
        ]
        indexes = [
            # GET /chatroom/: a user's rooms in the order of the list.
            models.Index(
                "user",
                "archived",
                F("pinned").desc(),
                F("last_message_at").desc(),
                F("id").desc(),
                name="chatroom_list",
                condition=Q(expires_at=None, deleted_at=None),
            ),
            # All rooms of a user: for staff, newest first, and when the user is erased.
            models.Index("user", "id", name="chatroom_user"),
            # The erasure of expired temporary rooms.
            models.Index(
                "expires_at",
                name="chatroom_expiry",
                condition=Q(expires_at__isnull=False, deleted_at=None),
            ),
            # The erasure of deleted rooms.
            models.Index(
                "deleted_at", name="chatroom_deleted", condition=Q(deleted_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        # Not the title: staff see the string, and the admin's log stores the string.
        return f"chatroom {self.id}"

    @property
    def position(self) -> Position:
        """Return the position of the room in the order of lists."""
        return self.pinned, self.last_message_at, self.pk

    @property
    def is_untitled(self) -> bool:
        """Whether the room has no title from a person or from the first exchange."""
        return self.title == DEFAULT_TITLE and not self.is_title_given

    def update_fields(self, **fields: Any) -> None:
        """Set any of title, pinned, archived, system_prompt and model, and write no other column.

        Raises DoesNotExist if the room has been deleted in the meantime.
        """
        if "title" in fields:
            fields["is_title_given"] = True
        fields["updated_at"] = timezone.now()
        if not Chatroom.objects.filter(pk=self.pk, deleted_at=None).update(**fields):
            raise Chatroom.DoesNotExist
        for name, value in fields.items():
            setattr(self, name, value)
