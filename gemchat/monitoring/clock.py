"""The skew of this process's clock against PostgreSQL's, which all machines share."""

import time
from collections.abc import Iterator

from django.db import Error, connection
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gemchat.monitoring.single_flight import SingleFlight

PATIENCE_SECONDS = 1.5
# Clocks drift slowly.
CACHE_SECONDS = 30.0


def clock_skew() -> float:
    """Return how many seconds this clock is ahead. Raises Error.

    The result is exact to half a round trip.
    """
    with connection.cursor() as cursor:
        # The first statement may connect, which takes longer.
        cursor.execute("SELECT 1")
        before = time.time()
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        after = time.time()
        (theirs,) = cursor.fetchone()
    return (before + after) / 2 - float(theirs)


def clock_skew_or_none() -> float | None:
    try:
        return clock_skew()
    except Error:
        return None
    finally:
        connection.close()


class ClockCollector(Collector):
    """Reports the skew at a scrape, unless the database does not answer."""

    def __init__(self) -> None:
        self._skew = SingleFlight(
            clock_skew_or_none, patience_seconds=PATIENCE_SECONDS, cache_seconds=CACHE_SECONDS
        )

    def describe(self) -> list[GaugeMetricFamily]:
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        skew = self._skew.result_in_thread()
        if skew is not None:
            yield GaugeMetricFamily(
                "gemchat_clock_skew_seconds",
                "How far the clock of this process is ahead of PostgreSQL's.",
                value=skew,
            )
