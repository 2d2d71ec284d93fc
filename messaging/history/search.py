"""Search a user's rooms by titles and messages.

A room is found if the title, or a message, has all the words of the query. Words are whole words as
written, without case and accents, since a text may be in any language. `searchable_text` turns a
text into words. Rooms come in the order of lists.

A search takes either of two ways, so the cost is bounded for any words:

- Most words are in few messages. The index finds the messages, and the rooms are sorted.
- A common word is in thousands of messages and in nearly every room, so the index would take long.
  Instead the rooms are walked through in the order of lists, each from the newest message, until a
  page is full. A walk reads the newest 2,000 messages of a room, and ends at a limit of rooms and
  messages. The page may then be short, or empty, and the next page goes on from the end of the
  walk.
"""

import uuid
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models.functions import Left

from accounts.models import User
from chatrooms.models import Chatroom, Position
from chatrooms.statements import (
    list_order,
    list_params,
    listed_condition,
    listed_cte,
    lookup_cte,
    titled_cte,
)
from messaging.models import Message

# A word in COMMON_IN_SAMPLE of the newest SAMPLED_MESSAGES is too common for the index.
SAMPLED_MESSAGES, COMMON_IN_SAMPLE = 1_000, 10
MOST_HITS = 2_000
WALKED_ROOMS = 1_000
WALKED_MESSAGES_A_ROOM = 2_000
WALKED_MESSAGES = 20_000
# The limit of `searchable_text` in a message.
SEARCHED_CHARACTERS = 65_536

PHRASE_SQL = "phraseto_tsquery('simple', searchable_text(%s))"
SAMPLE_SQL = """
SELECT given.query::text, (
    SELECT count(*) FROM (
        SELECT words FROM messaging_message WHERE user_id = %s ORDER BY id DESC LIMIT %s
    ) newest WHERE newest.words @@ given.query
) FROM (SELECT {query} AS query) given
"""

BY_INDEX_SQL = """
WITH hit AS MATERIALIZED (
    SELECT chatroom_id, id FROM messaging_message
    WHERE user_id = %(room_user)s AND content <> '' AND words @@ %(room_query)s::tsquery
    LIMIT %(most)s + 1
), newest AS (
    SELECT DISTINCT ON (chatroom_id) chatroom_id AS id, id AS message_id
    FROM hit ORDER BY chatroom_id, hit.id DESC
), titled AS MATERIALIZED (
    {titled} LIMIT %(most)s + 1
), page AS (
    SELECT room.id, found.message_id
    FROM (
        SELECT coalesce(newest.id, titled.id) AS id, newest.message_id
        FROM newest FULL JOIN titled ON titled.id = newest.id
    ) found
    CROSS JOIN LATERAL (
        {lookup}
    ) room
    WHERE {listed_condition}
    ORDER BY {order}
    LIMIT %(limit)s + 1
)
SELECT page.id, page.message_id, hits.most
FROM (SELECT greatest((SELECT count(*) FROM hit), (SELECT count(*) FROM titled)) AS most) hits
LEFT JOIN page ON true
"""

# `reading` bounds the messages read by the walk up to the end of a room.
WALK_SQL = """
SELECT walked.id, hit.id, walked.is_titled OR hit.id IS NOT NULL, walked.is_end
FROM (
    SELECT *, place = %(rooms)s OR reading >= %(messages)s AS is_end
    FROM (
        SELECT id, pinned, last_message_at, title_words @@ %(room_query)s::tsquery AS is_titled,
            least(message_count, %(a_room)s) AS own,
            sum(least(message_count, %(a_room)s)) OVER in_order AS reading,
            row_number() OVER in_order AS place
        FROM (
            {listed}
        ) room
        WINDOW in_order AS (ORDER BY {order} ROWS UNBOUNDED PRECEDING)
    ) room WHERE reading - own < %(messages)s
) walked LEFT JOIN LATERAL (
    SELECT message.id FROM (
        SELECT id, words FROM messaging_message WHERE chatroom_id = walked.id
        ORDER BY id DESC LIMIT %(a_room)s
    ) message WHERE message.words @@ %(room_query)s::tsquery LIMIT 1
) hit ON true
WHERE walked.is_titled OR hit.id IS NOT NULL OR walked.is_end
ORDER BY {walked_order} LIMIT %(limit)s + 1
"""


