"""Celery's result backend in Redis: CELERY_RESULT_BACKEND with a URL of Redis."""

from typing import Any

from celery.backends import redis

from gemchat.stores.redis import connection_options


class RedisBackend(redis.RedisBackend):
    """Celery's backend, with the address from `gemchat.stores.redis`."""

    def _params_from_url(self, url: str, defaults: dict[str, Any]) -> dict[str, Any]:
        address = connection_options(url)
        names = ("host", "port", "socket_keepalive") if "path" in address else ()
        kept = {name: value for name, value in defaults.items() if name not in names}
        return {**kept, **address}
