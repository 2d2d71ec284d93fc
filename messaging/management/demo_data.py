"""Make users, rooms and messages by the million, for demonstrations and measurements.

Rows go in by COPY, in transactions of some thousand rows. So an aborted run leaves whole rooms,
except for the last room. Each room is a single branch of prompts and replies, as of a real
conversation.
"""

import itertools
import random
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import connection, models, transaction
from django.utils import timezone

from accounts.models import User
from chatrooms.models import Chatroom
from gemchat.stores.uuid7 import uuid7_at
from messaging.models import Message

# 555-0100 to 0199 of every area are reserved for fiction: no code ever reaches anybody.
AREAS = range(300, 1000)
ROWS_A_TRANSACTION = 20_000
# For more messages, indexing the words in bulk is faster than message by message.
MANY_MESSAGES = 20_000

WORDS_A_MESSAGE = 40
TEXTS = 4_096
WORDS = 20_000
SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in ("a", "e", "i", "o", "u", "an", "er")]
COMMON_WORDS = ["river", "water", "sea", "mountain", "valley", "rain", "delta", "bridge"]

Tell = Callable[[int], object]
Row = list[Any]


class TooManyUsers(ValueError):
    pass


@dataclass(frozen=True, slots=True)
class Plan:
    """The number of rooms for each user, and of messages in each room."""

    rooms: int
    messages: int


def make_users(count: int) -> list[User]:
    """Make users with fictional numbers. Raises TooManyUsers without free numbers."""
    taken = set(
        User.objects.filter(mobile__regex=r"^\+1...55501..$").values_list("mobile", flat=True)
    )
    numbers = (f"+1{area}55501{last:02}" for area in AREAS for last in range(100))
    free = list(itertools.islice((number for number in numbers if number not in taken), count))
    if len(free) < count:
        raise TooManyUsers(f"There are numbers for {len(free)} more users only.")
    return User.objects.bulk_create(
        [
            User(
                mobile=mobile,
                name=f"Demo {mobile[-4:]}",
                is_verified=True,
                password=make_password(None),
            )
            for mobile in free
        ],
        batch_size=1_000,
    )


def seed(users: Iterable[User], plan: Plan, *, tell: Tell) -> None:
    """Make rooms with messages. `tell` gets the number of new rows each time."""
    now = timezone.now()
    texts = made_up_texts(random.Random(7))  # noqa: S311 nothing secret is drawn
    for user in users:
        rooms = [room_at(user, number, plan, now=now) for number in range(plan.rooms)]
        for rows in batched(map(row_of, rooms), ROWS_A_TRANSACTION):
            tell(copy(Chatroom, rows))
        messages = (row for room in rooms for row in message_rows(room, texts))
        with words_in_heaps(plan.rooms * plan.messages):
            for rows in batched(messages, ROWS_A_TRANSACTION):
                tell(copy(Message, rows))


def room_at(user: User, number: int, plan: Plan, *, now: datetime) -> Chatroom:
    """Make the user's room `number`, counted back from the newest activity."""
    last_at = now - timedelta(seconds=number)
    opened_at = last_at - timedelta(seconds=plan.messages)
    room_id = uuid7_at(opened_at, salt=random.getrandbits(62))  # noqa: S311
    room = Chatroom(
        id=room_id,
        user=user,
        title=f"{COMMON_WORDS[number % len(COMMON_WORDS)].title()} {number}",
        is_title_given=True,
        created_at=opened_at,
        updated_at=last_at,
        last_message_at=last_at,
        message_count=plan.messages,
    )
    if plan.messages:
        room.active_leaf = message_id(room, plan.messages - 1)
    return room


def message_id(room: Chatroom, number: int) -> uuid.UUID:
    return uuid7_at(message_time(room, number), salt=room.pk.int + number)


def message_time(room: Chatroom, number: int) -> datetime:
    return room.created_at + timedelta(seconds=number)


def message_rows(room: Chatroom, texts: list[str]) -> Iterator[Row]:
    """Yield prompts and replies in turn, each with a unique word and common words."""
    template = Message(chatroom=room, user_id=room.user_id, sender="user", status="complete")
    prompt, reply = row_of(template), row_of(answered(template))
    names = [field.attname for field in Message._meta.concrete_fields]
    place = {name: names.index(name) for name in names}
    # Rooms begin at different offsets of the same texts.
    parent, first = None, room.pk.int % TEXTS
    for number in range(room.message_count):
        row = list(reply if number % 2 else prompt)
        own, at = message_id(room, number), message_time(room, number)
        row[place["id"]], row[place["parent_id"]], row[place["created_at"]] = own, parent, at
        row[place["content"]] = f"{texts[(first + number) % TEXTS]} n{number}"
        if number % 2:
            row[place["started_at"]] = row[place["first_token_at"]] = row[place["ended_at"]] = at
        parent = own
        yield row


def answered(prompt: Message) -> Message:
    return Message(
        chatroom_id=prompt.chatroom_id,
        user_id=prompt.user_id,
        sender="gemini",
        status="complete",
        model=settings.GEMINI_MODEL,
        attempt=1,
        finish_reason="stop",
    )


def made_up_texts(chance: random.Random) -> list[str]:
    """Make up sentences with the word frequencies of a language (Zipf's law)."""
    made_up = ("".join(chance.choices(SYLLABLES, k=3)) for _ in itertools.count())
    words = [*COMMON_WORDS, *itertools.islice(made_up, WORDS)]
    weights = list(itertools.accumulate(1 / (place + 10) for place in range(len(words))))
    return [
        " ".join(chance.choices(words, cum_weights=weights, k=WORDS_A_MESSAGE))
        for _ in range(TEXTS)
    ]


def row_of(instance: models.Model) -> Row:
    return [getattr(instance, field.attname) for field in instance._meta.concrete_fields]


def copy(model: type[models.Model], rows: Iterable[Row]) -> int:
    columns = ", ".join(str(field.column) for field in model._meta.concrete_fields)
    statement = f"COPY {model._meta.db_table} ({columns}) FROM STDIN"
    count = 0
    with transaction.atomic(), connection.cursor() as cursor, cursor.copy(statement) as sink:
        for row in rows:
            sink.write_row(row)
            count += 1
    return count


def batched(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    remaining = iter(rows)
    while batch := list(itertools.islice(remaining, size)):
        yield batch


@contextmanager
def words_in_heaps(messages: int) -> Iterator[None]:
    """Let PostgreSQL index the words of many messages in bulk, several times as fast."""
    if messages < MANY_MESSAGES:
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SET gin_pending_list_limit = '64MB'")
        cursor.execute("ALTER INDEX message_search SET (fastupdate = on)")
        try:
            yield
        finally:
            cursor.execute("ALTER INDEX message_search SET (fastupdate = off)")
            cursor.execute("SELECT gin_clean_pending_list('message_search')")
            cursor.execute("RESET gin_pending_list_limit")
