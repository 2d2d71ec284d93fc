"""Health of the program and the dependencies.

The views are native async views and need no thread of the web process. So the views answer while
every thread waits for a hanging database.
"""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError

from gemchat.monitoring.migrations import missing_migrations
from gemchat.monitoring.single_flight import SingleFlight
from gemchat.stores.redis import client

# A probe answers within two seconds, also when a dependency hangs.
CHECK_SECONDS = 1.5
# The queue of replies.
REPLY_QUEUE = "gemini"
HEARTBEAT_SECONDS = 30


def heartbeat_key(queue: str) -> str:
    """Name the key that each worker of the queue sets.

    The key expires without a live worker.
    """
    return f"worker:{queue}:alive"


def database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return False
    finally:
        connection.close()
    return True


class SchemaCheck:
    """Counts the migrations to apply, until none is missing: then no query follows."""

    def __init__(self) -> None:
        self._is_applied = False
        self._count = SingleFlight(self._count_missing, patience_seconds=CHECK_SECONDS)

    async def fault(self) -> str | None:
        """Return a sentence on what is missing; None also where the database does not answer."""
        if self._is_applied:
            return None
        missing = await self._count.found()
        return f"Migrations to apply: {missing}. Run manage.py migrate." if missing else None

    def _count_missing(self) -> int | None:
        try:
            missing = missing_migrations()
        except Error:
            return None
        finally:
            connection.close()
        self._is_applied = missing == 0
        return missing


SCHEMA = SchemaCheck()


def redis_answers() -> bool:
    try:
        return bool(client().ping())
    except RedisError:
        return False


def worker_is_alive(queue: str = REPLY_QUEUE) -> bool:
    try:
        return bool(client().exists(heartbeat_key(queue)))
    except RedisError:
        return False


CHECKS = {
    "database": SingleFlight(database_answers, patience_seconds=CHECK_SECONDS),
    "redis": SingleFlight(redis_answers, patience_seconds=CHECK_SECONDS),
    "celery": SingleFlight(worker_is_alive, patience_seconds=CHECK_SECONDS),
}


async def answer(*names: str, faults: Mapping[str, str] = MappingProxyType({})) -> JsonResponse:
    """Answer with the state of dependencies; 503 if a dependency is missing or too slow.

    `faults` are further members of the body, each a reason for 503.
    """
    answered = await asyncio.gather(*(CHECKS[name].found() for name in names))
    found = {
        name: "connected" if is_connected else "disconnected"
        for name, is_connected in zip(names, answered, strict=True)
    }
    is_well = all(answered) and not faults
    body: dict[str, Any] = {"status": "ok" if is_well else "degraded", **found, **faults}
    return JsonResponse(body, status=200 if is_well else 503)


@csrf_exempt
@require_safe
async def health(request: HttpRequest) -> JsonResponse:
    """GET /api/v1/health: each dependency, and 503 if a dependency is missing."""
    return await answer("database", "redis", "celery")


@csrf_exempt
@require_safe
async def live(request: HttpRequest) -> JsonResponse:
    """GET /livez: the process answers. No dependency is asked."""
    return JsonResponse({"status": "ok"})


@csrf_exempt
@require_safe
async def ready(request: HttpRequest) -> JsonResponse:
    """GET /readyz: whether the process can serve requests.

    503 without the database or a migration, with more connections than WEB_CONNECTIONS, and while
    every thread of the views waits.
    """
    state = getattr(request, "scope", {}).get("state", {})
    faults = {}
    if state.get("is_crowded"):
        faults["connections"] = "crowded"
    if state.get("is_stuck"):
        faults["threads"] = "stuck"
    if schema := await SCHEMA.fault():
        faults["schema"] = schema
    return await answer("database", faults=faults)
