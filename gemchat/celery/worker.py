"""The start of a worker or beat process."""

from typing import Any

from celery.signals import beat_init, worker_init, worker_ready

from gemchat.monitoring import telemetry
from gemchat.monitoring.metrics import serve_metrics
from gemchat.process import look_seldom
from gemchat.stores.postgres import bound

# Tasks get longer than requests: they may erase or reconcile many rows.
STATEMENT_SECONDS, LOCK_SECONDS = 300.0, 30.0


@worker_init.connect
def prepare_worker(**kwargs: Any) -> None:
    bound(statement_seconds=STATEMENT_SECONDS, lock_seconds=LOCK_SECONDS)
    telemetry.start("worker")
    serve_metrics("worker")


@worker_ready.connect
def settle_worker(**kwargs: Any) -> None:
    look_seldom()


@beat_init.connect
def prepare_beat(**kwargs: Any) -> None:
    telemetry.start("beat")
    serve_metrics("beat")
