"""Metrics about replies. `gemchat.monitoring.metrics` lists the exports of each process."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import Error, connection
from django.db.models import Count, Min, Q
from django.utils import timezone
from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from gemchat.monitoring.single_flight import SingleFlight
from gemchat.stores.redis import broker
from messaging.models import Message, ModelFinding, resend_after

QUEUES = ["gemini", "default", "files"]
# Several scrapers cost the stores a single read.
CACHE_SECONDS = 5.0
PATIENCE_SECONDS = 1.5

SECONDS = [0.25, 0.5, 1, 2, 3, 5, 8, 15, 30, 60, 120, 300]

FIRST_TOKEN_SECONDS = Histogram(
    "gemchat_reply_first_token_seconds",
    "From the prompt to the first text of its reply, waits in the queue among them.",
    buckets=SECONDS,
)
REPLY_SECONDS = Histogram(
    "gemchat_reply_seconds", "From the prompt to the end of its reply.", ["status"], buckets=SECONDS
)
REPLY_FAILURES = Counter("gemchat_reply_failures", "Replies that failed.", ["code"])


def count_end(reply: Message, *, status: str, error_code: str) -> None:
    """Count a newly ended reply."""
    REPLY_SECONDS.labels(status).observe((timezone.now() - reply.created_at).total_seconds())
    if reply.first_token_at:
        FIRST_TOKEN_SECONDS.observe((reply.first_token_at - reply.created_at).total_seconds())
    if error_code:
        REPLY_FAILURES.labels(error_code).inc()


@dataclass(frozen=True, slots=True)
class Backlog:
    """Active replies in the database, and findings about models by kind.

    One read for both: a second wait for a hanging database would take the whole time of a scrape.
    """

    queued: int
    generating: int
    oldest_seconds: float
    stuck: int
    findings: dict[str, int]


def backlog() -> Backlog | None:
    """Count active replies; None without a database. Partial indexes serve each count."""
    now = timezone.now()
    try:
        queued = Message.objects.filter(status=Message.Status.QUEUED)
        # A reply retried by staff was created long ago, and nobody waits for the reply.
        by_users = Q(attempts_reset=0)
        waiting = queued.aggregate(count=Count("pk"), oldest=Min("created_at", filter=by_users))
        generating = Message.objects.filter(status=Message.Status.GENERATING)
        # Before `overdue` the sweep should have requeued the replies, twice.
        overdue = now - resend_after() - timedelta(seconds=settings.REPLY_LEASE_SECONDS)
        return Backlog(
            queued=waiting["count"],
            generating=generating.count(),
            oldest_seconds=_seconds_since(waiting["oldest"], now),
            stuck=generating.filter(lease_expires_at__lt=overdue).count()
            + queued.filter(resend_at__lt=overdue).count(),
            findings=ModelFinding.objects.counts(),
        )
    except Error:
        return None
    finally:
        connection.close()


def _seconds_since(time: datetime | None, now: datetime) -> float:
    return (now - time).total_seconds() if time else 0.0


def queue_lengths() -> dict[str, int] | None:
    """Count the waiting tasks in the broker; None without a broker."""
    try:
        return {name: int(broker().llen(name)) for name in QUEUES}
    except RedisError:
        return None


class StoresCollector(Collector):
    """Collects metrics from the stores; reports a store without an answer in time."""

    def __init__(self) -> None:
        self._backlog = SingleFlight(
            backlog, patience_seconds=PATIENCE_SECONDS, cache_seconds=CACHE_SECONDS
        )
        self._queues = SingleFlight(
            queue_lengths, patience_seconds=PATIENCE_SECONDS, cache_seconds=CACHE_SECONDS
        )

    def describe(self) -> list[GaugeMetricFamily]:
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        self._queues.start()
        found, lengths = self._backlog.result_in_thread(), self._queues.result_in_thread()
        answers = GaugeMetricFamily(
            "gemchat_store_up", "Whether the store answered in time.", labels=["store"]
        )
        answers.add_metric(["database"], float(found is not None))
        answers.add_metric(["broker"], float(lengths is not None))
        yield answers
        if found is not None:
            yield from self._replies(found)
            findings = GaugeMetricFamily(
                "gemchat_model_findings",
                "Models that differ from Google's list or lack a price, as models_sync found.",
                labels=["kind"],
            )
            for kind, count in found.findings.items():
                findings.add_metric([kind], count)
            yield findings
        if lengths is not None:
            queues = GaugeMetricFamily(
                "gemchat_queue_tasks", "Tasks that wait for a worker.", labels=["queue"]
            )
            for name, length in lengths.items():
                queues.add_metric([name], length)
            yield queues

    @staticmethod
    def _replies(found: Backlog) -> Iterator[GaugeMetricFamily]:
        under_way = GaugeMetricFamily(
            "gemchat_replies_under_way", "Replies that have not ended.", labels=["status"]
        )
        under_way.add_metric(["queued"], found.queued)
        under_way.add_metric(["generating"], found.generating)
        yield under_way
        yield GaugeMetricFamily(
            "gemchat_reply_queue_age_seconds",
            "Since when the oldest queued reply waits.",
            value=found.oldest_seconds,
        )
        yield GaugeMetricFamily(
            "gemchat_replies_stuck",
            "Replies that no worker has and that the sweep has not sent again.",
            value=found.stuck,
        )
