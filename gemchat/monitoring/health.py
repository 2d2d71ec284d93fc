"""Whether the program and what it depends on are alive.

The views are native async ones, which the web process serves without a thread of Django's, so
that they answer also while all of those wait for a database that hangs.
"""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from redis.exceptions import RedisError

from gemchat.api.methods import only
from gemchat.monitoring.single_flight import Look
from gemchat.stores.redis import client

# Within the two seconds in which an answer is promised, whatever hangs.
CHECK_SECONDS = 1.5
# A worker of the queue sets this, and it lapses when none is alive.
HEARTBEAT_KEY = "worker:gemini:alive"
HEARTBEAT_SECONDS = 30


def check_database() -> None:
    """Raises Error, with the reason, where the database does not answer."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def database_answers() -> bool:
    try:
        check_database()
    except Error:
        return False
    finally:
        connection.close()
    return True


def redis_answers() -> bool:
    try:
        return bool(client().ping())
    except RedisError:
        return False


def worker_is_alive() -> bool:
    try:
        return bool(client().exists(HEARTBEAT_KEY))
    except RedisError:
        return False


CHECKS = {
    "database": Look(database_answers, patience_seconds=CHECK_SECONDS),
    "redis": Look(redis_answers, patience_seconds=CHECK_SECONDS),
    "celery": Look(worker_is_alive, patience_seconds=CHECK_SECONDS),
}


async def answer(*names: str, faults: Mapping[str, str] = MappingProxyType({})) -> JsonResponse:
    """The state of these dependencies: 503 if one is missing, or does not answer in time.

    `faults` are further members of the answer, each a reason for 503.
    """
    answered = await asyncio.gather(*(CHECKS[name].found() for name in names))
    found = {
        name: "connected" if is_connected else "disconnected"
        for name, is_connected in zip(names, answered, strict=True)
    }
    is_well = all(answered) and not faults
    body: dict[str, Any] = {"status": "ok" if is_well else "degraded", **found, **faults}
    return JsonResponse(body, status=200 if is_well else 503)


@only("GET", "HEAD")
async def health(request: HttpRequest) -> JsonResponse:
    """GET /api/v1/health: each dependency, and 503 if one of them is missing."""
    return await answer("database", "redis", "celery")


@only("GET", "HEAD")
async def live(request: HttpRequest) -> JsonResponse:
    """GET /livez: the process answers. Asks nothing of anybody else."""
    return JsonResponse({"status": "ok"})


@only("GET", "HEAD")
async def ready(request: HttpRequest) -> JsonResponse:
    """GET /readyz: whether requests can be served.

    503 without the database, with more connections than WEB_CONNECTIONS, and while every thread
    of the views waits for something.
    """
    state = getattr(request, "scope", {}).get("state", {})
    faults = {}
    if state.get("is_crowded"):
        faults["connections"] = "crowded"
    if state.get("is_stuck"):
        faults["threads"] = "stuck"
    return await answer("database", faults=faults)
