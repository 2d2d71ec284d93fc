"""Celery's consumer after a loss of the broker: `worker_consumer` in the settings.

Written against Celery 5.7 and kombu 5.7: docs/upgrading.md.
"""

import logging
from typing import Any

from celery.worker import consumer

logger = logging.getLogger(__name__)


class Consumer(consumer.Consumer):
    """Connects again after a loss of the broker during tasks.

    kombu 5.7 then uses a closed channel to return or acknowledge messages, and raises
    AttributeError. Celery treats the error as its own fault, and the worker hangs. No message is
    lost: the broker delivers the message again, and the task finds the work done.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connection_errors: tuple[type[Exception], ...] = (
            *self.conninfo.connection_errors,
            AttributeError,
        )

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        try:
            super().on_connection_error_after_connected(exc)
        except AttributeError as error:
            logger.warning("Unacknowledged messages are left to the broker: %s", error)
