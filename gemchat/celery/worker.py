"""The start of a worker or beat process."""

from typing import Any

from celery.signals import beat_init, worker_init, worker_ready
from prometheus_client import REGISTRY

from gemchat.monitoring import telemetry
from gemchat.monitoring.clock import ClockCollector
from gemchat.monitoring.metrics import serve_metrics
from gemchat.process import tune_garbage_collector
from gemchat.stores.postgres import limit_database_waits

# Tasks get more time than requests: a task may erase or reconcile many rows.
STATEMENT_SECONDS, LOCK_SECONDS = 300.0, 30.0


@worker_init.connect
def prepare_worker(**kwargs: Any) -> None:
    limit_database_waits(statement_seconds=STATEMENT_SECONDS, lock_seconds=LOCK_SECONDS)
    telemetry.start("worker")
    REGISTRY.register(ClockCollector())
    serve_metrics("worker")


@worker_ready.connect
def settle_worker(**kwargs: Any) -> None:
    tune_garbage_collector()


@beat_init.connect
def prepare_beat(**kwargs: Any) -> None:
    telemetry.start("beat")
    serve_metrics("beat")
