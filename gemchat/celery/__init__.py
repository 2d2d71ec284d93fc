"""The Celery application: `celery -A gemchat worker -Q gemini,default`."""

import logging
import os
from importlib import import_module
from typing import Any

from celery import Celery, Task
from celery.app.backends import BACKEND_ALIASES
from kombu.exceptions import OperationalError
from kombu.transport import TRANSPORT_ALIASES

from gemchat.api.request_id import request_id
from gemchat.stores.redis import SCHEMES

logger = logging.getLogger(__name__)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gemchat.settings")


class TracedTask(Task):
    """A task that carries the id of the request that sent it, for its log lines."""

    def apply_async(self, *args: Any, **options: Any) -> Any:
        headers = {"request_id": request_id.get(), **(options.pop("headers", None) or {})}
        # There is nothing to declare: a queue of Redis' is there once something is in it.
        return super().apply_async(*args, headers=headers, declare=(), **options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        token = request_id.set((self.request.headers or {}).get("request_id", "-"))
        try:
            return super().__call__(*args, **kwargs)
        finally:
            request_id.reset(token)


# Each send asks for these, and celery's chain of settings takes 10 µs to tell what nobody has set.
ASKED_BY_SENDS = [
    *["task_always_eager", "task_send_sent_event", "task_repr_maxlevels"],
    "broker_pool_acquire_timeout",
]

# Every URL of Redis' goes through gemchat.redis, also where Celery makes a connection without the
# app's settings. kombu's own transport does not verify the certificate of `rediss`.
TRANSPORT_ALIASES.update(dict.fromkeys(SCHEMES, "gemchat.celery.broker:Transport"))
BACKEND_ALIASES.update(dict.fromkeys(SCHEMES, "gemchat.celery.results:RedisBackend"))

app = Celery("gemchat", task_cls=TracedTask)
app.config_from_object("django.conf:settings", namespace="CELERY")


def bound_sending(*, seconds: float) -> None:
    """For a process that only sends tasks: what it waits for a broker that hangs, per try.

    A worker's own socket waits for tasks for a second at a time, so that it must be more patient.
    """
    patience = {"socket_timeout": seconds, "socket_connect_timeout": seconds}
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, **patience}
    app.conf.update({name: app.conf[name] for name in ASKED_BY_SENDS})


def enqueue(name: str, *args: Any, delay_seconds: float | None = None) -> bool:
    """Send a task by its name; return False where the broker is down.

    A name needs no import of the task's module by the caller. A row whose task was not sent waits
    for the sweep.
    """
    if name not in app.tasks:
        import_module(name.rpartition(".")[0])
    try:
        app.tasks[name].apply_async([str(arg) for arg in args], countdown=delay_seconds)
    except OperationalError:
        logger.warning("The broker is down; %s of %s waits for the sweep", name, *args)
        return False
    return True


app.autodiscover_tasks()
# Signal receivers of the worker's and beat's processes; nothing else imports them.
app.autodiscover_tasks(["gemchat.celery", "messaging.replies"], related_name="worker")
