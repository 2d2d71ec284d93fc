"""The live text of a reply: a Redis Stream that workers write and web processes read.

The buffer may be lost, the row may not. An entry's id is `attempt-offset`: the attempt that made
the text, and the number of characters (code points) of the reply up to the end of this entry. So
an event's id is a position in the reply for any web process, with or without the buffer. Ids must
grow, so Redis refuses an entry of an overtaken attempt.

Each entry is also published to the current readers of the reply. A reader that has all earlier text
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

# For readers that reconnect; later the row answers.
BUFFER_SECONDS = 300


def stream_key(reply_id: uuid.UUID) -> str:
    """The key of the stream, and the channel on which its entries are published."""
    return f"reply:{reply_id}"


def stop_key(reply_id: uuid.UUID) -> str:
    """The key of the mark that asks the worker to stop a reply."""
    return f"stop:{reply_id}"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A position in a reply, and the id of the event that ends there."""

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


def parse_published(published: str) -> "Entry":
    """Parse the entry in a message that is not CHECK_BUFFER."""
    entry_id, _, text = published.partition(" ")
    return Position.parse(entry_id), {"text": text}


# The end of an entry, and its fields: `text`, or `end` when the row has the end of the reply.
Entry = tuple[Position, dict[str, str]]


def begin(pipe: Pipeline, reply_id: uuid.UUID, attempt: int) -> None:
    """Mark the start of an attempt, which has no text yet."""
    key = stream_key(reply_id)
    pipe.xadd(key, {"text": ""}, id=str(Position(attempt, 0)))
    pipe.expire(key, BUFFER_SECONDS)
    pipe.publish(key, CHECK_BUFFER)


def append(pipe: Pipeline, reply_id: uuid.UUID, end: Position, text: str) -> None:
    """Add `text`, which ends at `end`. XADD answers None where the earlier text is lost; the writer
    then sends the whole text again."""
    key = stream_key(reply_id)
    pipe.xadd(key, {"text": text}, id=str(end), nomkstream=end.offset > len(text))
    pipe.expire(key, BUFFER_SECONDS)
    pipe.publish(key, f"{end} {text}")


def publish_end(reply_id: uuid.UUID, last: Position) -> None:
    """Announce that the row has the reply's end. `last` is where its text ends."""
    key = stream_key(reply_id)
    pipe = client().pipeline(transaction=False)
    pipe.xadd(key, {"end": "1"}, id=str(Position(last.attempt, last.offset + 1)))
    pipe.expire(key, BUFFER_SECONDS)
    pipe.publish(key, CHECK_BUFFER)
    try:
        # A repeated id is a second announcement, which changes nothing.
        pipe.execute(raise_on_error=False)
    except RedisError as error:
        # Readers poll the row, and find the end there.
        logger.warning("The end of reply %s was not announced: %s", reply_id, error)


def publish_stop(reply_id: uuid.UUID) -> None:
    """Ask the worker of a reply to stop it. The flag in the row replaces a lost mark."""
    try:
        client().set(stop_key(reply_id), "1", ex=BUFFER_SECONDS)
    except RedisError as error:
        logger.warning("The stop of reply %s was not announced: %s", reply_id, error)


def delete_buffers(reply_ids: Collection[uuid.UUID]) -> None:
    """Delete the buffers of replies that are erased or retried. Without Redis they expire."""
    keys = [key(reply_id) for reply_id in reply_ids for key in (stream_key, stop_key)]
    try:
        if keys:
            client().unlink(*keys)
    except RedisError as error:
        logger.warning("Erased replies stay buffered for %d s: %s", BUFFER_SECONDS, error)
