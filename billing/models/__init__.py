"""The tables of billing. dj-stripe's tables mirror Stripe's data."""

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
