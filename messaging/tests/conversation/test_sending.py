"""POST /message/chatroom/{id}/message: what is accepted, and what is stored with it."""

import json
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from billing.models import DailyQuota
from chatrooms.models import Chatroom
from gemchat.stores.uuid7 import uuid7_at
from messaging.conversation.accept import new_prompt, new_reply
from messaging.models import GeminiModel, Message
from tests.support.fakes.gemini import FakeGemini
from tests.support.messaging.rooms import complete, exchange, make_room, url_of


@pytest.mark.parametrize("slash", ["", "/"])
def test_send_answers_with_prompt_reply_and_quota(
    slash: str, alice: User, alice_api: APIClient
) -> None:
    room = make_room(alice)

    answer = alice_api.post(url_of(room) + slash, {"prompt": "  Hello  "})

    assert answer.status_code == 202, answer.content
    body = answer.json()
    assert body["success"] is True
    assert body["message"] == "Message is being processed."
    prompt, reply, quota = (body["data"][name] for name in ("message", "reply", "quota"))
    assert prompt["content"] == "Hello"
    assert (prompt["sender"], prompt["status"]) == ("user", "complete")
    assert (reply["sender"], reply["status"], reply["content"]) == ("gemini", "queued", "")
    assert reply["parent_id"] == prompt["id"]
    assert reply["sibling_ids"] == [reply["id"]]
    assert (quota["limit"], quota["used"], quota["remaining"]) == (5, 1, 4)
    assert answer["Location"].endswith(f"/api/v1/message/{reply['id']}")
    assert (answer["X-Quota-Limit"], answer["X-Quota-Remaining"]) == ("5", "4")


def test_send_stores_both_rows_and_shows_them(alice: User, alice_api: APIClient) -> None:
    room = make_room(alice)

    sent = alice_api.post(url_of(room), {"prompt": "Hello"}).json()["data"]

    room.refresh_from_db()
    assert room.message_count == 2
    assert str(room.active_leaf) == sent["reply"]["id"]
    assert Message.objects.get(pk=sent["reply"]["id"]).parent_id == uuid.UUID(sent["message"]["id"])


def test_second_send_continues_the_branch(alice: User, alice_api: APIClient) -> None:
    room = make_room(alice)
    first = exchange(room)

    second = alice_api.post(url_of(room), {"prompt": "And then?"}).json()["data"]

    assert second["message"]["parent_id"] == str(first.pk)


def exchange_of_a_machine_ahead(room: Chatroom) -> Message:
    """Store a turn with ids 5 s ahead, and a later reply."""
    now = timezone.now()
    ahead, later = (uuid7_at(now + timedelta(seconds=seconds)) for seconds in (5, 6))
    prompt = new_prompt(room=room, parent_id=None, content="Hello", at=now, after=ahead)
    reply = new_reply(message=prompt, model="", day=now.date(), at=now, after=later)
    Message.objects.bulk_create([prompt, reply])
    Chatroom.objects.record_exchange(
        chatroom_id=room.pk, active_leaf=reply.pk, added=2, at=reply.created_at
    )
    return complete(reply)


def test_send_after_that_of_a_machine_ahead_is_accepted(alice: User, alice_api: APIClient) -> None:
    room = make_room(alice)
    first = exchange_of_a_machine_ahead(room)

    answers = [alice_api.post(url_of(room), {"prompt": f"Turn {turn}"}) for turn in range(3)]

    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert answers[0].json()["data"]["message"]["parent_id"] == str(first.pk)
    listed = [message["id"] for message in alice_api.get(url_of(room)).json()["results"]]
    assert len(listed) == 8
    assert listed in (sorted(listed), sorted(listed, reverse=True))


@pytest.mark.parametrize("action", ["edit", "regenerate"])
def test_variant_after_one_of_a_machine_ahead_is_the_newest(
    alice: User, alice_api: APIClient, action: str
) -> None:
    first = exchange_of_a_machine_ahead(make_room(alice))
    changed, body, key = {
        "edit": (first.parent_id, {"prompt": "Hello again"}, "message"),
        "regenerate": (first.pk, {}, "reply"),
    }[action]

    answer = alice_api.post(f"/api/v1/message/{changed}/{action}", body)

    assert answer.status_code == 202, answer.content
    variant = answer.json()["data"][key]
    assert variant["sibling_ids"] == [str(changed), variant["id"]]


