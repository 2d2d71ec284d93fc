"""A task ends at the time limit and frees the thread."""

import time

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from gemchat.celery import app
from tests.support.waiting import in_background

UNBOUNDED_SECONDS = 20.0


@app.task(name="gemchat.tests.spin", soft_time_limit=0.1)
def spin(seconds: float) -> str:
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        time.sleep(0.01)
    return "ended by itself"


def test_task_past_its_limit_ends_and_leaves_its_thread_to_the_next() -> None:
    def run_two() -> str:
        with pytest.raises(SoftTimeLimitExceeded):
            spin(UNBOUNDED_SECONDS)
        return spin(0)

    assert in_background(run_two).result(UNBOUNDED_SECONDS) == "ended by itself"


def test_every_task_ends_before_the_broker_delivers_it_again() -> None:
    limit = app.conf.task_soft_time_limit

    assert 0 < limit < app.conf.broker_transport_options["visibility_timeout"]
