"""GET /chatroom/?q=: rooms by their titles and messages."""

import re
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from chatrooms.models import Chatroom
from messaging.history import search
from messaging.models import Message
from tests.support.messaging.rooms import exchange, make_room

URL = "/api/v1/chatroom/"


def found(api: APIClient, query: str, **parameters: Any) -> list[Any]:
    answer = api.get(URL, {"q": query, **parameters})
    assert answer.status_code == 200, answer.content
    return answer.json()


def titles(rooms: list[Any]) -> list[str]:
    return [room["title"] for room in rooms]


def marked(room: Any) -> str:
    """An excerpt with brackets around what is marked."""
    return "".join(
        f"[{piece['text']}]" if piece["marked"] else piece["text"]
        for piece in room["excerpt"]["pieces"]
    )


@pytest.fixture(params=["index", "walk"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of a search must find the same: index, and room by room."""
    if request.param == "walk":
        monkeypatch.setattr(search, "COMMON_IN_SAMPLE", 0)
    return request.param


def test_room_is_found_by_its_prompts_replies_and_title(
    way: str, carol: User, carol_api: APIClient
) -> None:
    exchange(make_room(carol, title="One"), "Where do otters live?", "In rivers.")
    exchange(make_room(carol, title="Two"), "What is a delta?", "Where otters rest.")
    make_room(carol, title="On otters")
    exchange(make_room(carol, title="Four"), "What is a lake?", "Water.")

    rooms = found(carol_api, "otters")

    assert sorted(titles(rooms)) == ["On otters", "One", "Two"]
    by_title = {room["title"]: room for room in rooms}
    assert marked(by_title["One"]) == "Where do [otters] live?"
    assert marked(by_title["Two"]) == "Where [otters] rest."
    assert marked(by_title["On otters"]) == "On [otters]"
    assert by_title["On otters"]["excerpt"]["message_id"] is None
    assert by_title["One"]["message_count"] == 2


def test_excerpt_is_of_the_newest_message_that_has_the_words(
    way: str, carol: User, carol_api: APIClient
) -> None:
    room = make_room(carol)
    exchange(room, "An otter", "Yes.")
    newest = exchange(room, "And then?", "The other otter.")
    exchange(room, "Thanks", "Indeed.")

    [hit] = found(carol_api, "otter")

    assert hit["excerpt"]["message_id"] == str(newest.pk)
    assert marked(hit) == "The other [otter]."


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("Über den Flüssen", "uber FLUSSEN"),
        ("le Rhône à Genève", "geneve"),
        ("die Straße", "strasse"),
        ("река течёт в море", "Море"),
        ("学习中文很好", "中文"),
        ("川を下る", "川を"),
        ("강을 따라 걷다", "따라"),
        ("नदी बहती है", "नदी"),
        ("النهر يجري", "يجري"),
        ("he said “otters”—twice", "otters"),
        ("see messaging/models.py", "models.py"),
        ("don't panic", "don't"),
        ("a river, a well-known one", "well-known"),
        ("order 66417 came", "66417"),
    ],
)
def test_words_of_any_language_are_found(
    text: str, query: str, way: str, carol: User, carol_api: APIClient
) -> None:
    exchange(make_room(carol, title="Here"), text, "Indeed.")
    exchange(make_room(carol, title="Elsewhere"), "A lake", "Water.")

    assert titles(found(carol_api, query)) == ["Here"]


@pytest.mark.parametrize(
    "query",
    ["river lake", "rive", "well known-river", "文中", '"', "!!!", "-lake", "rive:*", "(", "'"],
)
def test_what_is_not_there_as_written_is_not_found(
    query: str, way: str, carol: User, carol_api: APIClient
) -> None:
    exchange(make_room(carol), "A well known river, 中文", "It is deep.")

    assert found(carol_api, query) == []


def test_all_words_must_be_in_one_message(way: str, carol: User, carol_api: APIClient) -> None:
    exchange(make_room(carol, title="Apart"), "A river", "A lake")
    exchange(make_room(carol, title="Together"), "A lake by a river", "Yes.")

    assert titles(found(carol_api, "river lake")) == ["Together"]


def test_only_listed_rooms_of_ones_own_are_found(
    way: str, carol: User, alice: User, carol_api: APIClient
) -> None:
    exchange(make_room(carol, title="Mine"), "otters")
    exchange(make_room(alice, title="Hers"), "otters")
    exchange(make_room(carol, title="Gone tomorrow", temporary=True), "otters")
    deleted = exchange(make_room(carol, title="Deleted otters"), "otters").chatroom
    carol_api.delete(f"{URL}{deleted.pk}")
    archived = exchange(make_room(carol, title="Archived"), "otters").chatroom
    archived.update_fields(archived=True)

    assert titles(found(carol_api, "otters")) == ["Mine"]
    assert titles(found(carol_api, "otters", archived="true")) == ["Archived"]


def test_hits_come_in_the_order_of_the_list_page_by_page(
    way: str, carol: User, carol_api: APIClient
) -> None:
    for number in range(7):
        exchange(make_room(carol, title=f"Room {number}"), "otters" if number % 2 else "lakes")
    Chatroom.objects.filter(title="Room 1").update(pinned=True)

    pages = [carol_api.get(URL, {"q": "otters", "limit": 2})]
    while "Link" in pages[-1]:
        pages.append(carol_api.get(re.search(r"<(.*)>", pages[-1]["Link"])[1]))

    assert [titles(page.json()) for page in pages] == [["Room 1", "Room 5"], ["Room 3"]]


def test_walk_that_has_looked_at_enough_goes_on_from_there(
    monkeypatch: pytest.MonkeyPatch, carol: User, carol_api: APIClient
) -> None:
    for number in range(5):
        exchange(make_room(carol, title=f"Room {number}"), "lakes" if number else "otters")
    monkeypatch.setattr(search, "COMMON_IN_SAMPLE", 0)
    monkeypatch.setattr(search, "WALKED_MESSAGES", 4)

    pages = [carol_api.get(URL, {"q": "otters"})]
    while "Link" in pages[-1]:
        pages.append(carol_api.get(re.search(r"<(.*)>", pages[-1]["Link"])[1]))

    assert [titles(page.json()) for page in pages] == [[], [], ["Room 0"]]


def test_word_in_too_many_messages_is_walked_for(
    monkeypatch: pytest.MonkeyPatch, carol: User, carol_api: APIClient
) -> None:
    monkeypatch.setattr(search, "MOST_HITS", 2)
    monkeypatch.setattr(search, "WALKED_ROOMS", 1)
    for number in range(3):
        exchange(make_room(carol, title=f"Room {number}"), "otters")

    answer = carol_api.get(URL, {"q": "otters"})

    assert titles(answer.json()) == ["Room 2"]
    assert "Link" in answer


def test_reply_is_found_once_it_has_ended(carol: User, carol_api: APIClient) -> None:
    reply = exchange(make_room(carol), "Where?", "")
    before = found(carol_api, "otters")

    Message.objects.filter(pk=reply.pk).update(content="Among the otters")

    assert before == []
    assert len(found(carol_api, "otters")) == 1


def test_markup_in_an_excerpt_stays_plain_text(carol: User, carol_api: APIClient) -> None:
    exchange(make_room(carol), "<b>otters</b> & <script>", "x")

    assert found(carol_api, "otters")[0]["excerpt"]["pieces"] == [
        {"text": "<b>", "marked": False},
        {"text": "otters", "marked": True},
        {"text": "</b> & <script>", "marked": False},
    ]


def test_excerpt_of_a_long_text_is_cut_around_the_word(carol: User, carol_api: APIClient) -> None:
    exchange(make_room(carol), "lake " * 500 + "İ otters OTTERS " + "sea " * 500)

    [hit] = found(carol_api, "otters")

    text = marked(hit)
    assert text.startswith("…lake lake ")
    assert "lake İ [otters] [OTTERS] sea sea" in text
    assert text.endswith("sea…")
    assert len(text) < 220


def test_longest_reply_of_ever_new_words_is_stored(carol: User, carol_api: APIClient) -> None:
    ideographs = "".join(chr(0x4E00 + number % 20_000) for number in range(400_000))

    exchange(make_room(carol), "Write", "otters " + ideographs)
    exchange(make_room(carol), "Write", " ".join(str(number) for number in range(100_000)))

    assert len(found(carol_api, "otters")) == 1


@pytest.mark.parametrize("query", ["otters", "nowhere"])
def test_search_costs_a_fixed_number_of_queries(
    query: str, way: str, carol: User, carol_api: APIClient, django_assert_max_num_queries: Any
) -> None:
    for _ in range(20):
        exchange(make_room(carol), "otters")

    # Session, sample, rooms, what they show, their messages; the end of a walk.
    with django_assert_max_num_queries(6):
        found(carol_api, query)


def test_search_for_nothing_is_the_list(carol: User, carol_api: APIClient) -> None:
    make_room(carol, title="One")

    rooms = found(carol_api, "")

    assert rooms == carol_api.get(URL).json()


def test_anonymous_search_is_refused() -> None:
    assert APIClient().get(URL, {"q": "otters"}).status_code == 401
