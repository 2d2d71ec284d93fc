"""Celery tasks of the back office."""

from celery import shared_task
from django.utils import timezone

from backoffice.dashboard.rollup import update_daily_metrics


@shared_task(name="backoffice.tasks.count_days")
def count_days() -> None:
    """Update the daily metrics."""
    update_daily_metrics(now=timezone.now())