def test_send_costs_a_fixed_number_of_queries(
    alice: User, alice_api: APIClient, django_assert_num_queries: object
) -> None:
    room = make_room(alice)
    exchange(room)

    # Session with user; all of the send.
    with django_assert_num_queries(2):
        answer = alice_api.post(url_of(room), {"prompt": "Hello"})

    assert answer.status_code == 202


def test_anonymous_send_is_refused(alice: User) -> None:
    answer = APIClient().post(url_of(make_room(alice)), {"prompt": "Hello"})

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("prompt", ["", "   ", "x" * 32_001, None, ["a"], "a\x00b", "\ud800"])
def test_bad_prompt_is_unprocessable(prompt: object, alice: User, alice_api: APIClient) -> None:
    room = make_room(alice)

    body = json.dumps({"prompt": prompt})  # A surrogate goes over as an escape.
    answer = alice_api.post(url_of(room), body, content_type="application/json")

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "prompt"
    assert not Message.objects.exists()
    assert not DailyQuota.objects.exists()


def test_longest_prompt_is_accepted(alice: User, alice_api: APIClient) -> None:
    answer = alice_api.post(url_of(make_room(alice)), {"prompt": "🦄" * 32_000})

    assert answer.status_code == 202


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"prompt": NaN}', b"[" * 100_000, b"1" * 5_000])
def test_malformed_json_is_a_bad_request(body: bytes, alice: User, alice_api: APIClient) -> None:
    answer = alice_api.post(url_of(make_room(alice)), body, content_type="application/json")

    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"null", b"1"])
def test_body_that_is_no_object_is_unprocessable(
    body: bytes, alice: User, alice_api: APIClient
) -> None:
    answer = alice_api.post(url_of(make_room(alice)), body, content_type="application/json")

    assert answer.status_code == 422


def test_stranger_finds_no_room(alice: User, bob_api: APIClient) -> None:
    answer = bob_api.post(url_of(make_room(alice)), {"prompt": "Hello"})

    assert answer.status_code == 404
    assert not DailyQuota.objects.exists()


def test_unknown_room_is_not_found(alice_api: APIClient) -> None:
    assert alice_api.post(url_of(uuid.uuid4()), {"prompt": "Hello"}).status_code == 404


def test_send_over_the_quota_is_refused_and_stores_nothing(
    alice: User, alice_api: APIClient
) -> None:
    room = make_room(alice)
    for _ in range(5):
        assert alice_api.post(url_of(room), {"prompt": "Hello"}).status_code == 202

    answer = alice_api.post(url_of(room), {"prompt": "One too many"})

    assert answer.status_code == 429
    assert answer.json()["code"] == "quota_exceeded"
    assert answer.json()["quota"]["remaining"] == 0
    assert answer["X-Quota-Remaining"] == "0"
    assert 0 < int(answer["Retry-After"]) <= 86_400
    assert Message.objects.count() == 10
    assert Chatroom.objects.get().message_count == 10


def test_pro_has_a_larger_quota(carol: User, carol_api: APIClient) -> None:
    quota = carol_api.post(url_of(make_room(carol)), {"prompt": "Hello"}).json()["data"]["quota"]

    assert quota["limit"] == 999_999


def test_unknown_model_is_unprocessable(alice: User, alice_api: APIClient) -> None:
    answer = alice_api.post(url_of(make_room(alice)), {"prompt": "Hello", "model": "gpt"})

    assert answer.status_code == 422
    assert answer.json()["code"] == "unknown_model"


def test_model_of_pro_is_not_for_basic(
    alice: User, alice_api: APIClient, carol: User, carol_api: APIClient, gemini: FakeGemini
) -> None:
    GeminiModel.objects.create(name="gemini-best", tier="pro")
    wish = {"prompt": "Hello", "model": "gemini-best"}

    refused = alice_api.post(url_of(make_room(alice)), wish)
    accepted = carol_api.post(url_of(make_room(carol)), wish)

    assert (refused.status_code, refused.json()["code"]) == (403, "model_not_in_plan")
    assert accepted.json()["data"]["reply"]["model"] == "gemini-best"