@dataclass(frozen=True, slots=True)
class Hit:
    """A found room, with the newest message with the words, or else the title."""

    room: Chatroom
    text: str
    message_id: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class SearchPage:
    """A page of hits, and the last position before the next page, if any."""

    hits: list[Hit]
    last: Position | None


def find_rooms(
    *, user: User, query: str, archived: bool, after: Position | None, limit: int
) -> SearchPage:
    """Find at most `limit` listed rooms of the user with all words of the query."""
    words, is_common = parse_query(user=user, query=query)
    if not words:
        return SearchPage([], None)
    wanted = {
        **list_params(user_id=user.pk, query=words, archived=archived, after=after),
        "limit": limit,
    }
    is_after = after is not None
    found = None if is_common else find_by_index(wanted, is_after, user=user, limit=limit)
    return found or find_by_walk(wanted, is_after, user=user, limit=limit)


def parse_query(*, user: User, query: str) -> tuple[str, bool]:
    """Return the query for PostgreSQL, and whether the words are too common.

    Too common words are not for the index. Text between blanks is a phrase: a word, or several
    words in a row.
    """
    phrases = query.split()
    statement = SAMPLE_SQL.format(query=" && ".join([PHRASE_SQL] * len(phrases)))
    with connection.cursor() as cursor:
        cursor.execute(statement, [user.pk, SAMPLED_MESSAGES, *phrases])
        words, matching = cursor.fetchone()
    return words, matching >= COMMON_IN_SAMPLE


def find_by_index(
    wanted: dict[str, Any], is_after: bool, *, user: User, limit: int
) -> SearchPage | None:
    """Find rooms by the index; None if too many messages have the words."""
    statement = BY_INDEX_SQL.format(
        titled=titled_cte(),
        lookup=lookup_cte("found.id"),
        listed_condition=listed_condition(is_after=is_after),
        order=list_order("room"),
    )
    rows = fetch_rows(statement, {**wanted, "most": MOST_HITS})
    if rows[0][2] > MOST_HITS:
        return None
    hits = load_hits(
        [(room_id, message_id) for room_id, message_id, _ in rows if room_id], user=user
    )
    last = hits[limit - 1].room.position if len(hits) > limit else None
    return SearchPage(hits[:limit], last)


def find_by_walk(wanted: dict[str, Any], is_after: bool, *, user: User, limit: int) -> SearchPage:
    statement = WALK_SQL.format(
        listed=listed_cte(is_after=is_after, limit="%(rooms)s"),
        order=list_order("room"),
        walked_order=list_order("walked"),
    )
    bounds = {
        "rooms": WALKED_ROOMS,
        "messages": WALKED_MESSAGES,
        "a_room": WALKED_MESSAGES_A_ROOM,
    }
    rows = fetch_rows(statement, {**wanted, **bounds})
    hits = load_hits(
        [(room, message) for room, message, is_found, _ in rows if is_found], user=user
    )
    if len(hits) > limit:
        return SearchPage(hits[:limit], hits[limit - 1].room.position)
    ends = [room_id for room_id, _, _, is_end in rows if is_end]
    last = Chatroom.objects.filter(pk__in=ends).first()
    return SearchPage(hits, last.position if last else None)


def fetch_rows(statement: str, parameters: dict[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()


def load_hits(found: list[tuple[uuid.UUID, uuid.UUID | None]], *, user: User) -> list[Hit]:
    """Load the rooms and messages of a page, in the order of lists."""
    messages = Message.objects.filter(pk__in=[message_id for _, message_id in found if message_id])
    texts = dict(messages.values_list("pk", Left("content", SEARCHED_CHARACTERS)))
    rooms = Chatroom.objects.owned_by(user).in_bulk([room_id for room_id, _ in found])
    hits = [
        Hit(rooms[room_id], texts.get(message_id) or rooms[room_id].title, message_id)
        for room_id, message_id in found
        if room_id in rooms
    ]
    return sorted(hits, key=lambda hit: hit.room.position, reverse=True)
