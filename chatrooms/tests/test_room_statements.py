"""The statements of chatrooms do what the ORM does."""

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.expressions import RawSQL
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.models import User
from chatrooms.list_cache import LIST_VERSION_SQL, ROW_VERSION_SQL, version_hash
from chatrooms.models import Chatroom, Position
from chatrooms.statements import (
    calibrate_cte,
    calibrate_params,
    list_params,
    listed_cte,
    lock_room_cte,
    own_room_cte,
    own_room_params,
    record_exchange_cte,
    record_exchange_params,
    titled_cte,
)
from gemchat.stores.statements import fetch
from tests.twins import rolled_back

pytestmark = pytest.mark.django_db
ONE_ROW = "(SELECT 1) AS one_row"


def execute(statement: str, values: dict[str, object]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def test_exchange_is_what_the_orm_stores(alice: User) -> None:
    room, leaf = Chatroom.objects.create_room(user=alice), uuid7()
    now = timezone.now() + timedelta(minutes=1)
    values = {
        **own_room_params(chatroom_id=room.pk, user_id=alice.pk),
        **record_exchange_params(leaf=leaf, added=2, at=now),
    }
    Chatroom.objects.create_room(user=alice)

    _, rows = rolled_back(lambda: execute(record_exchange_cte(source=ONE_ROW), values), Chatroom)

    def by_orm() -> None:
        Chatroom.objects.record_exchange(chatroom_id=room.pk, active_leaf=leaf, added=2, at=now)

    assert rows == rolled_back(by_orm, Chatroom)[1]


@pytest.mark.parametrize("characters", [3.5, None])
@pytest.mark.parametrize("start", [uuid7(), None])
def test_calibration_is_what_the_orm_stores(
    alice: User, characters: float | None, start: uuid.UUID | None
) -> None:
    room = Chatroom.objects.create_room(user=alice)
    Chatroom.objects.update(context_from=uuid7())
    Chatroom.objects.create_room(user=alice)
    values = calibrate_params(
        chatroom_id=room.pk, characters_per_token=characters, context_from=start
    )

    _, rows = rolled_back(lambda: execute(calibrate_cte(source=ONE_ROW), values), Chatroom)

    def by_orm() -> None:
        own = Chatroom.objects.filter(pk=room.pk)
        own.update(characters_per_token=characters or 4.0, context_from=start)

    assert rows == rolled_back(by_orm, Chatroom)[1]


def test_calibration_without_a_change_writes_nothing(alice: User) -> None:
    room = Chatroom.objects.create_room(user=alice)
    values = calibrate_params(chatroom_id=room.pk, characters_per_token=None, context_from=None)

    with connection.cursor() as cursor:
        cursor.execute(calibrate_cte(source=ONE_ROW), values)

        assert cursor.rowcount == 0


def test_own_room_is_the_one_that_the_orm_finds(alice: User, bob: User) -> None:
    room = Chatroom.objects.create_room(user=alice)
    own = own_room_params(chatroom_id=room.pk, user_id=alice.pk)

    assert fetch(own_room_cte(is_locked=True), own) == [(room.pk, None, "")]
    assert fetch(own_room_cte(), {**own, "room_user": bob.pk}) == []
    assert fetch(lock_room_cte(), own) == [(room.pk,)]
    Chatroom.objects.all().mark_deleted(now=timezone.now())
    assert fetch(own_room_cte(), own) == []


@pytest.fixture
def rooms(alice: User, bob: User) -> list[Chatroom]:
    """Rooms of alice's list, one of them pinned, and rooms outside the list."""
    listed = [Chatroom.objects.create_room(user=alice, title=f"River {n}") for n in range(4)]
    listed[1].update_fields(pinned=True)
    Chatroom.objects.create_room(user=alice, title="River", temporary=True)
    Chatroom.objects.create_room(user=alice, title="River").update_fields(archived=True)
    Chatroom.objects.create_room(user=bob, title="River 2")
    return listed


def test_list_is_what_the_orm_lists(alice: User, rooms: list[Chatroom]) -> None:
    room_ids = f"SELECT id FROM ({listed_cte(is_after=False, limit='9')}) AS room"  # noqa: S608
    values = list_params(user_id=alice.pk, query="river", archived=False, after=None)

    listed = [room_id for (room_id,) in fetch(room_ids, values)]

    own = Chatroom.objects.owned_by(alice).for_list(archived=False)
    assert listed == [room.pk for room in own]
    assert len(listed) == len(rooms)


def test_rest_of_a_list_is_what_the_orm_lists(alice: User, rooms: list[Chatroom]) -> None:
    own = Chatroom.objects.owned_by(alice).for_list(archived=False)
    position: Position = own[1].position
    room_ids = f"SELECT id FROM ({listed_cte(is_after=True, limit='9')}) AS room"  # noqa: S608
    values = list_params(user_id=alice.pk, query="river", archived=False, after=position)

    listed = [room_id for (room_id,) in fetch(room_ids, values)]

    assert listed == [room.pk for room in own.after(position)] == [room.pk for room in own[2:]]


def test_titled_rooms_are_those_of_the_user(alice: User, rooms: list[Chatroom]) -> None:
    values = list_params(user_id=alice.pk, query="'2'", archived=False, after=None)

    titled = fetch(titled_cte(), values)

    assert titled == list(Chatroom.objects.filter(user=alice, title="River 2").values_list("pk"))


def test_version_of_a_list_is_the_digest_of_its_rows(alice: User, rooms: list[Chatroom]) -> None:
    own = Chatroom.objects.owned_by(alice).for_list(archived=False)
    versions = [room.version for room in own.annotate(version=RawSQL(ROW_VERSION_SQL, []))]  # noqa: S611

    [(version,)] = fetch(LIST_VERSION_SQL, {"user": alice.pk, "archived": False, "most": 9})

    assert version == version_hash(versions)
