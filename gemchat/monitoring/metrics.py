"""Metrics for Prometheus: the processes, and the metrics of each process.

Each process counts its own work in memory. Web processes expose the counts at /metrics, and every
process at a port where METRICS_PORT is set. Prometheus scrapes each process and adds up: the sum is
right for any number of machines. Shared files of processes end at one machine's edge. Sums in Redis
are lost with Redis and cost each request a round trip.

Web processes read the state of the stores (queue, stuck replies) at each scrape. These gauges are
the same in every process: take the largest, not the sum.

Labels are bounded: URL patterns, classes of statuses, codes from the code.
"""

import hmac
import logging
from collections.abc import Iterator
from typing import Literal, cast

from django.conf import settings
from django.db import connection
from django.db.backends.postgresql.base import DatabaseWrapper
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gemchat.api.errors import not_found, problem_response
from gemchat.monitoring.single_flight import SingleFlight

logger = logging.getLogger(__name__)

# Within the two seconds of all probes.
SCRAPE_SECONDS = 1.8

REQUEST_SECONDS = Histogram(
    "gemchat_request_seconds",
    "From the head of a request to the end of its answer, for streams that of the stream.",
    ["method", "route", "status"],
    buckets=[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
)


CONNECTIONS = Gauge("gemchat_connections", "Open connections of clients to this web process.")
LIVE_READS = Gauge("gemchat_live_reads", "Streams, waits and downloads that this process serves.")
REFUSED_LIVE_READS = Counter(
    "gemchat_live_reads_refused",
    "Live reads beyond a limit: of session, user or process.",
    ["limit"],
)


class PoolCollector(Collector):
    """The use of this process's pool of database connections."""

    def describe(self) -> list[GaugeMetricFamily]:
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        pool = cast(DatabaseWrapper, connection).pool
        figures = pool.get_stats() if pool else {}
        for name, key, text in (
            ("open", "pool_size", "Connections to the database that are open."),
            ("idle", "pool_available", "Those of them that nobody uses."),
            ("waiting", "requests_waiting", "Threads that wait for a connection."),
        ):
            yield GaugeMetricFamily(f"gemchat_pool_{name}", text, value=figures.get(key, 0))


REGISTRY.register(PoolCollector())


def exposition() -> bytes:
    return generate_latest(REGISTRY)


_exposition = SingleFlight(exposition, patience_seconds=SCRAPE_SECONDS)


@csrf_exempt
@require_safe
async def metrics(request: HttpRequest) -> HttpResponseBase:
    """GET /metrics with METRICS_TOKEN; 404 where the setting is empty."""
    token = settings.METRICS_TOKEN
    if not token:
        return not_found(request)
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        refused = problem_response(
            status=401, code="invalid_token", detail="Metrics are for those who have the token."
        )
        refused["WWW-Authenticate"] = "Bearer"
        return refused
    text = await _exposition.found()
    if text is None:
        return problem_response(status=503, code="overloaded", detail="The figures take too long.")
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST)


def serve_metrics(process: Literal["web", "worker", "beat"]) -> None:
    """Expose the metrics at a port too, without a token.

    Strangers must not reach the port. METRICS_PORT is for web, METRICS_PORT + 1 for a worker,
    METRICS_PORT + 2 for beat, so one machine can run one process of each kind.
    """
    if not settings.METRICS_PORT:
        return
    port = settings.METRICS_PORT + ["web", "worker", "beat"].index(process)
    try:
        start_http_server(port)
    except OSError as error:
        # The process goes on without metrics. Another process of this machine may have the port.
        logger.error("No metrics at port %d: %s", port, error)
