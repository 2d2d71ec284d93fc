"""A reply as Server-Sent Events, and a read that waits for its end: native async views.

The joined deltas of a stream are byte for byte the content of the row, over any number of
reconnects: an event's id tells the place in the text, and what the buffer in Redis cannot give,
the row gives once the reply has ended. A `reply.restarted` event says that a worker was lost and
the reply is being made anew: what came before it is void.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from functools import cache, wraps
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from redis.exceptions import RedisError
from rest_framework.exceptions import MethodNotAllowed, NotAcceptable, ValidationError
from rest_framework.renderers import JSONRenderer

from accounts.api.authentication import session_for
from accounts.models import Session, User
from gemchat.api.errors import FORESEEN, DomainError, problem_for
from gemchat.stores.compiled import Compiled
from gemchat.stores.errors import DATABASE_ERRORS
from messaging.api.serializers import MessageSerializer
from messaging.conversation.actions import NotAReply
from messaging.history import branch
from messaging.models import Message
from messaging.streaming.buffer import Entry, Position, read_published, stream_key
from messaging.streaming.hub import Hub, Reader
from messaging.streaming.live_reads import LiveRead, in_thread

PING_SECONDS = 15.0
LONGEST_STREAM_SECONDS = 600.0
LONGEST_WAIT_SECONDS = 30
ACCEPTED_WAITS = {str(seconds) for seconds in range(LONGEST_WAIT_SECONDS + 1)}
STORE_DOWN_LOOK_SECONDS = 1.0

TERMINAL_EVENTS = {
    Message.Status.COMPLETE: "reply.completed",
    Message.Status.FAILED: "reply.failed",
    Message.Status.STOPPED: "reply.stopped",
}


class InvalidEventId(DomainError):
    code = "invalid_event_id"
    message = "Last-Event-ID is not one of this stream."
    status = 400


View = Callable[..., Coroutine[Any, Any, HttpResponseBase]]


def read_only(*media_types: str) -> Callable[[View], View]:
    """What DRF does for the other views: GET alone, in a form that the caller accepts, and problem
    documents for what is foreseen."""

    def decorated(view: View) -> View:
        @wraps(view)
        async def guarded(request: ASGIRequest, **captured: str) -> HttpResponseBase:
            if request.method != "GET":
                return problem_for(MethodNotAllowed(request.method or ""))
            if not any(map(request.accepts, media_types)):
                return problem_for(NotAcceptable())
            try:
                return await view(request, **captured)
            except FORESEEN as error:
                return problem_for(error)

        return guarded

    return decorated


@read_only("text/event-stream")
async def stream(request: ASGIRequest, message_id: str) -> HttpResponseBase:
    """GET /message/{id}/stream. `Last-Event-ID` (or `?last_event_id=`) resumes after that event."""
    hub: Hub = request.scope["state"]["hub"]
    given = [request.headers.get("Last-Event-ID"), request.GET.get("last_event_id"), "0-0"]
    try:
        position, *_ = [Position.parse(event_id) for event_id in given if event_id]
    except ValueError as error:
        raise InvalidEventId from error
    session, reply = await in_thread(own_message, request, message_id)
    read = hub.reads.open(session)
    if not reply.is_reply:
        raise NotAReply
    if reply.has_ended and position == end_of(reply):
        # The client has seen the end; this keeps an EventSource from asking again.
        return HttpResponse(status=204)
    response = StreamingHttpResponse(
        events(reply, position, hub, read), content_type="text/event-stream; charset=utf-8"
    )
    # A proxy that compresses would hold text back.
    response["Cache-Control"] = "no-store, no-transform"
    # Asks a proxy not to buffer (nginx's name, which others understand too).
    response["X-Accel-Buffering"] = "no"
    return response


@read_only("application/json")
async def wait(request: ASGIRequest, message_id: str) -> HttpResponseBase:
    """GET /message/{id}?wait=0..30: the message as soon as it has ended, or when time is up."""
    hub: Hub = request.scope["state"]["hub"]
    seconds = request.GET.get("wait", "")
    if seconds not in ACCEPTED_WAITS:
        message = f"Give a whole number of seconds from 0 to {LONGEST_WAIT_SECONDS}."
        raise ValidationError({"wait": message})
    session, found = await in_thread(own_message, request, message_id)
    read = hub.reads.open(session)
    if not found.has_ended:
        try:
            async with (
                asyncio.timeout(int(seconds)),
                aclosing(events(found, Position(0, 0), hub, read)) as until_end,
            ):
                async for _ in until_end:
                    pass
        except TimeoutError:
            pass
        read.require_session()
        found = await in_thread(stored, found)
    body = JSONRenderer().render(await in_thread(described, found))
    return HttpResponse(body, "application/json")


def own_message(request: HttpRequest, message_id: str) -> tuple[Session, Message]:
    """The caller's session and message; raises AuthenticationFailed or Message.DoesNotExist."""
    session = session_for(request.headers.get("Authorization", ""))
    request.user = session.user
    return session, existing(messages_of_users().first([session.user_id, message_id]))


