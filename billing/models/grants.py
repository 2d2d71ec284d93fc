"""Pro given by staff."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone


class GrantQuerySet(models.QuerySet["Grant"]):
    def current(self) -> "GrantQuerySet":
        return self.filter(until__gt=timezone.now())


class Grant(models.Model):
    """Pro from staff, without Stripe, until a moment; a revocation moves the moment."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="grants", db_index=False
    )
    until = models.DateTimeField()
    reason = models.CharField(max_length=200)
    granted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", db_index=False
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = GrantQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(name="grant_has_a_reason", condition=~Q(reason="")),
            models.CheckConstraint(
                name="grant_ends_after_it_begins", condition=Q(until__gt=F("created_at"))
            ),
        ]
        indexes = [
            # The user's current grants, when the tier is derived.
            models.Index(name="grant_by_user", fields=["user", "until"]),
            # Grants with a recent end.
            models.Index(name="grant_by_end", fields=["until"]),
        ]

    def __str__(self) -> str:
        return f"until {self.until:%Y-%m-%d}"
