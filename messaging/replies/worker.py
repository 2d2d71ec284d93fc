"""What a worker process does besides its tasks: it shows that it is alive, and it ends well."""

import logging
import threading
from typing import Any

from celery.signals import heartbeat_sent, worker_shutting_down
from redis.exceptions import RedisError

from gemchat.monitoring.health import HEARTBEAT_KEY, HEARTBEAT_SECONDS
from gemchat.stores.redis import client
from messaging.replies.running import SHUTDOWN, running_replies

logger = logging.getLogger(__name__)

# What a reply that is being generated is given to end by itself when the worker is told to.
GRACE_SECONDS = 30.0


@heartbeat_sent.connect
def record_heartbeat(**kwargs: Any) -> None:
    """Celery's own heart beats every two seconds; GET /health looks at this mark."""
    try:
        client().set(HEARTBEAT_KEY, "1", ex=HEARTBEAT_SECONDS)
    except RedisError as error:
        logger.debug("No heartbeat, Redis is down: %s", error)


@worker_shutting_down.connect
def limit_shutdown(**kwargs: Any) -> None:
    """Celery waits for its tasks as long as they take. After the grace the rest is put back, and
    another worker makes those replies anew."""
    timer = threading.Timer(GRACE_SECONDS, running_replies.cancel_all, [SHUTDOWN])
    timer.daemon = True
    timer.start()
