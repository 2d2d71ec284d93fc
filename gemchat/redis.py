"""The Redis connection of this process, for what may be lost: live streams, marks, heartbeats."""

from functools import cache
from typing import Any

import redis
import redis.asyncio
from django.conf import settings

# Redis answers in under a millisecond or not at all; nobody should wait long to find out.
TIMEOUTS: dict[str, Any] = {"socket_connect_timeout": 1.0, "socket_timeout": 1.0}


@cache
def client() -> redis.Redis:
    """Shared by all threads; the pool beneath opens connections anew after a fork."""
    return redis.Redis.from_url(settings.REDIS_URL, decode_responses=True, **TIMEOUTS)


@cache
def broker() -> redis.Redis:
    """The store of Celery's queues, which may be another one; to look at them."""
    url = settings.CELERY_BROKER_URL
    url = url.replace("redis+socket://", "unix://").replace("virtual_host=", "db=")
    return redis.Redis.from_url(url, decode_responses=True, **TIMEOUTS)


def async_client(**options: Any) -> redis.asyncio.Redis:
    """A new client for one event loop; whoever makes it closes it."""
    options = {"decode_responses": True, **TIMEOUTS, **options}
    return redis.asyncio.Redis.from_url(settings.REDIS_URL, **options)
