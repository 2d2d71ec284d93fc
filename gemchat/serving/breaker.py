"""Circuit breakers: calls to a dead service fail at once, until a probe succeeds.

pybreaker holds its lock during a call, so calls of several threads would wait for each other.
"""

import logging
import threading
import time

from prometheus_client import Gauge

logger = logging.getLogger(__name__)

OPEN_BREAKERS = Gauge(
    "gemchat_breaker_open",
    "Whether calls to the service fail at once, in this process.",
    ["service"],
)


class CircuitOpen(Exception):
    """No call: the latest calls got no answer, and a probe is too early."""


class CircuitBreaker:
    """Opens after `failures` consecutive failures; lets one probe through each `open_seconds`."""

    def __init__(self, name: str, *, failures: int, open_seconds: float) -> None:
        self._name = name
        self._failures = failures
        self._open_seconds = open_seconds
        self._lock = threading.Lock()
        self._failed = 0
        # When the next probe is let through; None while the circuit is closed.
        self._probe_at: float | None = None
        OPEN_BREAKERS.labels(name).set(0)

    @property
    def wait_seconds(self) -> float:
        """Return the seconds until the next permitted call; 0 when a call is permitted now."""
        probe_at = self._probe_at
        return 0.0 if probe_at is None else max(0.0, probe_at - time.monotonic())

    def admit(self) -> None:
        """Let one call through; the caller reports the outcome. Raises CircuitOpen."""
        with self._lock:
            if self._probe_at is None:
                return
            now = time.monotonic()
            if now < self._probe_at:
                raise CircuitOpen
            # This call is the probe. The next probe follows even without a report of the outcome.
            self._probe_at = now + self._open_seconds

    def report_success(self) -> None:
        with self._lock:
            was_open = self._probe_at is not None
            self._failed, self._probe_at = 0, None
        if was_open:
            OPEN_BREAKERS.labels(self._name).set(0)
            logger.warning("%s answers again: calls are let through", self._name)

    def report_failure(self) -> None:
        with self._lock:
            self._failed += 1
            if self._failed < self._failures:
                return
            has_opened = self._probe_at is None
            self._probe_at = time.monotonic() + self._open_seconds
        if has_opened:
            OPEN_BREAKERS.labels(self._name).set(1)
            logger.error("%s does not answer: calls fail at once for now", self._name)
