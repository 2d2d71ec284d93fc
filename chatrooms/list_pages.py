"""Pages of a list of chatrooms, each linked to the next by a signed cursor.

Each page is rendered once.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpResponse
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from accounts.api.authentication import authenticated_user
from accounts.models import User
from chatrooms.models import Chatroom, Position
from chatrooms.serializers import ChatroomSerializer
from gemchat.api.pagination import next_link, read_cursor, sign_cursor


@dataclass(frozen=True, slots=True)
class Page:
    """A page as JSON, and the cursor of the next page, if any."""

    body: str
    cursor: str | None


def build_page(found: Sequence[Chatroom], *, user: User, limit: int) -> Page:
    """Render the first `limit` rooms; a further room means a next page."""
    cursor = cursor_at(found[limit - 1].position, user=user) if len(found) > limit else None
    return Page(render_json(ChatroomSerializer.list_to_json(found[:limit])), cursor)


def render_json(rooms: Any) -> str:
    return JSONRenderer().render(rooms).decode()


def page_response(request: Request, page: Page) -> HttpResponse:
    """Make a response with a bare array; the `Link` header has the next page."""
    response = HttpResponse(page.body, "application/json")
    if page.cursor:
        response["Link"] = next_link(request, page.cursor)
    return response


def requested_position(request: Request) -> Position | None:
    """Return the start of a page; None for the first page.

    400 for another user's cursor.
    """
    cursor = request.query_params.get("cursor")
    if cursor is None:
        return None
    pinned, last_message_at, room_id = read_cursor(
        cursor, salt=cursor_salt(authenticated_user(request))
    )
    return pinned, datetime.fromisoformat(last_message_at), uuid.UUID(room_id)


def cursor_at(position: Position, *, user: User) -> str:
    pinned, last_message_at, room_id = position
    return sign_cursor([pinned, last_message_at.isoformat(), str(room_id)], salt=cursor_salt(user))


def cursor_salt(user: User) -> str:
    """Return the salt of a user: a cursor is valid for one user's lists."""
    return f"chatrooms {user.pk}"
