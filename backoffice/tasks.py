"""Count the figures of the back office: the work of Celery workers."""

from celery import shared_task
from django.utils import timezone

from backoffice.dashboard.rollup import update_daily_metrics


@shared_task(name="backoffice.tasks.count_days")
def count_days() -> None:
    """Keep the figures of the back office."""
    update_daily_metrics(now=timezone.now())
