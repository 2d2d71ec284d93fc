"""Whether the program and what it depends on are alive."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from redis.exceptions import RedisError

from gemchat.redis import client

logger = logging.getLogger(__name__)

# Within the two seconds in which an answer is promised, whatever hangs.
CHECK_SECONDS = 1.5
# A worker of the queue sets this, and it lapses when none is alive.
HEARTBEAT_KEY = "worker:gemini:alive"
HEARTBEAT_SECONDS = 30

threads = ThreadPoolExecutor(max_workers=6, thread_name_prefix="health")


def database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
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


CHECKS: dict[str, Callable[[], bool]] = {
    "database": database_answers,
    "redis": redis_answers,
    "celery": worker_is_alive,
}


def checked(names: list[str]) -> dict[str, str]:
    """`connected` or `disconnected` by name; one that does not answer in time is the latter."""
    running = {name: threads.submit(CHECKS[name]) for name in names}
    wait(running.values(), timeout=CHECK_SECONDS)
    return {
        name: "connected" if check.done() and check.result() else "disconnected"
        for name, check in running.items()
    }


def health(request: HttpRequest) -> JsonResponse:
    """GET /api/v1/health: each dependency, and 503 if one of them is missing."""
    found = checked(["database", "redis", "celery"])
    is_well = set(found.values()) == {"connected"}
    return JsonResponse(
        {"status": "ok" if is_well else "degraded", **found}, status=200 if is_well else 503
    )


def live(request: HttpRequest) -> JsonResponse:
    """GET /livez: the process answers. Asks nothing of anybody else."""
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """GET /readyz: whether requests can be served, which takes the database alone."""
    found = checked(["database"])
    is_ready = set(found.values()) == {"connected"}
    return JsonResponse(
        {"status": "ok" if is_ready else "degraded", **found}, status=200 if is_ready else 503
    )
