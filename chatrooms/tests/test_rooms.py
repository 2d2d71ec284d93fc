"""POST /chatroom/ and PATCH /chatroom/{id}."""

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from chatrooms.models import Chatroom

URL = "/api/v1/chatroom/"
TITLES = ["", "  ", "x" * 101, None, [], {}, "a\x00b", "\ud800", "a\u202eb", "\u2066x"]


def url_of(room: Chatroom) -> str:
    return f"{URL}{room.pk}"


def sent(api: APIClient, method: str, url: str, body: Any) -> Any:
    """As bytes, so that a lone surrogate goes over as an escape."""
    return getattr(api, method)(url, json.dumps(body), content_type="application/json")


@pytest.mark.parametrize("slash", ["", "/"])
def test_room_is_opened(slash: str, alice: User, alice_api: APIClient) -> None:
    body = {"title": "  Rivers ", "system_prompt": "Be brief."}

    answer = alice_api.post(URL.rstrip("/") + slash, body)

    assert answer.status_code == 201, answer.content
    room = Chatroom.objects.get(pk=answer.json()["id"])
    assert (room.user_id, room.title, room.system_prompt) == (alice.pk, "Rivers", "Be brief.")
    assert room.is_title_given
    assert answer.json()["created_at"].endswith("Z")


def test_room_without_a_title_waits_for_one(alice: User, alice_api: APIClient) -> None:
    answer = alice_api.post(URL, {})

    assert answer.json()["title"] == "New chat"
    assert Chatroom.objects.untitled().count() == 1


def test_temporary_room_is_there_for_a_day(alice: User, alice_api: APIClient) -> None:
    answer = alice_api.post(URL, {"temporary": True})

    room = Chatroom.objects.get()
    assert alice_api.get(f"{URL}{answer.json()['id']}").status_code == 200
    assert room.expires_at - room.created_at == timedelta(hours=24)
    assert not Chatroom.objects.expired(now=timezone.now() + timedelta(hours=23.9)).exists()
    assert Chatroom.objects.expired(now=timezone.now() + timedelta(hours=24)).exists()


@pytest.mark.parametrize("title", TITLES)
def test_bad_title_opens_no_room(title: Any, alice_api: APIClient) -> None:
    answer = sent(alice_api, "post", URL, {"title": title})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "title"
    assert not Chatroom.objects.exists()


@pytest.mark.parametrize("title", ["x" * 100, "🦄" * 100, "عنوان", "Überfluß"])
def test_title_of_a_hundred_characters_in_any_language_is_kept(
    title: str, alice_api: APIClient
) -> None:
    assert alice_api.post(URL, {"title": title}).json()["title"] == title


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("field", "value"),
    [("title", "Lakes"), ("pinned", True), ("archived", True), ("system_prompt", "Be brief.")],
)
def test_one_field_is_changed_and_the_others_stay(
    field: str, value: Any, slash: str, alice: User, alice_api: APIClient
) -> None:
    room = Chatroom.objects.create_room(user=alice, title="Rivers", system_prompt="Be kind.")
    before = alice_api.get(url_of(room)).json()

    answer = alice_api.patch(url_of(room) + slash, {field: value})

    assert answer.status_code == 200, answer.content
    after = answer.json()
    assert after[field] == value
    assert after["updated_at"] > before["updated_at"]
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {field, "updated_at"}
    assert alice_api.get(url_of(room)).json()[field] == value


def test_given_title_is_no_longer_overwritten(alice: User, alice_api: APIClient) -> None:
    room = Chatroom.objects.create_room(user=alice)

    alice_api.patch(url_of(room), {"title": "New chat"})

    assert not Chatroom.objects.untitled().exists()


def test_system_prompt_is_taken_away(alice: User, alice_api: APIClient) -> None:
    room = Chatroom.objects.create_room(user=alice, system_prompt="Be kind.")

    assert alice_api.patch(url_of(room), {"system_prompt": ""}).json()["system_prompt"] == ""


@pytest.mark.parametrize(
    "body",
    [
        *({"title": title} for title in TITLES),
        {"pinned": "perhaps"},
        {"pinned": None},
        {"archived": []},
        {"system_prompt": None},
        {"system_prompt": "x" * 8_001},
        {"system_prompt": "a\x00b"},
    ],
)
def test_bad_change_is_unprocessable_and_changes_nothing(
    body: Any, alice: User, alice_api: APIClient
) -> None:
    room = Chatroom.objects.create_room(user=alice, title="Rivers")

    answer = sent(alice_api, "patch", url_of(room), {"archived": True, **body})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == next(iter(body))
    room.refresh_from_db()
    assert (room.title, room.archived) == ("Rivers", False)


def test_change_writes_no_counter_back(alice: User) -> None:
    room = Chatroom.objects.create_room(user=alice)
    Chatroom.objects.filter(pk=room.pk).update(message_count=2)

    room.update_fields(title="Lakes")

    assert Chatroom.objects.get().message_count == 2


@pytest.mark.parametrize("method", ["get", "patch", "delete"])
def test_strangers_and_the_anonymous_reach_no_room(
    method: str, alice: User, alice_api: APIClient, bob_api: APIClient
) -> None:
    room = Chatroom.objects.create_room(user=alice)

    assert getattr(bob_api, method)(url_of(room)).status_code == 404
    assert getattr(APIClient(), method)(url_of(room)).status_code == 401
    assert getattr(alice_api, method)(f"{URL}{uuid.uuid4()}").status_code == 404
    assert Chatroom.objects.filter(deleted_at=None).count() == 1


def test_anonymous_opens_no_room(db: None) -> None:
    assert APIClient().post(URL, {}).status_code == 401


@pytest.mark.parametrize("method", ["put", "post"])
def test_other_methods_are_not_allowed(method: str, alice: User, alice_api: APIClient) -> None:
    answer = getattr(alice_api, method)(url_of(Chatroom.objects.create_room(user=alice)))

    assert answer.status_code == 405
    assert answer["Allow"] == "GET, PATCH, DELETE, HEAD, OPTIONS"
