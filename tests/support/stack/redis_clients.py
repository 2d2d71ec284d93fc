"""Asks each Redis client of the program once: `python -m tests.support.stack.redis_clients`.

Prints a JSON object of the clients' names, with "ok" or the error of each.
"""

import asyncio
import json
import uuid
from collections.abc import Callable

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.cache import cache  # noqa: E402
from kombu import Connection  # noqa: E402

from gemchat.celery import app, limit_broker_wait  # noqa: E402
from gemchat.stores.redis import async_client, broker, client  # noqa: E402
from messaging.replies.metrics import QUEUES  # noqa: E402
from messaging.tasks import generate_reply  # noqa: E402


async def ping() -> None:
    connected = async_client()
    try:
        await connected.ping()
    finally:
        await connected.aclose()


def publish() -> None:
    generate_reply.delay(str(uuid.uuid4()))


def count_tasks() -> None:
    for name in QUEUES:
        broker().llen(name)


CLIENTS: dict[str, Callable[[], object]] = {
    "client": lambda: client().set("by", "client"),
    "async client": lambda: asyncio.run(ping()),
    "cache": lambda: cache.set("by", "cache"),
    "broker": count_tasks,
    "publisher": publish,
    "results": lambda: app.backend.client.set("by", "results"),
    "bare connection": lambda: Connection(settings.CELERY_BROKER_URL).default_channel.client.ping(),
}


def outcome(call: Callable[[], object]) -> str:
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "ok"


if __name__ == "__main__":
    limit_broker_wait(seconds=1.0)
    print(json.dumps({name: outcome(call) for name, call in CLIENTS.items()}))
