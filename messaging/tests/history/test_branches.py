"""Variants of a turn, and the branch that is shown."""

from typing import Any

import pytest
from django.conf import settings
from rest_framework.test import APIClient

from accounts.models import User
from billing.models import DailyQuota
from chatrooms.models import Chatroom
from messaging.models import GeminiModel, Message
from tests.support.fakes.gemini import FakeGemini
from tests.support.marks import transactional
from tests.support.messaging.rooms import complete, exchange, make_room, url_of


def shown(api: APIClient, room: Chatroom) -> list[str]:
    return [message["content"] for message in detail(api, room)["messages"]]


def detail(api: APIClient, room: Chatroom) -> Any:
    answer = api.get(f"/api/v1/chatroom/{room.pk}")
    assert answer.status_code == 200
    return answer.json()


def act(api: APIClient, message: Message, action: str, body: Any = None) -> Any:
    answer = api.post(f"/api/v1/message/{message.pk}/{action}", body or {})
    assert answer.status_code in (200, 202), answer.content
    return answer.json()["data"]


def end(answer: Any, text: str) -> Message:
    return complete(Message.objects.get(pk=answer["reply"]["id"]), text)


def test_regenerated_reply_stands_beside_the_first_and_is_shown(
    carol: User, carol_api: APIClient
) -> None:
    room = make_room(carol)
    first = exchange(room, "Q", "A1")

    second = act(carol_api, first, "regenerate")
    end(second, "A2")

    assert second["reply"]["sibling_ids"] == [str(first.pk), second["reply"]["id"]]
    assert second["quota"]["used"] == 2
    assert shown(carol_api, room) == ["Q", "A2"]
    assert detail(carol_api, room)["message_count"] == 3


def test_edited_prompt_opens_a_branch_and_the_old_one_stays(
    carol: User, carol_api: APIClient
) -> None:
    room = make_room(carol)
    first = exchange(room, "Q1", "A1")
    exchange(room, "Q2", "A2")
    prompt = first.parent

    edited = act(carol_api, prompt, "edit", {"prompt": "Q1 better"})
    end(edited, "A1 better")

    assert shown(carol_api, room) == ["Q1 better", "A1 better"]
    act(carol_api, prompt, "select")
    assert shown(carol_api, room) == ["Q1", "A1", "Q2", "A2"]


def test_model_is_kept_as_long_as_the_plan_has_it(
    carol: User, carol_api: APIClient, gemini: FakeGemini
) -> None:
    GeminiModel.objects.create(name="gemini-best", tier="pro")
    room = make_room(carol)
    sent = carol_api.post(url_of(room), {"prompt": "Q", "model": "gemini-best"}).json()["data"]
    first = end(sent, "A")

    again = act(carol_api, first, "regenerate")
    edited = act(carol_api, first.parent, "edit", {"prompt": "Q2"})
    User.objects.filter(pk=carol.pk).update(tier="basic")
    as_basic = act(carol_api, first, "regenerate")

    assert again["reply"]["model"] == edited["reply"]["model"] == "gemini-best"
    assert as_basic["reply"]["model"] == settings.GEMINI_MODEL


def test_select_shows_a_branch_as_it_was_last_shown(carol: User, carol_api: APIClient) -> None:
    room = make_room(carol)
    first = exchange(room, "Q", "A1")
    exchange(room, "Q2", "of A1")
    second = end(act(carol_api, first, "regenerate"), "A2")
    room.refresh_from_db()
    exchange(room, "Q2", "of A2")

    act(carol_api, first, "select")
    one = shown(carol_api, room)
    act(carol_api, second, "select")
    two = shown(carol_api, room)

    assert one == ["Q", "A1", "Q2", "of A1"]
    assert two == ["Q", "A2", "Q2", "of A2"]


