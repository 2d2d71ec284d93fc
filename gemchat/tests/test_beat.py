"""beat on a machine whose clock goes back: while beat runs, and between two runs."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from celery.beat import PersistentScheduler

from gemchat.celery import app
from gemchat.celery.beat import Scheduler

CLOCK_WENT_BACK = timedelta(hours=1)
# The shortest interval of the schedule is 15 s.
LONGEST_WAIT_SECONDS = 15
# The longest interval, a week.
LONGEST_SECONDS = 7 * 24 * 3600


@pytest.fixture
def schedule_file(tmp_path: Path) -> str:
    return str(tmp_path / "beat-schedule")


@pytest.fixture
def scheduler(schedule_file: str) -> Iterator[Scheduler]:
    scheduler = Scheduler(app=app, schedule_filename=schedule_file)
    yield scheduler
    scheduler.close()


def run_in_the_future(scheduler: PersistentScheduler) -> None:
    """Let each entry have its last run by the clock of before."""
    for entry in scheduler.schedule.values():
        entry.last_run_at += CLOCK_WENT_BACK
    scheduler.populate_heap()


def test_entry_is_due_within_its_interval_after_the_clock_went_back(scheduler: Scheduler) -> None:
    scheduler.tick()
    run_in_the_future(scheduler)

    wait = scheduler.tick()

    assert 0 < wait <= LONGEST_WAIT_SECONDS
    assert not [
        entry for entry in scheduler.schedule.values() if entry.is_due()[1] > LONGEST_SECONDS
    ]


def test_entry_is_due_within_its_interval_after_a_restart(schedule_file: str) -> None:
    before = Scheduler(app=app, schedule_filename=schedule_file)
    run_in_the_future(before)
    before.close()

    after = Scheduler(app=app, schedule_filename=schedule_file)
    wait = after.tick()
    after.close()

    assert 0 < wait <= LONGEST_WAIT_SECONDS


def test_beat_starts_with_our_scheduler() -> None:
    assert app.conf.beat_scheduler == f"{Scheduler.__module__}:{Scheduler.__name__}"


def test_celery_still_waits_for_a_last_run_that_lies_ahead(schedule_file: str) -> None:
    """When this fails, `gemchat.celery.beat` is not needed any more."""
    scheduler = PersistentScheduler(app=app, schedule_filename=schedule_file)
    run_in_the_future(scheduler)

    wait = scheduler.tick()
    scheduler.close()

    assert wait > LONGEST_WAIT_SECONDS
