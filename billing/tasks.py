"""Periodic tasks of billing."""

import logging

from celery import shared_task

from billing import entitlement
from billing.stripe.reconciliation import reconcile

logger = logging.getLogger(__name__)


@shared_task
def reconcile_subscriptions() -> None:
    differences = reconcile()
    if differences.subscriptions or differences.tiers:
        logger.warning("Reconciled with Stripe: %s", differences.as_json())


@shared_task
def end_expired_grants() -> None:
    entitlement.end_expired_grants()


@shared_task
def mark_disagreements() -> None:
    entitlement.mark_disagreements()
