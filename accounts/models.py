"""Users. A user is a mobile number that has been, or is yet to be, verified by a code."""

from typing import Any

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from uuid_utils.compat import uuid7


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


class User(AbstractBaseUser, PermissionsMixin):
    class Tier(models.TextChoices):
        BASIC = "basic"
        PRO = "pro"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    mobile = models.CharField(max_length=16, unique=True, help_text="E.164, as +911234567890.")
    name = models.CharField(max_length=100, blank=True)
    # Derived from Stripe and grants by billing; never set by hand.
    tier = models.CharField(max_length=8, choices=Tier, default=Tier.BASIC, editable=False)
    is_verified = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    stripe_customer_id = models.CharField(max_length=64, unique=True, null=True, editable=False)  # noqa: DJ001
    created_at = models.DateTimeField(auto_now_add=True)

    objects = UserManager()

    USERNAME_FIELD = "mobile"

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="user_mobile_is_e164", condition=models.Q(mobile__regex=r"^\+[1-9][0-9]{6,14}$")
            ),
            models.CheckConstraint(
                name="user_tier_is_known", condition=models.Q(tier__in=["basic", "pro"])
            ),
        ]

    def __str__(self) -> str:
        return self.mobile

    @property
    def is_pro(self) -> bool:
        return self.tier == self.Tier.PRO
