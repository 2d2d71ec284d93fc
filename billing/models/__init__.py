"""The tables of billing. What Stripe knows is mirrored in dj-stripe's tables."""

from billing.models.audit import BillingAction
from billing.models.grants import Grant, GrantQuerySet
from billing.models.quotas import DailyQuota, ErasedQuota
from billing.models.stripe_records import ErasedCustomer, Flag, FlagQuerySet
from billing.models.usage import ENDED, UsageRecord, UsageRecordQuerySet, totals

__all__ = [
    "ENDED",
    "BillingAction",
    "DailyQuota",
    "ErasedCustomer",
    "ErasedQuota",
    "Flag",
    "FlagQuerySet",
    "Grant",
    "GrantQuerySet",
    "UsageRecord",
    "UsageRecordQuerySet",
    "totals",
]
