"""GET /chatroom/{id}/export: a room as a file, streamed by a native async view.

A thread reads a batch, and the batch is sent before the next read. So a single batch is in memory
for a room of any size, and a slow reader holds neither a thread nor a database connection.
"""

from collections.abc import AsyncGenerator, Iterator
from typing import Any

from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer

from accounts.api.authentication import session_for
from accounts.api.live_reads import LiveRead, SessionEnded
from accounts.models import Session
from chatrooms.models import Chatroom
from chatrooms.serializers import ChatroomSerializer
from gemchat.api.async_views import async_view, in_thread
from gemchat.api.errors import DomainError
from gemchat.stores.batches import in_key_order
from messaging.api.message_files import with_files
from messaging.api.serializers import MessageSerializer
from messaging.history import branch
from messaging.models import Message, MessageFile
from messaging.streaming.hub import get_hub

BATCH = 200


class TemporaryRoom(DomainError):
    code = "temporary_chatroom"
    message = "A temporary chatroom is not kept, and so it is not exported."
    status = 409


class RoomGone(Exception):
    """The room was deleted during the export; the connection ends in mid-file."""


@async_view("application/json", "text/markdown")
async def export(request: HttpRequest, chatroom_id: str) -> HttpResponseBase:
    """Stream a room as a file.

    `?as=json`, the default, has every message with the position in the tree, oldest first.
    `?as=markdown` has the active branch, for people.
    """
    kind = request.GET.get("as", "json")
    if kind not in ("json", "markdown"):
        raise ValidationError({"as": "Give json or markdown."}, "invalid_choice")
    session, room = await in_thread(get_own_room, request, chatroom_id)
    read = get_hub(request).reads.open(session)
    ending, media_type = ("json", "application/json") if kind == "json" else ("md", "text/markdown")
    parts = json_parts(room) if kind == "json" else markdown_parts(room)
    response = StreamingHttpResponse(
        send_parts(parts, read), content_type=f"{media_type}; charset=utf-8"
    )
    response["Content-Disposition"] = f'attachment; filename="chatroom-{room.pk}.{ending}"'
    return response


def get_own_room(request: HttpRequest, chatroom_id: str) -> tuple[Session, Chatroom]:
    """Get the user's session and room.

    Raises AuthenticationFailed, Chatroom.DoesNotExist, TemporaryRoom.
    """
    session = session_for(request.headers.get("Authorization", ""))
    request.user = session.user
    room = Chatroom.objects.owned_by(session.user).get(pk=chatroom_id)
    if room.expires_at:
        raise TemporaryRoom
    return session, room


async def send_parts(parts: Iterator[str], read: LiveRead) -> AsyncGenerator[bytes]:
    """Yield parts, each made in a thread after the earlier part was sent. Raises SessionEnded."""
    while (part := await in_thread(next, parts, None)) is not None:
        if read.has_ended:
            raise SessionEnded
        yield part.encode()


def json_parts(room: Chatroom) -> Iterator[str]:
    """Yield `{"chatroom": {...}, "messages": [...]}`, in the form of the API."""
    yield f'{{"chatroom":{render_json(ChatroomSerializer.to_json(room))},"messages":['
    comma = ""
    for batch in batches(room):
        messages = MessageSerializer.list_to_json(branch.with_siblings(batch))
        # An address would end before anybody reads the file.
        yield comma + render_json(with_files(messages, None))[1:-1]
        comma = ","
    yield "]}\n"


def batches(room: Chatroom) -> Iterator[list[Message]]:
    """Yield all messages of a room in batches, oldest first."""
    yield from in_key_order(Message.objects.filter(chatroom=room), BATCH)
    check_exists(room)


def markdown_parts(room: Chatroom) -> Iterator[str]:
    """Yield the title, then each message under a heading with sender and time."""
    yield f"# {room.title}\n"
    for batch in branch_batches(room):
        names = MessageFile.objects.names(batch)
        yield "".join(format_markdown(message, names[message.pk]) for message in batch)


def branch_batches(room: Chatroom) -> Iterator[list[Message]]:
    """Yield the active branch of a room in batches, from the first message on."""
    first = branch.root_of(room)
    if first is None:
        return
    batch = [Message.objects.get(pk=first), *branch.descendants(first, limit=BATCH)]
    while batch:
        yield batch
        batch = branch.descendants(batch[-1].pk, limit=BATCH)
    check_exists(room)


def format_markdown(message: Message, files: list[str]) -> str:
    sender = "Gemini" if message.is_reply else "You"
    status = "" if message.status == Message.Status.COMPLETE else f" ({message.status})"
    at = f"{message.created_at:%Y-%m-%d %H:%M} UTC"
    attached = f"\nFiles: {', '.join(files)}\n" if files else ""
    return f"\n## {sender}, {at}{status}\n{attached}\n{message.content}\n"


def render_json(value: Any) -> str:
    return JSONRenderer().render(value).decode()


def check_exists(room: Chatroom) -> None:
    """Raise RoomGone if the room was deleted meanwhile: the file is incomplete."""
    if not Chatroom.objects.filter(pk=room.pk, deleted_at=None).exists():
        raise RoomGone
