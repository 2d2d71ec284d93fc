"""Celery's consumer after a loss of the broker: `worker_consumer` in the settings.

Written against Celery 5.7 and kombu 5.7: docs/upgrading.md.
"""

import logging
import time
from typing import Any

from celery.worker import consumer
from redis.exceptions import ResponseError

logger = logging.getLogger(__name__)

# A Redis that refuses commands takes connections at once, so Celery would try without a wait.
REFUSED_WAIT_SECONDS = 1.0


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
        _wait_if_refused(exc)

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        super().on_connection_error_before_connected(exc)
        _wait_if_refused(exc)


def _wait_if_refused(error: Exception) -> None:
    if isinstance(error, ResponseError):
        time.sleep(REFUSED_WAIT_SECONDS)