def test_select_of_a_message_deep_in_another_branch_shows_the_way_to_it(
    carol: User, carol_api: APIClient
) -> None:
    room = make_room(carol)
    first = exchange(room, "Q1", "A1")
    deep = exchange(room, "Q2", "A2")
    other = end(act(carol_api, deep, "regenerate"), "A2 again")
    act(carol_api, first.parent, "edit", {"prompt": "Elsewhere"})

    act(carol_api, deep, "select")

    assert shown(carol_api, room) == ["Q1", "A1", "Q2", "A2"]
    act(carol_api, other, "select")
    assert shown(carol_api, room) == ["Q1", "A1", "Q2", "A2 again"]


def test_next_prompt_follows_the_branch_that_is_shown(carol: User, carol_api: APIClient) -> None:
    room = make_room(carol)
    first = exchange(room, "Q", "A1")
    end(act(carol_api, first, "regenerate"), "A2")
    act(carol_api, first, "select")

    sent = carol_api.post(url_of(room), {"prompt": "On"}).json()["data"]

    assert sent["message"]["parent_id"] == str(first.pk)


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_backwards_and_forwards_give_the_branch(
    limit: int, carol: User, carol_api: APIClient
) -> None:
    room = make_room(carol)
    for number in range(4):
        last = exchange(room, f"Q{number}", f"A{number}")
    end(act(carol_api, last, "regenerate"), "A3 again")
    branch = [f"{kind}{n}" for n in range(3) for kind in "QA"] + ["Q3", "A3 again"]

    def page(query: str) -> Any:
        answer = carol_api.get(f"{url_of(room)}?limit={limit}{query}")
        assert answer.status_code == 200, answer.content
        return answer.json()

    pages = [page("")]
    while pages[0]["previous"]:
        pages.insert(0, page(f"&before={pages[0]['previous']}"))
    forwards = [pages[0]]
    while forwards[-1]["next"]:
        forwards.append(page(f"&after={forwards[-1]['next']}"))

    assert contents(pages) == branch
    assert contents(forwards)[: len(branch)] == branch


def contents(pages: list[Any]) -> list[str]:
    return [message["content"] for page in pages for message in page["results"]]


def test_page_costs_as_many_queries_in_a_long_room_as_in_a_short_one(
    carol: User, carol_api: APIClient, django_assert_num_queries: Any
) -> None:
    short, long = make_room(carol), make_room(carol)
    exchange(short)
    for _ in range(6):
        exchange(long)

    for room in (short, long):
        with django_assert_num_queries(2):  # session, branch of the room
            carol_api.get(f"{url_of(room)}?limit=4")


def test_detail_shows_the_latest_fifty_and_where_the_rest_is(
    carol: User, carol_api: APIClient
) -> None:
    room = make_room(carol)
    for number in range(30):
        exchange(room, f"Q{number}", f"A{number}")

    found = detail(carol_api, room)
    rest = carol_api.get(f"{url_of(room)}?before={found['previous_cursor']}").json()

    assert [message["content"] for message in found["messages"]][0] == "Q5"
    assert len(found["messages"]) == 50
    assert contents([rest]) == [f"{kind}{n}" for n in range(5) for kind in "QA"]
    assert rest["previous"] is None


def test_feedback_is_kept_and_taken_back(carol: User, carol_api: APIClient) -> None:
    reply = exchange(make_room(carol))
    url = f"/api/v1/message/{reply.pk}/feedback"

    given = carol_api.put(url, {"rating": -1, "comment": "Too short"}).json()
    taken_back = carol_api.put(url, {"rating": 0}).json()

    assert given["feedback"] == {"rating": -1, "comment": "Too short"}
    assert taken_back["feedback"] is None


