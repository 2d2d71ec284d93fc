"""Users, each with a verified mobile number. A sign-up alone makes no row."""

import secrets
import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models import Q
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.models.sessions import Session


def tier_choices() -> list[tuple[str, str]]:
    return [(tier, tier.capitalize()) for tier in settings.PLANS]


class UserManager(BaseUserManager["User"]):
    def create_user(self, mobile: str, password: str | None = None, **fields: Any) -> "User":
        """`mobile` is in E.164. Without a password the user signs in by code alone."""
        user = self.model(mobile=mobile, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, mobile: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(
            mobile, password, is_staff=True, is_superuser=True, is_verified=True, **fields
        )

    def mark_seen(self, user_id: uuid.UUID) -> None:
        """Record the use of a session; the record outlives the session."""
        self.filter(pk=user_id).update(last_seen_at=timezone.now())

    def verified(self, mobile: str) -> "User":
        """Return the user of a verified number; make the user when the number is new."""
        user = self.filter(mobile=mobile).first()
        if user is None:
            return self.create_user(mobile, is_verified=True)
        if not user.is_verified:
            user.is_verified = True
            user.save(update_fields=["is_verified"])
        return user


class User(AbstractBaseUser, PermissionsMixin):
    class Tier(models.TextChoices):
        """The tiers of new users and of sale; `settings.PLANS` has every tier."""

        BASIC = "basic"
        PRO = "pro"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    mobile = models.CharField(max_length=16, unique=True, help_text="E.164, as +911234567890.")
    name = models.CharField(max_length=100, blank=True)
    # Derived from Stripe and grants, by billing alone.
    tier = models.CharField(max_length=8, choices=tier_choices, default=Tier.BASIC, editable=False)
    # As billing last found, for the list of such users in the back office.
    tier_disagrees = models.BooleanField(default=False, editable=False)
    is_verified = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    stripe_customer_id = models.CharField(max_length=64, unique=True, null=True, editable=False)  # noqa: DJ001
    created_at = models.DateTimeField(auto_now_add=True)
    # The last use of any session, with the precision of Session.last_used_at.
    last_seen_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = UserManager()

    USERNAME_FIELD = "mobile"

    class Meta:
        # Rights of staff over users, each separate; backoffice.roles gives the rights to roles.
        permissions = [
            ("disable_user", "Can disable and enable users"),
            ("end_sessions", "Can end users' sessions"),
            ("send_code", "Can send a one-time code"),
            ("clear_lockouts", "Can clear lockouts"),
            ("export_user", "Can export what is kept about a user"),
            ("erase_user", "Can erase a user"),
            ("export_rows", "Can export lists"),
        ]
        indexes = [
            # Lists of the back office: the few among many.
            models.Index("id", name="user_pro", condition=Q(tier="pro")),
            models.Index("id", name="user_tier_disagrees", condition=Q(tier_disagrees=True)),
            models.Index("id", name="user_disabled", condition=Q(is_active=False)),
            models.Index("id", name="user_staff", condition=Q(is_staff=True)),
        ]
        constraints = [
            models.CheckConstraint(
                name="user_mobile_is_e164_or_released",
                # The second form is that of an account without its number: release_number.
                condition=Q(mobile__regex=r"^(\+[1-9][0-9]{6,14}|![0-9a-f]{15})$"),
            ),
            models.CheckConstraint(
                name="user_tier_is_known", condition=Q(tier__in=list(settings.PLANS))
            ),
        ]

    def __str__(self) -> str:
        return self.mobile

    def rename(self, name: str) -> None:
        self.name = name
        self.save(update_fields=["name"])

    def disable(self) -> None:
        """Shut the user out from the next request on."""
        self.is_active = False
        self.save(update_fields=["is_active"])
        Session.objects.filter(user=self).end(Session.Ending.DISABLED)

    def enable(self) -> bool:
        """Let a disabled user in again; False during the user's erasure."""
        self.is_active = bool(User.objects.filter(pk=self.pk, erasure=None).update(is_active=True))
        return self.is_active

    def close(self) -> None:
        """Shut the user out for good: the account is about to be erased."""
        self.is_active = False
        self.save(update_fields=["is_active"])
        Session.objects.filter(user=self).end(Session.Ending.ACCOUNT_CLOSED)

    def release_number(self) -> None:
        """Take the number from the account: another person may use the number."""
        # The column is unique, so the account gets a name that no number has.
        self.mobile = f"!{secrets.token_hex(8)[:15]}"
        self.save(update_fields=["mobile"])

    def reopen(self, *, mobile: str) -> None:
        """Let a person into a released account again, by another number."""
        self.mobile, self.is_active, self.last_seen_at = mobile, True, timezone.now()
        self.save(update_fields=["mobile", "is_active", "last_seen_at"])

    def change_password(self, password: str, *, keep: "Session | None" = None) -> None:
        """Set a password and end every session but `keep`."""
        self.set_password(password)
        self.save(update_fields=["password"])
        others = Session.objects.filter(user=self)
        if keep is not None:
            others = others.exclude(pk=keep.pk)
        others.end(Session.Ending.PASSWORD_CHANGED)

    @property
    def is_pro(self) -> bool:
        return self.tier == self.Tier.PRO

    @property
    def is_absent(self) -> bool:
        """Check whether nobody has used the account for ABSENCE_DAYS."""
        days = settings.ABSENCE_DAYS
        return bool(days) and timezone.now() - self.last_seen_at > timedelta(days=days)

    @property
    def has_password(self) -> bool:
        return self.has_usable_password()
