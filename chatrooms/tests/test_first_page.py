"""The kept first page shows every write at once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from accounts.models import Session, User
from chatrooms.models import Chatroom
from gemchat.stores.redis import client
from tests.support.marks import transactional
from tests.support.plugins.cast import api_for

URL = "/api/v1/chatroom/"


def listed(api: APIClient, query: str = "") -> list[Any]:
    answer = api.get(f"{URL}{query}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_second_look_is_answered_from_redis(
    alice: User, alice_api: APIClient, settings: Any
) -> None:
    settings.CACHE_TTL_SECONDS = 77
    Chatroom.objects.create_room(user=alice, title="Rivers")
    first = listed(alice_api)
    [key] = client().keys("chatrooms:first:*")

    kept = client().get(key)
    client().set(key, kept.replace("Rivers", "Redis's"), keepttl=True)

    assert [room["title"] for room in first] == ["Rivers"]
    assert [room["title"] for room in listed(alice_api)] == ["Redis's"]
    assert 0 < client().ttl(key) <= 77


def test_kept_page_has_its_link(alice: User, alice_api: APIClient) -> None:
    for _ in range(3):
        Chatroom.objects.create_room(user=alice)

    answers = [alice_api.get(f"{URL}?limit=2") for _ in range(2)]

    assert 'rel="next"' in answers[1]["Link"]
    assert answers[0]["Link"] == answers[1]["Link"]


WRITES: dict[str, Callable[[APIClient, str], Any]] = {
    "create": lambda api, url: api.post(URL, {"title": "Another"}),
    "rename": lambda api, url: api.patch(url, {"title": "Lakes"}),
    "pin": lambda api, url: api.patch(url, {"pinned": True}),
    "archive": lambda api, url: api.patch(url, {"archived": True}),
    "system prompt": lambda api, url: api.patch(url, {"system_prompt": "Be brief."}),
    "delete": lambda api, url: api.delete(url),
    "send": lambda api, url: api.post(
        url.replace("chatroom/", "message/chatroom/") + "/message", {"prompt": "Hello"}
    ),
    "a title from the worker": lambda api, url: Chatroom.objects.untitled().update(title="Made"),
}


@pytest.mark.parametrize("write", WRITES)
def test_write_shows_in_the_next_look(write: str, alice: User, alice_api: APIClient) -> None:
    Chatroom.objects.create_room(user=alice, title="Rivers")
    room = Chatroom.objects.create_room(user=alice)
    before = listed(alice_api)
    listed(alice_api)

    WRITES[write](alice_api, f"{URL}{room.pk}")

    after = listed(alice_api)
    client().flushdb()
    assert after != before
    assert after == listed(alice_api)


@transactional
def test_writers_see_their_writes_while_others_read_and_write(alice: User) -> None:
    rooms = [Chatroom.objects.create_room(user=alice, title="Rivers") for _ in range(4)]
    is_over = threading.Event()

    def write(room: Chatroom) -> list[str]:
        api, missed = api_for(alice), []
        try:
            for number in range(25):
                title = f"{room.pk} {number}"
                assert api.patch(f"{URL}{room.pk}", {"title": title}).status_code == 200
                if title not in [each["title"] for each in listed(api)]:
                    missed.append(title)
        finally:
            connection.close()
        return missed

    def read(_: int) -> None:
        api = api_for(alice)
        try:
            while not is_over.is_set():
                listed(api)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        readers = [threads.submit(read, number) for number in range(3)]
        missed = list(threads.map(write, rooms))
        is_over.set()
        [reader.result() for reader in readers]

    assert missed == [[], [], [], []]
    assert {room["title"] for room in listed(api_for(alice))} == {f"{r.pk} 24" for r in rooms}


def test_without_redis_the_list_is_answered(
    alice: User, alice_api: APIClient, settings: Any
) -> None:
    Chatroom.objects.create_room(user=alice, title="Rivers")
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    client.cache_clear()

    try:
        assert [room["title"] for room in listed(alice_api)] == ["Rivers"]
    finally:
        client.cache_clear()


def test_lists_of_two_users_are_kept_apart(
    alice: User, alice_api: APIClient, bob_api: APIClient
) -> None:
    Chatroom.objects.create_room(user=alice, title="Rivers")

    assert len(listed(alice_api)) == 1
    assert listed(bob_api) == []
    assert listed(alice_api, "?archived=true") == []


def test_kept_page_costs_one_query(
    alice: User, alice_api: APIClient, django_assert_num_queries: Any
) -> None:
    """Its version comes with the session."""
    Chatroom.objects.create_room(user=alice)
    listed(alice_api)

    with django_assert_num_queries(1):
        assert len(listed(alice_api)) == 1


@pytest.mark.parametrize("query", ["", "?limit=none", "?archived=perhaps"])
def test_caller_is_let_in_before_a_query_is_looked_at(
    query: str, alice: User, alice_api: APIClient
) -> None:
    Chatroom.objects.create_room(user=alice)
    assert alice_api.get(f"{URL}{query}").status_code == (422 if query else 200)

    Session.objects.filter(user=alice).end(Session.Ending.LOGOUT)

    assert alice_api.get(f"{URL}{query}").status_code == 401
    assert APIClient().get(f"{URL}{query}").status_code == 401
