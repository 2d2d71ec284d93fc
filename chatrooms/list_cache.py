"""The cache of the first page of a user's list, for CACHE_TTL_SECONDS.

The cost of a page is the rendering of 50 rooms as JSON. The version of a page is a hash of the ids
and the row versions of the rooms. A single read of the index of the list gives the version. A row
version is `xmin` and `ctid`: one transaction may write several versions, and a slot may be used
again. A cached page is sent only if the version is current, so no write has to delete a page. A
write is in the list at once, also when writers and readers cross, without Redis, and after a change
in psql.
"""

import hashlib
import logging
import uuid
from collections.abc import Iterable

from django.conf import settings
from django.db.models.expressions import RawSQL
from redis.exceptions import RedisError

from accounts.models import User
from accounts.models.reads import FirstRead
from chatrooms.list_pages import Page, build_page
from chatrooms.models import Chatroom
from gemchat.api.pagination import MAX_LIMIT
from gemchat.stores.redis import client

logger = logging.getLogger(__name__)

ROW_VERSION_SQL = "id::text || xmin::text || ctid::text"
# Of the rooms of `Chatroom.objects.for_list`, in the same order; equal to `version_hash`.
LIST_VERSION_SQL = f"""
SELECT encode(sha256(convert_to(coalesce(string_agg(version, ' '), ''), 'UTF8')), 'hex') FROM (
    SELECT {ROW_VERSION_SQL} AS version FROM chatrooms_chatroom
    WHERE user_id = %(user)s AND archived = %(archived)s
        AND expires_at IS NULL AND deleted_at IS NULL
    ORDER BY pinned DESC, last_message_at DESC, id DESC LIMIT %(most)s
) AS listed
"""  # noqa: S608 the values are parameters


def current_version(*, archived: bool, limit: int) -> FirstRead:
    return FirstRead(LIST_VERSION_SQL, {"archived": archived, "most": limit + 1})


def first_page(*, user: User, archived: bool, limit: int, current: str) -> Page:
    """Return the first page, of version `current`, from the cache or rendered."""
    key = cache_key(user.pk, archived=archived, limit=limit)
    if page := load(key, version=current):
        return page
    version = RawSQL(ROW_VERSION_SQL, [])  # noqa: S611
    rooms = Chatroom.objects.owned_by(user).for_list(archived=archived).annotate(version=version)
    found = list(rooms[: limit + 1])
    page = build_page(found, user=user, limit=limit)
    # The versions read with the rooms: a version may have changed since the first read.
    store(key, page, version=version_hash(room.version for room in found))
    return page


def cache_key(user_id: uuid.UUID, *, archived: bool, limit: int) -> str:
    return f"chatrooms:first:{user_id}:{archived:d}:{limit}"


def delete_lists(user_id: uuid.UUID) -> None:
    """Delete every cached page of a user. Without Redis the pages expire by themselves."""
    keys = [
        cache_key(user_id, archived=archived, limit=limit)
        for archived in (False, True)
        for limit in range(1, MAX_LIMIT + 1)
    ]
    try:
        client().unlink(*keys)
    except RedisError as error:
        logger.warning("An erased user's lists are kept for a while; Redis is down: %s", error)


def version_hash(versions: Iterable[str]) -> str:
    return hashlib.sha256(" ".join(versions).encode()).hexdigest()


def load(key: str, *, version: str) -> Page | None:
    """Return the cached page of a version; None without Redis."""
    try:
        text = client().get(key)
    except RedisError as error:
        logger.warning("Lists come from the database each time; Redis is down: %s", error)
        return None
    if not isinstance(text, str):
        return None
    stored_version, next_cursor, body = text.split("\n", 2)
    return Page(body, next_cursor or None) if stored_version == version else None


def store(key: str, page: Page, *, version: str) -> None:
    if settings.CACHE_TTL_SECONDS <= 0:
        return
    text = f"{version}\n{page.cursor or ''}\n{page.body}"
    try:
        client().set(key, text, ex=settings.CACHE_TTL_SECONDS)
    except RedisError as error:
        logger.warning("A list is not kept; Redis is down: %s", error)
