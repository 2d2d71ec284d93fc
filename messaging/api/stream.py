"""Native async views of a message, with a wait, and of a reply's stream.

A stream sends a reply as Server-Sent Events. The joined deltas of a stream are byte for byte the
content of the row, over any number of reconnects. An event's id is a position in the text. Text
lost from the buffer in Redis comes from the row after the end of the reply. `reply.restarted` means
a lost worker and a new start of the reply: earlier text is void.
"""

import asyncio
from contextlib import aclosing
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer

from accounts.api.authentication import session_for
from accounts.models import Session
from gemchat.api.async_views import async_view, in_thread
from gemchat.api.errors import DomainError
from messaging.api.message_files import render_message
from messaging.api.serializers import MessageSerializer
from messaging.conversation.actions import NotAReply
from messaging.history import branch
from messaging.models import Message
from messaging.models.reads import own_message_or_raise
from messaging.streaming.buffer import Position
from messaging.streaming.events import end_position, events, reload
from messaging.streaming.hub import get_hub

LONGEST_WAIT_SECONDS = 30
ACCEPTED_WAITS = {str(seconds) for seconds in range(LONGEST_WAIT_SECONDS + 1)}


class InvalidEventId(DomainError):
    code = "invalid_event_id"
    message = "Last-Event-ID is not one of this stream."
    status = 400


@async_view("text/event-stream")
async def stream(request: HttpRequest, message_id: str) -> HttpResponseBase:
    """GET /message/{id}/stream. `Last-Event-ID` (or `?last_event_id=`) resumes after the event."""
    hub = get_hub(request)
    given = [request.headers.get("Last-Event-ID"), request.GET.get("last_event_id"), "0-0"]
    try:
        position, *_ = [Position.parse(event_id) for event_id in given if event_id]
    except ValueError as error:
        raise InvalidEventId from error
    session, reply = await in_thread(get_own_message, request, message_id)
    read = hub.reads.open(session)
    if not reply.is_reply:
        raise NotAReply
    if reply.has_ended and position == end_position(reply):
        # The client has the end; with 204 an EventSource does not reconnect.
        return HttpResponse(status=204)
    response = StreamingHttpResponse(
        events(reply, position, hub=hub, render=render, read=read),
        content_type="text/event-stream; charset=utf-8",
    )
    # A compressing proxy would hold text back.
    response["Cache-Control"] = "no-store, no-transform"
    # Asks a proxy not to buffer (nginx's name; other proxies understand the header too).
    response["X-Accel-Buffering"] = "no"
    return response


@async_view("application/json", methods=("GET", "HEAD"))
async def message(request: HttpRequest, message_id: str) -> HttpResponseBase:
    """GET /message/{id}. With `?wait=` a wait of 0 to 30 seconds for the end."""
    if "wait" in request.GET:
        found = await wait_for_end(request, message_id, request.GET["wait"])
    else:
        _, found = await in_thread(get_own_message, request, message_id)
    body = await in_thread(render_message, found, request)
    return HttpResponse(JSONRenderer().render(body), "application/json")


async def wait_for_end(request: HttpRequest, message_id: str, seconds: str) -> Message:
    """Return the ended message, or the current message after `seconds`."""
    hub = get_hub(request)
    if seconds not in ACCEPTED_WAITS:
        detail = f"Give a whole number of seconds from 0 to {LONGEST_WAIT_SECONDS}."
        raise ValidationError({"wait": detail})
    session, found = await in_thread(get_own_message, request, message_id)
    read = hub.reads.open(session)
    if found.has_ended:
        return found
    try:
        async with (
            asyncio.timeout(int(seconds)),
            aclosing(events(found, Position(0, 0), hub=hub, render=render, read=read)) as until_end,
        ):
            async for _ in until_end:
                pass
    except TimeoutError:
        pass
    read.require_session()
    return await in_thread(reload, found)


def get_own_message(request: HttpRequest, message_id: str) -> tuple[Session, Message]:
    """Get the user's session and message; raises AuthenticationFailed, Message.DoesNotExist."""
    session = session_for(request.headers.get("Authorization", ""))
    request.user = session.user
    return session, own_message_or_raise(user_id=session.user_id, message_id=message_id)


def render(message: Message) -> dict[str, Any]:
    """Return a reply for its owner; only a prompt has files."""
    [message] = branch.with_siblings([message])
    return MessageSerializer.to_json(message)
