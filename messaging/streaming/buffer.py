"""The live text of a reply: a Redis Stream from workers to web processes.

The buffer may be lost, the row may not. An entry's id is `attempt-offset`: the attempt of the text,
and the offset of the end of the entry. The offset counts the characters (code points) of the reply.
So an event's id is a position in the reply for any web process, with or without the buffer. Ids
must grow, so Redis refuses an entry of an overtaken attempt.

Each entry is also published to the current readers of the reply. A reader with all earlier text
need not read the buffer.
"""

import logging
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from redis.client import Pipeline
from redis.exceptions import RedisError

from gemchat.stores.redis import client

logger = logging.getLogger(__name__)

# For reconnecting readers; later the row answers.
BUFFER_SECONDS = 300


def stream_key(reply_id: uuid.UUID) -> str:
    """Return the key of the stream, also the channel of published entries."""
    return f"reply:{reply_id}"


def stop_key(reply_id: uuid.UUID) -> str:
    """Return the key of the stop mark of a reply, for the worker."""
    return f"stop:{reply_id}"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A position in a reply, and the id of the event up to the position."""

    attempt: int
    offset: int

    def __str__(self) -> str:
        return f"{self.attempt}-{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Parse an event id; raises ValueError."""
        attempt, separator, offset = text.partition("-")
        is_number = all(
            part.isascii() and part.isdigit() and len(part) <= 10 for part in (attempt, offset)
        )
        if not (separator and is_number):
            raise ValueError("not an event id")
        return cls(int(attempt), int(offset))


# Published where an entry is more than text: readers then read the buffer.
CHECK_BUFFER = ""
# Published where the row has news without an entry: readers then read the row.
CHECK_ROW = "row"


def parse_published(published: str) -> "Entry":
    """Parse a published entry; the message is text."""
    entry_id, _, text = published.partition(" ")
    return Position.parse(entry_id), {"text": text}


# The end of an entry, and the fields: `text`, or `end` when the row has the end of the reply.
Entry = tuple[Position, dict[str, str]]


def begin(pipe: Pipeline, reply_id: uuid.UUID, attempt: int) -> None:
    """Mark the start of an attempt without text yet."""
    key = stream_key(reply_id)
    pipe.xadd(key, {"text": ""}, id=str(Position(attempt, 0)))
    pipe.expire(key, BUFFER_SECONDS)
    pipe.publish(key, CHECK_BUFFER)


def append(pipe: Pipeline, reply_id: uuid.UUID, end: Position, text: str) -> None:
    """Add `text` up to the position `end`.

    XADD answers None if the earlier text is lost; the writer then sends the whole text again.
    """
    key = stream_key(reply_id)
    pipe.xadd(key, {"text": text}, id=str(end), nomkstream=end.offset > len(text))
    pipe.expire(key, BUFFER_SECONDS)
    pipe.publish(key, f"{end} {text}")


def publish_end(reply_id: uuid.UUID, last: Position) -> None:
    """Announce the end of a reply in the row. `last` ends the text."""
    key = stream_key(reply_id)
    pipe = client().pipeline(transaction=False)
    pipe.xadd(key, {"end": "1"}, id=str(Position(last.attempt, last.offset + 1)))
    pipe.expire(key, BUFFER_SECONDS)
    pipe.publish(key, CHECK_BUFFER)
    try:
        # A repeated id is a second announcement without effect.
        pipe.execute(raise_on_error=False)
    except RedisError as error:
        # Readers poll the row, and find the end there.
        logger.warning("The end of reply %s was not announced: %s", reply_id, error)


def publish_wait(reply_id: uuid.UUID) -> None:
    """Announce a wait in the row."""
    try:
        client().publish(stream_key(reply_id), CHECK_ROW)
    except RedisError as error:
        logger.warning("The wait of reply %s was not announced: %s", reply_id, error)


def publish_stop(reply_id: uuid.UUID) -> None:
    """Ask the worker to stop a reply. The row's flag replaces a lost mark."""
    try:
        client().set(stop_key(reply_id), "1", ex=BUFFER_SECONDS)
    except RedisError as error:
        logger.warning("The stop of reply %s was not announced: %s", reply_id, error)


def delete_buffers(reply_ids: Collection[uuid.UUID]) -> None:
    """Delete the buffers of erased or retried replies. Without Redis the buffers expire."""
    keys = [key(reply_id) for reply_id in reply_ids for key in (stream_key, stop_key)]
    try:
        if keys:
            client().unlink(*keys)
    except RedisError as error:
        logger.warning("Erased replies stay buffered for %d s: %s", BUFFER_SECONDS, error)
