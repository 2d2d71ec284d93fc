"""Celery's schedule on a machine whose clock may go back.

Celery 5.7 waits for the stored time of an entry's last run, also after a restart. Each entry stands
still until the clock has caught up. Written with a private name: docs/upgrading.md.
"""

import logging
from typing import Any

from celery.beat import PersistentScheduler

logger = logging.getLogger(__name__)


class Scheduler(PersistentScheduler):
    """Runs an entry within its interval after the clock went back."""

    def tick(self, *args: Any, **options: Any) -> float:
        ahead = [entry for entry in self.schedule.values() if self._is_ahead(entry)]
        for entry in ahead:
            entry.last_run_at = entry.default_now()
        if ahead:
            logger.warning(
                "The clock went back: %d entries of the schedule start again", len(ahead)
            )
            # Has the time of each entry's next run, by the clock of before.
            self._heap = None
        return super().tick(*args, **options)

    def _is_ahead(self, entry: Any) -> bool:
        return bool(entry.last_run_at > entry.default_now())