def stored(reply: Message) -> Message:
    return existing(messages().first([reply.pk]))


def existing(message: Message | None) -> Message:
    if message is None:
        raise Message.DoesNotExist
    return message


@cache
def messages_of_users() -> Compiled[Message]:
    """By their user and their id."""
    user = User(pk=uuid.UUID(int=1))
    return Compiled(Message.objects.owned_by(user).filter(pk=uuid.UUID(int=2)))


@cache
def messages() -> Compiled[Message]:
    return Compiled(Message.objects.filter(pk=uuid.UUID(int=1)))


def described(message: Message) -> Any:
    [message] = branch.with_siblings([message])
    return MessageSerializer(message).data


def end_of(reply: Message) -> Position:
    """The id of a reply's terminal event."""
    return Position(reply.attempt, len(reply.content) + 1)


async def events(
    reply: Message, position: Position, hub: Hub, read: LiveRead | None = None
) -> AsyncGenerator[bytes]:
    """The rest of a reply after `position`, then its terminal event.

    Ends without one after ten minutes, when the server shuts down (the client resumes), when the
    reply is deleted, or when the session of `read` ends.
    """
    if reply.has_ended:
        for last in await ending(reply, position):
            yield last
        return
    loop = asyncio.get_running_loop()
    closes_at = loop.time() + LONGEST_STREAM_SECONDS
    async with hub.listening(reply.pk) as reader:
        if read is not None:
            read.wake = reader.wake
        look_at_row, patience = False, STORE_DOWN_LOOK_SECONDS
        while loop.time() < closes_at and not hub.closing.is_set():
            try:
                async with asyncio.timeout(patience):
                    await reader.woken.wait()
            except TimeoutError:
                look_at_row = reader.is_behind = True
                yield b": ping\n\n"
            if read is not None and read.has_ended:
                return
            reader.woken.clear()
            patience = PING_SECONDS
            try:
                entries = await entries_after(hub, reader, reply, position)
            except RedisError:
                entries, look_at_row, patience = [], True, STORE_DOWN_LOOK_SECONDS
            for entry, fields in entries:
                if "end" in fields:
                    look_at_row = True
                    break
                text = unseen(entry, fields["text"], position)
                if text is None:
                    break
                if entry.attempt > position.attempt and position.offset:
                    yield event("reply.restarted", Position(entry.attempt, 0), {})
                position = entry
                if text:
                    yield event("reply.delta", position, {"text": text})
            if look_at_row:
                try:
                    reply = await in_thread(stored, reply)
                    last_events = await ending(reply, position) if reply.has_ended else []
                except DATABASE_ERRORS:
                    patience = STORE_DOWN_LOOK_SECONDS
                except Message.DoesNotExist:
                    return
                else:
                    look_at_row = False
                    for last in last_events:
                        yield last
                    if last_events:
                        return


async def entries_after(
    hub: Hub, reader: Reader, reply: Message, position: Position
) -> list[Entry]:
    """As they were published, to a reader who has all before them; otherwise from the buffer."""
    published = [read_published(each) for each in reader.take()]
    if not reader.is_behind:
        new = [(entry, fields) for entry, fields in published if entry > position]
        if not new or unseen(new[0][0], new[0][1]["text"], position) is not None:
            return new
    # Before the look: what is published meanwhile may be more than it gives.
    reader.is_behind = False
    try:
        found: Any = await hub.redis.xrange(stream_key(reply.pk), f"({position}", "+") or []
    except RedisError:
        reader.is_behind = True
        raise
    return [(Position.parse(entry_id), fields) for entry_id, fields in found]


def unseen(entry: Position, text: str, seen: Position) -> str | None:
    """What a reader at `seen` has not got of an entry; None if text before it is missing.

    Entries may overlap, since a worker that was not sure that Redis had the text sends it again.
    """
    start = entry.offset - len(text)
    offset = seen.offset if entry.attempt == seen.attempt else 0
    if start > offset:
        return None
    return text[offset - start :]


async def ending(reply: Message, position: Position) -> list[bytes]:
    """What is left of a reply that has ended, and the terminal event with the whole message."""
    last = []
    if position.attempt < reply.attempt:
        if position.offset:
            last.append(event("reply.restarted", Position(reply.attempt, 0), {}))
        position = Position(reply.attempt, 0)
    if rest := reply.content[position.offset :]:
        until = Position(reply.attempt, len(reply.content))
        last.append(event("reply.delta", until, {"text": rest}))
    message = await in_thread(described, reply)
    last.append(event(TERMINAL_EVENTS[Message.Status(reply.status)], end_of(reply), message))
    return last


def event(name: str, position: Position, payload: Any) -> bytes:
    body = JSONRenderer().render(payload)
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (str(position).encode(), name.encode(), body)
