"""Records about Stripe beside the tables of dj-stripe."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from accounts.models import User


class ErasedCustomer(models.Model):
    """A customer at Stripe of an erased user.

    The id in plain form would name the person.
    """

    # SHA-256 of the id.
    digest = models.BinaryField(primary_key=True, max_length=32)

    def __str__(self) -> str:
        return bytes(self.digest).hex()


class FlagQuerySet(models.QuerySet["Flag"]):
    def raise_once(
        self, *, kind: str, stripe_id: str, user: User | None, note: str, state: str = ""
    ) -> None:
        """Show staff a case; a new state opens a resolved case again."""
        row = self.model(kind=kind, stripe_id=stripe_id, user=user, note=note, state=state)
        self.bulk_create([row], ignore_conflicts=True)
        changed = self.filter(kind=kind, stripe_id=stripe_id).exclude(state=state)
        changed.update(state=state, note=note, resolved_at=None)


class Flag(models.Model):
    """A case at Stripe for a person to judge; a flag changes no tier."""

    class Kind(models.TextChoices):
        REFUND = "refund"
        DISPUTE = "dispute"
        SECOND_SUBSCRIPTION = "second_subscription"

    kind = models.CharField(max_length=24, choices=Kind)
    stripe_id = models.CharField(max_length=255)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    note = models.CharField(max_length=200)
    # The state at Stripe that staff see, such as the status of a dispute.
    state = models.CharField(max_length=100, default="")
    created_at = models.DateTimeField(auto_now_add=True)
    resolved_at = models.DateTimeField(null=True, blank=True)

    objects = FlagQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(name="one_flag_a_thing", fields=["kind", "stripe_id"]),
        ]
        indexes = [
            # Open flags, for staff.
            models.Index("id", name="flag_open", condition=Q(resolved_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.stripe_id}"
