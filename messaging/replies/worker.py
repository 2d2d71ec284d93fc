"""Duties of a worker process besides the tasks: the heartbeat and a bounded shutdown."""

import logging
import threading
from typing import Any

from celery import current_app
from celery.signals import heartbeat_sent, worker_shutting_down
from redis.exceptions import RedisError

from gemchat.monitoring.health import HEARTBEAT_SECONDS, heartbeat_key
from gemchat.stores.redis import client
from messaging.replies.running import SHUTDOWN, running_replies

logger = logging.getLogger(__name__)

# Time for active replies to end by themselves at the shutdown of the worker.
GRACE_SECONDS = 30.0


@heartbeat_sent.connect
def record_heartbeat(**kwargs: Any) -> None:
    """Mark the queues that this worker serves. Celery sends a heartbeat every two seconds."""
    pipe = client().pipeline(transaction=False)
    for queue in current_app.amqp.queues.consume_from:
        pipe.set(heartbeat_key(queue), "1", ex=HEARTBEAT_SECONDS)
    try:
        pipe.execute()
    except RedisError as error:
        logger.debug("No heartbeat, Redis is down: %s", error)


@worker_shutting_down.connect
def limit_shutdown(**kwargs: Any) -> None:
    """Requeue active replies after the grace period; Celery alone would wait for the replies."""
    timer = threading.Timer(GRACE_SECONDS, running_replies.cancel_all, [SHUTDOWN])
    timer.daemon = True
    timer.start()
