"""GET /chatroom/: the order, the pages and their cursors."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from chatrooms.models import Chatroom
from tests.support.plugins.cast import api_for

URL = "/api/v1/chatroom/"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def make_rooms(user: User, count: int, *, start: int = 0, **fields: Any) -> None:
    """Rooms named by number, of which the higher have the newer activity."""
    for number in range(start, start + count):
        room = Chatroom.objects.create_room(user=user, title=f"Room {number}")
        at = NOON + timedelta(minutes=number)
        Chatroom.objects.filter(pk=room.pk).update(last_message_at=at, **fields)


def titles(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [room["title"] for room in answer.json()]


def next_link(answer: Any) -> str | None:
    if "Link" not in answer:
        return None
    found = re.fullmatch(r'<http://testserver([^>]*)>; rel="next"', answer["Link"])
    assert found, answer["Link"]
    return found[1]


def pages(api: APIClient, query: str = "") -> list[list[str]]:
    answers = [api.get(f"{URL}{query}")]
    while link := next_link(answers[-1]):
        answers.append(api.get(link))
    return [titles(answer) for answer in answers]


@pytest.mark.parametrize("url", ["/api/v1/chatroom", "/api/v1/chatroom/"])
def test_list_is_a_bare_array_of_rooms(url: str, alice: User, alice_api: APIClient) -> None:
    room = Chatroom.objects.create_room(user=alice, title="Rivers", system_prompt="Be brief.")

    answer = alice_api.get(url)

    assert answer.status_code == 200
    [shown] = answer.json()
    assert shown == {
        "id": str(room.pk),
        "title": "Rivers",
        "user_id": str(alice.pk),
        "created_at": shown["created_at"],
        "updated_at": shown["updated_at"],
        "last_message_at": None,
        "pinned": False,
        "archived": False,
        "system_prompt": "Be brief.",
        "model": "",
        "message_count": 0,
        "temporary": False,
    }
    assert "Link" not in answer


def test_list_shows_pinned_rooms_first_then_the_newest_activity(
    alice: User, alice_api: APIClient
) -> None:
    make_rooms(alice, 2, pinned=True)
    make_rooms(alice, 2, start=2)

    assert titles(alice_api.get(URL)) == ["Room 1", "Room 0", "Room 3", "Room 2"]


def test_archived_rooms_are_a_list_of_their_own(alice: User, alice_api: APIClient) -> None:
    make_rooms(alice, 1)
    make_rooms(alice, 1, start=1, archived=True)

    assert titles(alice_api.get(URL)) == ["Room 0"]
    assert titles(alice_api.get(f"{URL}?archived=true")) == ["Room 1"]


def test_list_has_neither_temporary_rooms_nor_those_of_others(
    alice: User, bob: User, alice_api: APIClient
) -> None:
    Chatroom.objects.create_room(user=alice, title="Gone tomorrow", temporary=True)
    Chatroom.objects.create_room(user=bob, title="Bob's")

    assert titles(alice_api.get(URL)) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7])
def test_pages_give_every_room_once_in_order(limit: int, alice: User, alice_api: APIClient) -> None:
    make_rooms(alice, 3, pinned=True)
    make_rooms(alice, 4, start=3)
    # The same instant: the id decides.
    Chatroom.objects.filter(title__in=["Room 4", "Room 5"]).update(last_message_at=NOON)

    found = pages(alice_api, f"?limit={limit}")

    order = [2, 1, 0, 6, 3, 5, 4]
    assert sum(found, []) == [f"Room {number}" for number in order]
    assert {len(page) for page in found[:-1]} <= {limit}


def test_next_page_keeps_the_other_parts_of_the_query(alice: User, alice_api: APIClient) -> None:
    make_rooms(alice, 3, archived=True)

    assert pages(alice_api, "?limit=2&archived=true") == [["Room 2", "Room 1"], ["Room 0"]]


def test_room_that_moves_up_meanwhile_is_not_lost_from_later_pages(
    alice: User, alice_api: APIClient
) -> None:
    make_rooms(alice, 4)
    first = alice_api.get(f"{URL}?limit=2")
    Chatroom.objects.filter(title="Room 3").update(last_message_at=NOON + timedelta(days=1))

    assert titles(alice_api.get(next_link(first))) == ["Room 1", "Room 0"]


@pytest.mark.parametrize("limit", ["101", "9" * 5_000])
def test_large_limit_is_clamped(limit: str, alice: User, alice_api: APIClient) -> None:
    make_rooms(alice, 102)

    assert len(titles(alice_api.get(f"{URL}?limit={limit}"))) == 100


def test_page_has_fifty_rooms_unless_told(alice: User, alice_api: APIClient) -> None:
    make_rooms(alice, 51)

    assert [len(page) for page in pages(alice_api)] == [50, 1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *((f"limit={limit}", "limit") for limit in ["0", "-1", "x", "1.5", "²", "00", "%00", ""]),
        ("archived=perhaps", "archived"),
        ("q=%00", "q"),
        ("q=" + "x" * 201, "q"),
        ("q=%20", "q"),
    ],
)
def test_bad_query_is_unprocessable(query: str, field: str, alice_api: APIClient) -> None:
    answer = alice_api.get(f"{URL}?{query}")

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize("search", ["", "&q=room"])
@pytest.mark.parametrize("cursor", ["x", "", "eyJ9", "%00", "a:b:c", "%F0%9F%A6%84"])
def test_forged_cursor_is_a_bad_request(cursor: str, search: str, alice_api: APIClient) -> None:
    answer = alice_api.get(f"{URL}?cursor={cursor}{search}")

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


def test_cursor_of_somebody_else_is_a_bad_request(
    alice: User, alice_api: APIClient, bob_api: APIClient
) -> None:
    make_rooms(alice, 2)
    link = next_link(alice_api.get(f"{URL}?limit=1"))

    assert bob_api.get(link).json()["code"] == "invalid_cursor"


def test_anonymous_list_is_refused() -> None:
    assert APIClient().get(URL).status_code == 401


def test_list_costs_as_many_queries_for_many_rooms_as_for_few(
    alice: User, bob: User, django_assert_num_queries: Any
) -> None:
    make_rooms(alice, 2)
    make_rooms(bob, 120)

    for user in (alice, bob):
        api = api_for(user)
        with django_assert_num_queries(2):  # session and versions, rooms
            first = api.get(f"{URL}?limit=2")
        with django_assert_num_queries(1):  # session and versions
            api.get(f"{URL}?limit=2")
    with django_assert_num_queries(2):  # session, rooms
        api.get(next_link(first))
