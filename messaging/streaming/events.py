"""The Server-Sent Events of a reply: text from a position on, then a terminal event."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

from redis.exceptions import RedisError
from rest_framework.renderers import JSONRenderer

from accounts.api.live_reads import LiveRead
from gemchat.api.async_views import in_thread
from gemchat.stores.errors import DATABASE_ERRORS
from messaging.models import Message, waiting_of
from messaging.models.reads import message_or_raise
from messaging.streaming.buffer import Entry, Position, parse_published, stream_key
from messaging.streaming.hub import StreamHub, Subscriber

PING_SECONDS = 15.0
LONGEST_STREAM_SECONDS = 600.0
STORE_DOWN_POLL_SECONDS = 1.0

# Renders the message of a terminal event as in the API. Runs in a thread.
Render = Callable[[Message], dict[str, Any]]

TERMINAL_EVENTS = {
    Message.Status.COMPLETE: "reply.completed",
    Message.Status.FAILED: "reply.failed",
    Message.Status.STOPPED: "reply.stopped",
}


def end_position(reply: Message) -> Position:
    """Return the id of a reply's terminal event."""
    return Position(reply.attempt, len(reply.content) + 1)


async def events(
    reply: Message,
    position: Position,
    *,
    hub: StreamHub,
    render: Render,
    read: LiveRead | None = None,
) -> AsyncGenerator[bytes]:
    """Yield the rest of a reply after `position`, then the terminal event.

    A wait for the next try is an event too. The id of the event is that of the text before.

    The terminal event is missing after ten minutes and at a shutdown of the server: the client
    resumes. The terminal event is missing, too, if the reply is deleted or the session of `read`
    ends.
    """
    if reply.has_ended:
        for last in await final_events(reply, position, render):
            yield last
        return
    loop = asyncio.get_running_loop()
    closes_at = loop.time() + LONGEST_STREAM_SECONDS
    async with hub.opened(), hub.subscribe(reply.pk) as subscriber:
        if read is not None:
            read.wake = subscriber.wake
        patience = STORE_DOWN_POLL_SECONDS
        waiting = waiting_of(reply)
        if waiting:
            yield format_event("reply.waiting", position, waiting)
        while loop.time() < closes_at and not hub.closing.is_set():
            try:
                async with asyncio.timeout(patience):
                    await subscriber.woken.wait()
            except TimeoutError:
                subscriber.needs_row = subscriber.needs_buffer = True
                yield b": ping\n\n"
            if read is not None and read.has_ended:
                return
            subscriber.woken.clear()
            patience = PING_SECONDS
            try:
                entries = await entries_after(hub, subscriber, reply, position)
            except RedisError:
                entries, patience = [], STORE_DOWN_POLL_SECONDS
                subscriber.needs_row = True
            for entry, fields in entries:
                if "end" in fields:
                    subscriber.needs_row = True
                    break
                text = new_text(entry, fields["text"], position)
                if text is None:
                    break
                if entry.attempt > position.attempt and position.offset:
                    yield format_event("reply.restarted", Position(entry.attempt, 0), {})
                position = entry
                if text:
                    yield format_event("reply.delta", position, {"text": text})
            if subscriber.needs_row:
                # Before the read: the answer may lack news published meanwhile.
                subscriber.needs_row = False
                try:
                    reply = await in_thread(reload, reply)
                    last_events = (
                        await final_events(reply, position, render) if reply.has_ended else []
                    )
                except DATABASE_ERRORS:
                    subscriber.needs_row, patience = True, STORE_DOWN_POLL_SECONDS
                except Message.DoesNotExist:
                    return
                else:
                    if (news := waiting_of(reply)) != waiting:
                        waiting = news
                        if waiting:
                            yield format_event("reply.waiting", position, waiting)
                    for last in last_events:
                        yield last
                    if last_events:
                        return


def reload(reply: Message) -> Message:
    """Read the row again; raises Message.DoesNotExist."""
    return message_or_raise(reply.pk)


async def entries_after(
    hub: StreamHub, subscriber: Subscriber, reply: Message, position: Position
) -> list[Entry]:
    """Get published entries for a reader with all earlier text; else read the buffer."""
    published = [parse_published(each) for each in subscriber.drain()]
    if not subscriber.needs_buffer:
        new = [(entry, fields) for entry, fields in published if entry > position]
        if not new or new_text(new[0][0], new[0][1]["text"], position) is not None:
            return new
    # Before the read: the answer may lack entries published meanwhile.
    subscriber.needs_buffer = False
    try:
        found: Any = await hub.redis.xrange(stream_key(reply.pk), f"({position}", "+") or []
    except RedisError:
        subscriber.needs_buffer = True
        raise
    return [(Position.parse(entry_id), fields) for entry_id, fields in found]


def new_text(entry: Position, text: str, seen: Position) -> str | None:
    """Cut the text of an entry at `seen`; None if earlier text is missing.

    Entries may overlap: in doubt whether Redis has a text, a worker sends the text again.
    """
    start = entry.offset - len(text)
    offset = seen.offset if entry.attempt == seen.attempt else 0
    if start > offset:
        return None
    return text[offset - start :]


async def final_events(reply: Message, position: Position, render: Render) -> list[bytes]:
    """List the rest of an ended reply, and the terminal event with the whole message."""
    last = []
    if position.attempt < reply.attempt:
        if position.offset:
            last.append(format_event("reply.restarted", Position(reply.attempt, 0), {}))
        position = Position(reply.attempt, 0)
    if rest := reply.content[position.offset :]:
        until = Position(reply.attempt, len(reply.content))
        last.append(format_event("reply.delta", until, {"text": rest}))
    message = await in_thread(render, reply)
    last.append(
        format_event(TERMINAL_EVENTS[Message.Status(reply.status)], end_position(reply), message)
    )
    return last


def format_event(name: str, position: Position, payload: Any) -> bytes:
    body = JSONRenderer().render(payload)
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (str(position).encode(), name.encode(), body)
