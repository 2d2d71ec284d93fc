"""The live text of a reply: a Redis Stream that workers write and web processes read.

What stands here may be lost, the row may not. An entry's id is `attempt-offset`: the attempt that
made the text, and the number of characters (code points) of the reply up to and with this entry.
So an event's id tells a reader just where it stands, whoever serves it and whether Redis still
has the buffer or not; and Redis itself refuses an entry of an attempt that was overtaken, since
ids must grow.

Each entry is also published to those who read the reply just then, so that a reader who has all
that came before it need not ask for it.
"""

import logging
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from redis.client import Pipeline
from redis.exceptions import RedisError

from gemchat.stores.redis import client

logger = logging.getLogger(__name__)

# Kept for readers that reconnect; after that the row answers.
BUFFER_SECONDS = 300


def stream_key(reply_id: uuid.UUID) -> str:
    """The stream's key, and the channel on which its readers are told of entries."""
    return f"reply:{reply_id}"


def stop_key(reply_id: uuid.UUID) -> str:
    """The mark that asks the worker to stop a reply."""
    return f"stop:{reply_id}"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a reply, and the id of the event that ends there."""

    attempt: int
    offset: int

    def __str__(self) -> str:
        return f"{self.attempt}-{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Raises ValueError for what is no event id of ours."""
        attempt, separator, offset = text.partition("-")
        is_number = all(
            part.isascii() and part.isdigit() and len(part) <= 10 for part in (attempt, offset)
        )
        if not (separator and is_number):
            raise ValueError("not an event id")
        return cls(int(attempt), int(offset))


# Published where there is more to know than an entry's text: readers look at the stream.
CHECK_BUFFER = ""


def parse_published(published: str) -> "Entry":
    """The entry in a message that is not CHECK_BUFFER."""
    entry_id, _, text = published.partition(" ")
    return Position.parse(entry_id), {"text": text}


# Where an entry ends, and its fields: its `text`, or `end` once the row has the reply's end.
Entry = tuple[Position, dict[str, str]]


def begin(pipe: Pipeline, reply_id: uuid.UUID, attempt: int) -> None:
    """Mark that an attempt starts anew, with no text yet."""
    key = stream_key(reply_id)
    pipe.xadd(key, {"text": ""}, id=str(Position(attempt, 0)))
    pipe.expire(key, BUFFER_SECONDS)
    pipe.publish(key, CHECK_BUFFER)


def append(pipe: Pipeline, reply_id: uuid.UUID, end: Position, text: str) -> None:
    """Add `text`, which ends at `end`. The answer of XADD is None where the text before it is lost,
    so that the writer knows to send the whole text again."""
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
        # An id that is there already is a second announcement, with nothing to add.
        pipe.execute(raise_on_error=False)
    except RedisError as error:
        # Readers look at the row now and then, and find the end there.
        logger.warning("The end of reply %s was not announced: %s", reply_id, error)


def publish_stop(reply_id: uuid.UUID) -> None:
    """Ask the worker that has the reply to stop it. The row's flag stands in for a lost mark."""
    try:
        client().set(stop_key(reply_id), "1", ex=BUFFER_SECONDS)
    except RedisError as error:
        logger.warning("The stop of reply %s was not announced: %s", reply_id, error)


def delete_buffers(reply_ids: Collection[uuid.UUID]) -> None:
    """Delete what is buffered of replies that were erased, or that are made again.

    Without Redis it expires by itself.
    """
    keys = [key(reply_id) for reply_id in reply_ids for key in (stream_key, stop_key)]
    try:
        if keys:
            client().unlink(*keys)
    except RedisError as error:
        logger.warning("Erased replies stay buffered for %d s: %s", BUFFER_SECONDS, error)