@pytest.mark.parametrize("body", [{}, {"rating": 2}, {"rating": "x"}, {"rating": 1, "comment": []}])
def test_bad_feedback_is_unprocessable(body: Any, carol: User, carol_api: APIClient) -> None:
    reply = exchange(make_room(carol))

    answer = carol_api.put(f"/api/v1/message/{reply.pk}/feedback", body)

    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("action", "body"), [("regenerate", {}), ("stop", {}), ("feedback", {"rating": 1})]
)
def test_prompt_is_no_reply(action: str, body: Any, carol: User, carol_api: APIClient) -> None:
    prompt = exchange(make_room(carol)).parent
    method = carol_api.put if action == "feedback" else carol_api.post

    answer = method(f"/api/v1/message/{prompt.pk}/{action}", body)

    assert (answer.status_code, answer.json()["code"]) == (409, "not_a_reply")


def test_reply_cannot_be_edited(carol: User, carol_api: APIClient) -> None:
    reply = exchange(make_room(carol))

    answer = carol_api.post(f"/api/v1/message/{reply.pk}/edit", {"prompt": "x"})

    assert (answer.status_code, answer.json()["code"]) == (409, "not_a_prompt")


@pytest.mark.parametrize(
    ("method", "action"),
    [
        # An async view, whose threads see only committed rows.
        pytest.param("get", "", marks=transactional),
        ("post", "/stop"),
        ("post", "/regenerate"),
        ("post", "/edit"),
        ("post", "/select"),
        ("put", "/feedback"),
    ],
)
def test_strangers_and_the_anonymous_reach_no_message(
    method: str, action: str, carol: User, bob_api: APIClient
) -> None:
    url = f"/api/v1/message/{exchange(make_room(carol)).pk}{action}"
    body = {"prompt": "x", "rating": 1}

    assert getattr(bob_api, method)(url, body).status_code == 404
    assert getattr(APIClient(), method)(url, body).status_code == 401


def test_stranger_reads_no_conversation(carol: User, bob_api: APIClient) -> None:
    assert bob_api.get(url_of(make_room(carol))).status_code == 404


@pytest.mark.parametrize("query", ["before=x", "after=eyJ9", "before=a&after=b", "after=%00"])
def test_forged_cursor_is_a_bad_request(query: str, carol: User, carol_api: APIClient) -> None:
    answer = carol_api.get(f"{url_of(make_room(carol))}?{query}")

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


def test_cursor_of_another_room_is_a_bad_request(carol: User, carol_api: APIClient) -> None:
    room, other = make_room(carol), make_room(carol)
    exchange(room)
    exchange(other)
    cursor = carol_api.get(f"{url_of(room)}?limit=1").json()["previous"]

    answer = carol_api.get(f"{url_of(other)}?before={cursor}")

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


@pytest.mark.parametrize("action", ["regenerate", "edit"])
def test_variant_is_made_once_for_a_key(action: str, carol: User, carol_api: APIClient) -> None:
    reply = exchange(make_room(carol))
    message = reply if action == "regenerate" else reply.parent
    path, body = f"/api/v1/message/{message.pk}/{action}", {"prompt": "Hello again"}

    first = carol_api.post(path, body, headers={"Idempotency-Key": "once"})
    made = Message.objects.count()
    again = carol_api.post(f"{path}/", body, headers={"Idempotency-Key": "once"})
    other = carol_api.post(path, {"prompt": "Else"}, headers={"Idempotency-Key": "once"})

    assert (again.status_code, again.content) == (202, first.content)
    assert (again["Idempotent-Replayed"], again["Location"]) == ("true", first["Location"])
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert Message.objects.count() == made
    assert DailyQuota.objects.usage(user=carol).used == 2


def test_large_limit_is_clamped(carol: User, carol_api: APIClient) -> None:
    room = make_room(carol)
    for _ in range(51):
        exchange(room)

    for limit in ("101", "9" * 5_000):
        assert len(carol_api.get(f"{url_of(room)}?limit={limit}").json()["results"]) == 100


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1.5", "²", "00", "%00"])
def test_limit_that_is_no_page_size_is_unprocessable(
    limit: str, carol: User, carol_api: APIClient
) -> None:
    assert carol_api.get(f"{url_of(make_room(carol))}?limit={limit}").status_code == 422
