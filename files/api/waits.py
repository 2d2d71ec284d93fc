"""Waits for the end of examinations: one query for all waits of a process.

A wait costs a coroutine. One task asks the database while there are waits.
"""

import asyncio
import logging
import uuid
from collections import defaultdict
from collections.abc import Collection

from files.models import File
from gemchat.api.async_views import in_thread
from gemchat.stores.errors import STORE_ERRORS

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25


class ExaminationWaits:
    """The waits of a web process. All methods run in the event loop."""

    def __init__(self) -> None:
        self._events: dict[uuid.UUID, set[asyncio.Event]] = defaultdict(set)
        self._poll: asyncio.Task[None] | None = None

    async def wait(self, file_id: uuid.UUID, *, seconds: float) -> None:
        """Return after the end of the examination, or after `seconds`."""
        event = asyncio.Event()
        self._events[file_id].add(event)
        if self._poll is None or self._poll.done():
            self._poll = asyncio.create_task(self._poll_database())
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            self._events[file_id].discard(event)
            if not self._events[file_id]:
                del self._events[file_id]

    async def _poll_database(self) -> None:
        while self._events:
            await asyncio.sleep(POLL_SECONDS)
            waited = list(self._events)
            try:
                waiting = await in_thread(unexamined, waited)
            except STORE_ERRORS as error:
                logger.warning("Files are not read: %s", error)
                continue
            for file_id in set(waited) - waiting:
                for event in self._events.get(file_id, ()):
                    event.set()


def unexamined(file_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Return the files that wait for the end of their examination."""
    received = File.objects.filter(pk__in=file_ids, status=File.Status.RECEIVED)
    return set(received.values_list("pk", flat=True))


examination_waits = ExaminationWaits()
