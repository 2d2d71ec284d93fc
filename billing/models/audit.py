"""The names of billing's actions in the audit log."""

from django.db import models


class BillingAction(models.TextChoices):
    """Actions of users, commands and staff in billing, as named in the audit log."""

    CHECKOUT_STARTED = "checkout_started"
    PORTAL_OPENED = "portal_opened"
    CANCELLATION_ORDERED = "cancellation_ordered"
    RESUMPTION_ORDERED = "resumption_ordered"
    GRANT_GIVEN = "grant_given"
    GRANT_ENDED = "grant_ended"
    QUOTA_RESET = "quota_reset"
    STRIPE_SYNCED = "stripe_synced"
    WEBHOOK_REPLAYED = "webhook_replayed"
    FLAG_SETTLED = "flag_settled"
