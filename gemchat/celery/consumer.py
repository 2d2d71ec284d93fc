"""Celery's consumer, made to outlive the loss of its broker: `worker_consumer` in the settings."""

import logging
from typing import Any

from celery.worker import consumer

logger = logging.getLogger(__name__)


class Consumer(consumer.Consumer):
    """Connects again when the broker was lost while tasks were under way.

    kombu 5.7 then uses a channel that is closed already, to give their messages back at once and to
    acknowledge them at their end, and fails with an AttributeError. Celery takes that for a
    fault of its own, and the worker hangs. Nothing is lost with such a message: the broker hands
    it out again, and the task, which may run twice, finds that it is done.
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
