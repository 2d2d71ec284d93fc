"""The Celery application: `celery -A gemchat worker -Q gemini,default,files`."""

import logging
import os
from importlib import import_module
from typing import Any

from celery import Celery, Task
from celery.app.backends import BACKEND_ALIASES
from django.db import connection
from kombu.exceptions import OperationalError
from kombu.transport import TRANSPORT_ALIASES

from gemchat.api.request_id import request_id
from gemchat.celery.time_limit import time_limits
from gemchat.stores.redis import SCHEMES

logger = logging.getLogger(__name__)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gemchat.settings")


class TracedTask(Task):
    """A task with a time limit, and the id of the request for log lines."""

    def apply_async(self, *args: Any, **options: Any) -> Any:
        headers = {"request_id": request_id.get(), **(options.pop("headers", None) or {})}
        # Nothing to declare: a queue of Redis exists after its first message.
        return super().apply_async(*args, headers=headers, declare=(), **options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        token = request_id.set((self.request.headers or {}).get("request_id", "-"))
        seconds = self.soft_time_limit or self.app.conf.task_soft_time_limit
        try:
            with time_limits.limit(seconds):
                return super().__call__(*args, **kwargs)
        finally:
            request_id.reset(token)
            # The thread may wait long for a task, and the pool has use for the connection. A caller
            # with an open transaction still needs the connection.
            if not connection.in_atomic_block:
                connection.close()


# gemchat.stores.redis reads every URL of Redis, also where Celery connects without the settings of
# the app. kombu's transport does not verify the certificate of `rediss`.
TRANSPORT_ALIASES.update(dict.fromkeys(SCHEMES, "gemchat.celery.broker:Transport"))
BACKEND_ALIASES.update(dict.fromkeys(SCHEMES, "gemchat.celery.results:RedisBackend"))

app = Celery("gemchat", task_cls=TracedTask)
# The dictionary of the module, not `django.conf.settings`. Each send looks for six settings without
# a value, and a dictionary takes a third of the time.
app.config_from_object(f"{os.environ['DJANGO_SETTINGS_MODULE']}:__dict__", namespace="CELERY")


def limit_broker_wait(*, seconds: float) -> None:
    """Limit the wait for a hanging broker, per try, in a process without a worker.

    Such a process only sends tasks. A worker waits for tasks a second at a time, so a worker's
    sockets need a longer limit.
    """
    patience = {"socket_timeout": seconds, "socket_connect_timeout": seconds}
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, **patience}


def enqueue(name: str, *args: Any, delay_seconds: float | None = None) -> bool:
    """Send a task by name; return False when the broker is down.

    A name needs no import of the task's module by the caller. A row with an unsent task waits for
    the sweep.
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
# Signal receivers of worker and beat; nothing else imports them.
app.autodiscover_tasks(["gemchat.celery", "messaging.replies"], related_name="worker")
