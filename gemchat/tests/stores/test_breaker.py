"""A circuit breaker opens, lets one probe through, and closes."""

import logging
from typing import Any

import pytest

from gemchat.serving.breaker import CircuitBreaker, CircuitOpen
from tests.support.waiting import at_once, eventually


def attempt(breaker: CircuitBreaker) -> bool:
    try:
        breaker.admit()
    except CircuitOpen:
        return False
    return True


def opened(*, seconds: float) -> CircuitBreaker:
    breaker = CircuitBreaker("Test", failures=3, open_seconds=seconds)
    for _ in range(3):
        breaker.report_failure()
    return breaker


def test_breaker_opens_at_consecutive_failures_alone() -> None:
    breaker = CircuitBreaker("Test", failures=3, open_seconds=60)

    for _ in range(5):
        breaker.report_failure()
        breaker.report_failure()
        breaker.report_success()

    assert attempt(breaker)
    for _ in range(3):
        breaker.report_failure()
    assert not attempt(breaker)
    assert breaker.wait_seconds > 50


def test_one_of_many_callers_is_the_probe() -> None:
    breaker = opened(seconds=0.2)
    eventually(lambda: breaker.wait_seconds == 0)
    breaker._open_seconds = 60

    assert sum(at_once(8, lambda: attempt(breaker))) == 1


def test_probe_without_an_answer_keeps_it_open_and_an_answer_closes_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    breaker: Any = opened(seconds=0.05)
    eventually(lambda: attempt(breaker))
    breaker._open_seconds = 60
    breaker.report_failure()

    assert not attempt(breaker)
    breaker.report_success()
    assert attempt(breaker) and attempt(breaker)
    assert len([line for line in caplog.messages if "does not answer" in line]) == 1
    assert "Test answers again: calls are let through" in caplog.messages
