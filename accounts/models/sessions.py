"""Sessions: one sign-in of a user on one device."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from uuid_utils.compat import uuid7

IDLE_LIFETIME = timedelta(days=30)
LIFETIME = timedelta(days=90)
KEPT_AFTER_END = timedelta(days=30)
# Of sessions ended by a newer sign-in: frequent sign-ins make many such sessions.
REPLACED_KEPT = timedelta(days=1)
# Active sessions of one person.
MOST_SESSIONS = 20


class SessionQuerySet(models.QuerySet["Session"]):
    def active(self) -> "SessionQuerySet":
        now = timezone.now()
        return self.filter(
            revoked_at=None,
            last_used_at__gt=now - IDLE_LIFETIME,
            created_at__gt=now - LIFETIME,
        )

    def end(self, reason: "Session.Ending") -> int:
        """End sessions; return the count of newly ended sessions."""
        return self.filter(revoked_at=None).update(revoked_at=timezone.now(), revoked_reason=reason)

    def end_oldest(self, *, keep: int) -> int:
        """End all active sessions but the newest `keep`; return the number of ended sessions.

        Exact where the caller holds the lock of the user's row.
        """
        # By id: ids sort by the time of the sign-in.
        surplus = self.active().order_by("-pk").values("pk")[keep:]
        return Session.objects.filter(pk__in=surplus).end(Session.Ending.REPLACED)

    def prunable(self) -> "SessionQuerySet":
        now = timezone.now()
        return self.filter(
            Q(revoked_at__lt=now - KEPT_AFTER_END)
            | Q(revoked_reason=Session.Ending.REPLACED, revoked_at__lt=now - REPLACED_KEPT)
            | Q(last_used_at__lt=now - IDLE_LIFETIME - KEPT_AFTER_END)
            | Q(created_at__lt=now - LIFETIME - KEPT_AFTER_END)
        )


class Session(models.Model):
    """One sign-in of a user, with digests of the tokens."""

    class AuthMethod(models.TextChoices):
        OTP = "otp"
        PASSWORD = "password"  # noqa: S105

    class Channel(models.TextChoices):
        """The holder of the refresh token: an API client, or a cookie."""

        API = "api"
        WEB = "web"

    class Ending(models.TextChoices):
        LOGOUT = "logout"
        LOGOUT_ALL = "logout_all"
        ENDED_BY_USER = "ended_by_user"
        ENDED_BY_STAFF = "ended_by_staff"
        PASSWORD_CHANGED = "password_changed"  # noqa: S105
        DISABLED = "disabled"
        ACCOUNT_CLOSED = "account_closed"
        REFRESH_REUSED = "refresh_reused"
        # A newer sign-in took the last free slot.
        REPLACED = "replaced"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="sessions", db_index=False
    )
    refresh_digest = models.BinaryField(max_length=32, unique=True)
    previous_digest = models.BinaryField(max_length=32, null=True)
    rotated_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField()
    ip = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=200, blank=True)
    channel = models.CharField(max_length=3, choices=Channel, default=Channel.API)
    auth_method = models.CharField(max_length=8, choices=AuthMethod)
    authenticated_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_reason = models.CharField(max_length=16, choices=Ending, blank=True)

    objects = SessionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="session_ends_for_a_reason",
                condition=Q(revoked_at=None, revoked_reason="")
                | (~Q(revoked_at=None) & ~Q(revoked_reason="")),
            ),
            models.CheckConstraint(
                name="session_rotation_is_whole",
                condition=Q(previous_digest=None, rotated_at=None)
                | (~Q(previous_digest=None) & ~Q(rotated_at=None)),
            ),
        ]
        indexes = [
            # A user's sessions: GET /auth/sessions, logout-all, a password change, erasure.
            models.Index("user", "revoked_at", name="session_of_user"),
        ]

    def __str__(self) -> str:
        return f"{self.auth_method} session {self.id}"

    def end(self, reason: Ending) -> bool:
        return Session.objects.filter(pk=self.pk).end(reason) == 1

    @property
    def refresh_expires_at(self) -> datetime:
        return min(self.last_used_at + IDLE_LIFETIME, self.created_at + LIFETIME)

    @property
    def is_revoked(self) -> bool:
        return self.revoked_at is not None
