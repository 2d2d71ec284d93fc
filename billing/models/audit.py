"""The names of billing's actions in the audit log."""

from django.db import models


class BillingAction(models.TextChoices):
    """What users, commands and staff do in billing, as the audit log names it."""

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
