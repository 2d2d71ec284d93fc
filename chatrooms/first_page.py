"""The first page of a user's list, kept rendered for CACHE_TTL_SECONDS.

What a page costs is to make 50 rooms into JSON. What it shows is told apart by the ids and the
row versions of its rooms, which one look at the list's index gives: who wrote a version (`xmin`)
and where it lies (`ctid`), as one transaction may write several, and a place may be used again.
The kept page goes out only if its rooms are still those, so that no write has to call it back:
whoever has seen a write succeed sees it in the list, also when writers and readers cross, when
Redis was away meanwhile, and when the row was changed in psql.
"""

import hashlib
import json
import logging
import uuid
from collections.abc import Iterable
from datetime import datetime

from django.conf import settings
from django.db import connection
from django.db.models.expressions import RawSQL
from redis.exceptions import RedisError

from accounts.models import User
from chatrooms.models import Chatroom
from chatrooms.pages import Page, page_of
from gemchat.pagination import MAX_LIMIT
from gemchat.redis import client

logger = logging.getLogger(__name__)

# Of the same rooms, in the same order, as `Chatroom.objects.listed` gives.
VERSIONS = """
SELECT id, xmin::text || ctid::text FROM chatrooms_chatroom
WHERE user_id = %s AND archived = %s AND expires_at IS NULL AND deleted_at IS NULL
ORDER BY pinned DESC, last_message_at DESC, id DESC LIMIT %s
"""


def first_page(*, user: User, archived: bool, limit: int) -> Page:
    key = key_of(user.pk, archived=archived, limit=limit)
    with connection.cursor() as cursor:
        cursor.execute(VERSIONS, [user.pk, archived, limit + 1])
        current = digest(cursor.fetchall())
    if page := kept(key, version=current):
        return page
    version = RawSQL("xmin::text || ctid::text", [])  # noqa: S611
    rooms = Chatroom.objects.owned_by(user).listed(archived=archived).annotate(version=version)
    found = list(rooms[: limit + 1])
    page = page_of(found, limit=limit)
    # The versions that came with the rooms: they may have changed since the first look.
    keep(key, page, version=digest((room.pk, room.version) for room in found))
    return page


def key_of(user_id: uuid.UUID, *, archived: bool, limit: int) -> str:
    return f"chatrooms:first:{user_id}:{archived:d}:{limit}"


def forget(user_id: uuid.UUID) -> None:
    """Delete every page that is kept of a user. Without Redis they expire by themselves."""
    keys = [
        key_of(user_id, archived=archived, limit=limit)
        for archived in (False, True)
        for limit in range(1, MAX_LIMIT + 1)
    ]
    try:
        client().unlink(*keys)
    except RedisError as error:
        logger.warning("An erased user's lists are kept for a while; Redis is down: %s", error)


def digest(versions: Iterable[tuple[uuid.UUID, str]]) -> str:
    lines = "\n".join(f"{room_id} {version}" for room_id, version in versions)
    return hashlib.sha256(lines.encode()).hexdigest()


def kept(key: str, *, version: str) -> Page | None:
    """The page that was kept, if it is of this version. Without Redis nothing is."""
    try:
        text = client().get(key)
    except RedisError as error:
        logger.warning("Lists are made anew each time; Redis is down: %s", error)
        return None
    if not isinstance(text, str):
        return None
    kept_version, last, body = text.split("\n", 2)
    if kept_version != version:
        return None
    if last == "null":
        return Page(body, None)
    pinned, last_message_at, room_id = json.loads(last)
    return Page(body, (pinned, datetime.fromisoformat(last_message_at), uuid.UUID(room_id)))


def keep(key: str, page: Page, *, version: str) -> None:
    if settings.CACHE_TTL_SECONDS <= 0:
        return
    last = json.dumps(page.last, default=str)
    try:
        client().set(key, f"{version}\n{last}\n{page.body}", ex=settings.CACHE_TTL_SECONDS)
    except RedisError as error:
        logger.warning("A list is not kept; Redis is down: %s", error)
