"""The command `seed_demo`."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts.models import User
from chatrooms.models import Chatroom
from messaging.management import demo_data
from messaging.models import Message
from tests.support.marks import transactional
from tests.support.messaging.rooms import url_of
from tests.support.plugins.cast import api_for

pytestmark = transactional
MOBILE = "+919812345678"


def seed(**options: Any) -> Any:
    told = StringIO()
    call_command("seed_demo", json=True, stdout=told, **options)
    return json.loads(told.getvalue())


@pytest.mark.parametrize("messages", [0, 1, 7, 60])
def test_rooms_are_as_if_their_user_had_talked(messages: int) -> None:
    told = seed(mobile=MOBILE, rooms=3, messages=messages)

    assert (told["users"], told["rooms"], told["messages"]) == (1, 3, 3 * messages)
    user = User.objects.get(mobile=MOBILE)
    assert [room.message_count for room in Chatroom.objects.owned_by(user)] == [messages] * 3
    for room in Chatroom.objects.all():
        said = list(Message.objects.filter(chatroom=room).order_by("id"))
        assert [message.parent_id for message in said] == [None, *(m.pk for m in said)][:messages]
        assert {message.sender for message in said[::2]} <= {"user"}
        assert {message.sender for message in said[1::2]} <= {"gemini"}
        assert room.active_leaf == (said[-1].pk if said else None)


def test_seeded_rooms_are_shown_and_talked_on_in() -> None:
    seed(mobile=MOBILE, rooms=2, messages=60)
    api = api_for(User.objects.get(mobile=MOBILE))

    newest = api.get("/api/v1/chatroom/").json()[0]
    detail = api.get(f"/api/v1/chatroom/{newest['id']}").json()
    sent = api.post(url_of(newest["id"]), {"prompt": "Hello"}).json()["data"]

    assert newest["message_count"] == 60
    assert newest["last_message_at"] >= detail["messages"][-1]["created_at"]
    assert len(detail["messages"]) == 50
    assert detail["messages"][-1]["content"].endswith(" n59")
    assert sent["message"]["parent_id"] == detail["messages"][-1]["id"]


def test_users_get_numbers_of_nobody() -> None:
    first = seed(users=2, rooms=1, messages=2)
    second = seed(users=1, rooms=0, messages=2)

    assert first["mobiles"] == ["+13005550100", "+13005550101"]
    assert second["mobiles"] == ["+13005550102"]
    assert not User.objects.get(mobile="+13005550100").has_password
    assert Chatroom.objects.count() == 2
    assert Message.objects.count() == 4


def test_many_messages_are_found_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_data, "MANY_MESSAGES", 10)

    seed(mobile=MOBILE, rooms=1, messages=30)

    [found] = api_for(User.objects.get(mobile=MOBILE)).get("/api/v1/chatroom/?q=n17").json()
    assert {"text": "n17", "marked": True} in found["excerpt"]["pieces"]
    assert index_options() == ["fastupdate=off"]


def test_index_is_as_before_when_seeding_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_data, "MANY_MESSAGES", 10)
    monkeypatch.setattr(demo_data, "ROWS_A_TRANSACTION", 10)

    def fail(made: int) -> None:
        if Message.objects.count() == 20:
            raise InterruptedError

    user = User.objects.verified(MOBILE)
    with pytest.raises(InterruptedError):
        demo_data.seed([user], demo_data.Plan(rooms=1, messages=30), tell=fail)

    assert index_options() == ["fastupdate=off"]
    assert Message.objects.count() == 20


def index_options() -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT reloptions FROM pg_class WHERE relname = 'message_search'")
        return cursor.fetchone()[0]


@pytest.mark.parametrize(
    "options", [{"rooms": -1}, {"messages": -1}, {"users": -1}, {"mobile": "x"}, {"users": 70_001}]
)
def test_bad_wish_is_refused_in_a_sentence(options: Any) -> None:
    with pytest.raises(CommandError):
        seed(**options)

    assert not User.objects.exists()
