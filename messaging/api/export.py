"""GET /chatroom/{id}/export: a room as a file, streamed by a native async view.

A batch is read in a thread and sent before the next one is read: however large the room and
however slow the reader, that is one batch in memory, and neither a thread nor a database
connection is held while a reader takes their time.
"""

from collections.abc import AsyncGenerator, Iterator
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer

from accounts.api.authentication import session_for
from accounts.models import Session
from chatrooms.models import Chatroom
from chatrooms.serializers import ChatroomSerializer
from gemchat.api.errors import DomainError
from gemchat.stores.batches import in_key_order
from messaging.api.serializers import MessageSerializer
from messaging.api.stream import read_only
from messaging.history import branch
from messaging.models import Message
from messaging.streaming.hub import Hub
from messaging.streaming.live_reads import LiveRead, SessionEnded, in_thread

BATCH = 200


class TemporaryRoom(DomainError):
    code = "temporary_chatroom"
    message = "A temporary chatroom is not kept, and so it is not exported."
    status = 409


class RoomGone(Exception):
    """The room was deleted while it was being exported; the connection ends in mid-file."""


@read_only("application/json", "text/markdown")
async def export(request: ASGIRequest, chatroom_id: str) -> HttpResponseBase:
    """`?as=json` (if left out) has every message with its place in the tree, oldest first;
    `?as=markdown` the branch that is shown, to be read."""
    kind = request.GET.get("as", "json")
    if kind not in ("json", "markdown"):
        raise ValidationError({"as": "Give json or markdown."}, "invalid_choice")
    hub: Hub = request.scope["state"]["hub"]
    session, room = await in_thread(own_room, request, chatroom_id)
    read = hub.reads.open(session)
    ending, media_type = ("json", "application/json") if kind == "json" else ("md", "text/markdown")
    pieces = in_json(room) if kind == "json" else in_markdown(room)
    response = StreamingHttpResponse(
        streamed(pieces, read), content_type=f"{media_type}; charset=utf-8"
    )
    response["Content-Disposition"] = f'attachment; filename="chatroom-{room.pk}.{ending}"'
    return response


def own_room(request: HttpRequest, chatroom_id: str) -> tuple[Session, Chatroom]:
    """The caller's session and room.

    Raises AuthenticationFailed, Chatroom.DoesNotExist, TemporaryRoom.
    """
    session = session_for(request.headers.get("Authorization", ""))
    request.user = session.user
    room = Chatroom.objects.owned_by(session.user).get(pk=chatroom_id)
    if room.expires_at:
        raise TemporaryRoom
    return session, room


async def streamed(pieces: Iterator[str], read: LiveRead) -> AsyncGenerator[bytes]:
    """Each piece is made in a thread, when the one before it has been taken.

    Raises SessionEnded.
    """
    while (piece := await in_thread(next, pieces, None)) is not None:
        if read.has_ended:
            raise SessionEnded
        yield piece.encode()


def in_json(room: Chatroom) -> Iterator[str]:
    """`{"chatroom": {...}, "messages": [...]}`, both as the API shows them."""
    yield f'{{"chatroom":{as_json(ChatroomSerializer(room).data)},"messages":['
    comma = ""
    for batch in batches(room):
        yield comma + as_json(MessageSerializer(branch.with_siblings(batch), many=True).data)[1:-1]
        comma = ","
    yield "]}\n"


def batches(room: Chatroom) -> Iterator[list[Message]]:
    """All messages of a room, oldest first."""
    yield from in_key_order(Message.objects.filter(chatroom=room), BATCH)
    check_is_there(room)


def in_markdown(room: Chatroom) -> Iterator[str]:
    """The title, then each message under a heading with its sender and time."""
    yield f"# {room.title}\n"
    for batch in branch_batches(room):
        yield "".join(map(as_markdown, batch))


def branch_batches(room: Chatroom) -> Iterator[list[Message]]:
    """The active branch of a room, from its first message on."""
    first = branch.root_of(room)
    if first is None:
        return
    batch = [Message.objects.get(pk=first), *branch.downwards(first, limit=BATCH)]
    while batch:
        yield batch
        batch = branch.downwards(batch[-1].pk, limit=BATCH)
    check_is_there(room)


def as_markdown(message: Message) -> str:
    sender = "Gemini" if message.is_reply else "You"
    status = "" if message.status == Message.Status.COMPLETE else f" ({message.status})"
    at = f"{message.created_at:%Y-%m-%d %H:%M} UTC"
    return f"\n## {sender}, {at}{status}\n\n{message.content}\n"


def as_json(value: Any) -> str:
    return JSONRenderer().render(value).decode()


def check_is_there(room: Chatroom) -> None:
    """Raises RoomGone: with the room deleted in the meantime, the file would lack its end."""
    if not Chatroom.objects.filter(pk=room.pk, deleted_at=None).exists():
        raise RoomGone
