"""The choice of a model and a thinking level."""

import json
import urllib.request
from typing import Any
from urllib.error import HTTPError

import pytest
from django.conf import settings
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from billing.models import DailyQuota
from messaging.conversation import actions
from messaging.conversation.model_choice import ModelChoice
from messaging.models import GeminiModel, Message
from tests.support.fakes.gemini import FakeGemini
from tests.support.marks import transactional
from tests.support.messaging.rooms import complete, exchange, make_room, url_of
from tests.support.messaging.worker import run

LITE, FLASH, UNKNOWN_LEVELS = "gemini-3.5-flash-lite", "gemini-3.8-flash", "gemini-3.6-flash"


def models_of(client: APIClient) -> dict[str, dict[str, Any]]:
    return {model["name"]: model for model in client.get("/api/v1/model/").json()}


def thinking_of(gemini: FakeGemini) -> dict[str, str]:
    """The thinking part of the latest request to Gemini."""
    return dict(gemini.requests[-1].body["generationConfig"].get("thinkingConfig", {}))


def test_list_has_each_model_in_order(alice_api: APIClient, gemini: FakeGemini) -> None:
    answer = alice_api.get("/api/v1/model/")

    assert answer.status_code == 200
    assert [model["name"] for model in answer.json()][:2] == [LITE, UNKNOWN_LEVELS]
    assert answer.json()[0] == {
        "name": LITE,
        "label": "Gemini 3.5 Flash-Lite",
        "tier": "basic",
        "available": True,
        "default": True,
        "context_window": 1_048_576,
        "max_output_tokens": 65_536,
        "modalities": ["text", "image", "pdf", "audio"],
        "tools": [],
        "thinking_levels": ["minimal", "low", "medium", "high"],
        "default_thinking": "minimal",
    }


def test_list_takes_one_query(
    alice_api: APIClient, gemini: FakeGemini, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(1):
        alice_api.get("/api/v1/user/me")

    # The query of the session, as above, and the list.
    with django_assert_num_queries(2):
        alice_api.get("/api/v1/model/")


def test_list_says_what_the_plan_has(
    alice_api: APIClient, carol_api: APIClient, gemini: FakeGemini
) -> None:
    basic, pro = models_of(alice_api), models_of(carol_api)

    assert {name for name, model in basic.items() if model["available"]} == {
        name for name, model in basic.items() if model["tier"] == "basic"
    }
    assert all(model["available"] for model in pro.values())


def test_list_leaves_out_retired_disabled_and_unlisted_models(
    alice_api: APIClient, gemini: FakeGemini
) -> None:
    today = timezone.now().date()
    lite = GeminiModel.objects.get(pk=LITE)
    GeminiModel.objects.create(name="old", retires_on=today, fallback=lite)
    GeminiModel.objects.create(name="off", is_enabled=False)
    GeminiModel.objects.create(name="quiet", is_listed=False)
    GeminiModel.objects.create(name="plain")

    listed = models_of(alice_api)

    assert listed.keys() & {"old", "off", "quiet", "plain"} == {"plain"}
    assert listed["plain"]["label"] == "plain"


def test_fallback_of_a_retired_default_is_the_default(
    alice_api: APIClient, gemini: FakeGemini
) -> None:
    newer = GeminiModel.objects.create(name="newer")
    GeminiModel.objects.filter(pk=LITE).update(retires_on=timezone.now().date(), fallback=newer)

    listed = models_of(alice_api)

    assert [name for name, model in listed.items() if model["default"]] == ["newer"]


@pytest.mark.parametrize(
    ("backend", "available", "levels"),
    [("google_generativeai", True, []), ("offline", False, [])],
)
def test_list_has_only_what_the_backend_can(
    backend: str, available: bool, levels: list[str], carol_api: APIClient, settings: Any
) -> None:
    settings.GEMINI_BACKEND = f"messaging.gemini.{backend}.Backend"

    flash = models_of(carol_api)[FLASH]

    assert flash["available"] is available
    assert (flash["thinking_levels"], flash["default_thinking"], flash["tools"]) == (levels, "", [])


def test_list_is_for_signed_in_users() -> None:
    assert APIClient().get("/api/v1/model/").status_code == 401


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"thinking": "xhigh"}, 422, "unsupported_by_model"),
        ({"model": UNKNOWN_LEVELS, "thinking": "low"}, 422, "unsupported_by_model"),
        ({"model": "gpt", "thinking": "low"}, 422, "unknown_model"),
        ({"thinking": "deep"}, 422, "validation_error"),
        ({"thinking": 1}, 422, "validation_error"),
        ({"thinking": ""}, 422, "validation_error"),
    ],
)
def test_unsupported_level_is_refused_before_the_quota(
    fields: dict[str, Any], status: int, code: str, carol: User, carol_api: APIClient,
    gemini: FakeGemini,
) -> None:  # fmt: skip
    room = make_room(carol)
    first = exchange(room)
    DailyQuota.objects.all().delete()

    answers = [
        carol_api.post(url_of(room), {"prompt": "Hello", **fields}),
        carol_api.post(f"/api/v1/message/{first.pk}/regenerate", fields),
        carol_api.post(f"/api/v1/message/{first.parent_id}/edit", {"prompt": "Hi", **fields}),
    ]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        (status, code)
    ] * 3
    assert not DailyQuota.objects.exists()
    assert Message.objects.count() == 2


@pytest.mark.parametrize("backend", ["google_generativeai", "offline"])
def test_level_is_refused_where_the_backend_takes_none(
    backend: str, alice: User, alice_api: APIClient, settings: Any
) -> None:
    settings.GEMINI_BACKEND = f"messaging.gemini.{backend}.Backend"

    answer = alice_api.post(url_of(make_room(alice)), {"prompt": "Hello", "thinking": "low"})

    assert (answer.status_code, answer.json()["code"]) == (422, "unsupported_by_backend")
    assert not DailyQuota.objects.exists()


def test_offline_backend_refuses_a_model_and_answers_without(
    alice: User, alice_api: APIClient, settings: Any
) -> None:
    settings.GEMINI_BACKEND = "messaging.gemini.offline.Backend"
    room = make_room(alice)

    refused = [
        alice_api.post(url_of(room), {"prompt": "Hello", "model": LITE}),
        alice_api.patch(f"/api/v1/chatroom/{room.pk}", {"model": LITE}),
    ]
    accepted = alice_api.post(url_of(room), {"prompt": "Hello"})

    assert [answer.json()["code"] for answer in refused] == ["unsupported_by_backend"] * 2
    assert accepted.status_code == 202


@transactional
def test_level_reaches_gemini_alone(carol: User, gemini: FakeGemini) -> None:
    GeminiModel.objects.update_or_create(name=FLASH, defaults={"thinking_levels": ["high"]})
    wanted = ModelChoice(model=FLASH, thinking="high")

    sent = actions.post_message(
        user=carol, chatroom_id=make_room(carol).pk, prompt="Hello", wanted=wanted
    )
    ended = run(sent.reply)

    assert (ended.status, ended.thinking) == ("complete", "high")
    assert thinking_of(gemini) == {"thinking_level": "HIGH"}


@transactional
@pytest.mark.parametrize("level", ["", "auto"])
def test_request_without_a_level_has_no_field_for_it(
    level: str, alice: User, google: FakeGemini
) -> None:
    wanted = ModelChoice(thinking=level)

    sent = actions.post_message(
        user=alice, chatroom_id=make_room(alice).pk, prompt="Hello", wanted=wanted
    )
    ended = run(sent.reply)

    assert (ended.status, ended.thinking) == ("complete", "")
    config = google.requests[-1].body["generationConfig"]
    # No field of sampling either: the models ignore them, and are to refuse them.
    assert set(config) == {"maxOutputTokens"}


@transactional
def test_fallback_without_the_level_is_asked_without_it(carol: User, gemini: FakeGemini) -> None:
    newer = GeminiModel.objects.create(name="newer")
    GeminiModel.objects.create(name="old", thinking_levels=["low"])
    sent = actions.post_message(
        user=carol,
        chatroom_id=make_room(carol).pk,
        prompt="Hello",
        wanted=ModelChoice(model="old", thinking="low"),
    )
    GeminiModel.objects.filter(pk="old").update(retires_on=timezone.now().date(), fallback=newer)

    ended = run(sent.reply)

    assert (ended.status, ended.model_version) == ("complete", "newer")
    assert thinking_of(gemini) == {}


@transactional
def test_limits_of_the_model_bound_the_request(alice: User, gemini: FakeGemini) -> None:
    limits = {"output_limit": 100, "input_limit": 60}
    GeminiModel.objects.update_or_create(name=LITE, defaults=limits)
    room = make_room(alice)
    exchange(room, "x" * 400, "y" * 400)

    ended = run(actions.post_message(user=alice, chatroom_id=room.pk, prompt="Hello").reply)

    [asked] = gemini.requests
    assert asked.body["generationConfig"]["maxOutputTokens"] == 100
    assert (ended.context_messages, ended.context_truncated) == (1, True)


def test_room_has_a_default_model(carol: User, carol_api: APIClient, gemini: FakeGemini) -> None:
    opened = carol_api.post("/api/v1/chatroom/", {"model": UNKNOWN_LEVELS}).json()
    room = f"/api/v1/chatroom/{opened['id']}"

    by_room = send(carol_api, opened["id"])
    by_request = send(carol_api, opened["id"], model=LITE)
    changed = carol_api.patch(room, {"model": FLASH}).json()
    by_change = send(carol_api, opened["id"])
    with_level = send(carol_api, opened["id"], thinking="medium")
    cleared = carol_api.patch(room, {"model": ""}).json()
    by_server = send(carol_api, opened["id"])

    assert [opened["model"], changed["model"], cleared["model"]] == [UNKNOWN_LEVELS, FLASH, ""]
    assert [reply["model"] for reply in (by_room, by_request, by_change, with_level)] == [
        UNKNOWN_LEVELS,
        LITE,
        FLASH,
        FLASH,
    ]
    assert with_level["thinking"] == "medium"
    assert by_server["model"] == settings.GEMINI_MODEL


def send(client: APIClient, room_id: str, **fields: str) -> dict[str, Any]:
    """Send to a room, and return the reply, ended."""
    answer = client.post(
        f"/api/v1/message/chatroom/{room_id}/message", {"prompt": "Hello", **fields}
    )
    assert answer.status_code == 202, answer.content
    reply: dict[str, Any] = answer.json()["data"]["reply"]
    complete(Message.objects.get(pk=reply["id"]))
    return reply


@pytest.mark.parametrize(
    "change", [{"is_enabled": False}, {"tier": "pro"}, {"name": "renamed"}], ids=str
)
def test_default_that_is_no_longer_offered_is_the_servers(
    change: dict[str, Any], alice: User, alice_api: APIClient, gemini: FakeGemini
) -> None:
    GeminiModel.objects.create(name="gemini-x", thinking_levels=["xhigh"])
    room = make_room(alice, model="gemini-x")
    GeminiModel.objects.filter(name="gemini-x").update(**change)

    sent = send(alice_api, str(room.pk))
    refused = alice_api.post(url_of(room), {"prompt": "Hello", "thinking": "xhigh"})

    assert sent["model"] == settings.GEMINI_MODEL
    assert refused.json()["code"] == "unsupported_by_model"


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("gpt", 422, "unknown_model"), (FLASH, 403, "model_not_in_plan")],
)
def test_default_that_the_caller_cannot_use_is_refused(
    name: str, status: int, code: str, alice: User, alice_api: APIClient, gemini: FakeGemini
) -> None:
    room = make_room(alice)

    answers = [
        alice_api.patch(f"/api/v1/chatroom/{room.pk}", {"model": name, "title": "New"}),
        alice_api.post("/api/v1/chatroom/", {"model": name}),
    ]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        (status, code)
    ] * 2
    room.refresh_from_db()
    assert (room.model, room.title) == ("", "New chat")


def test_variant_has_the_choice_of_the_reply_or_of_the_request(
    carol: User, carol_api: APIClient, gemini: FakeGemini
) -> None:
    room = make_room(carol)
    first = send(carol_api, str(room.pk), model=FLASH, thinking="high")
    url = f"/api/v1/message/{first['id']}/regenerate"
    edit = f"/api/v1/message/{first['parent_id']}/edit"

    variants = [
        again(carol_api, url, {}),
        again(carol_api, url, {"thinking": "auto"}),
        again(carol_api, url, {"model": LITE}),
        again(carol_api, url, {"model": UNKNOWN_LEVELS}),
        again(carol_api, edit, {"prompt": "Hi"}),
        again(carol_api, edit, {"prompt": "Hi", "model": LITE, "thinking": "low"}),
    ]

    assert [(reply["model"], reply["thinking"]) for reply in variants] == [
        (FLASH, "high"),
        (FLASH, None),
        (LITE, "high"),
        (UNKNOWN_LEVELS, None),
        (FLASH, "high"),
        (LITE, "low"),
    ]


def again(client: APIClient, url: str, fields: dict[str, str]) -> dict[str, Any]:
    """Ask for a variant, and return the reply, ended."""
    answer = client.post(url, fields)
    assert answer.status_code == 202, answer.content
    reply: dict[str, Any] = answer.json()["data"]["reply"]
    complete(Message.objects.get(pk=reply["id"]))
    return reply


def test_fake_refuses_what_gemini_refuses(gemini: FakeGemini) -> None:
    user = {"role": "user", "parts": [{"text": "Hello"}]}
    both = {"thinkingLevel": "LOW", "thinkingBudget": 10}
    bodies = [
        {"contents": [user], "generationConfig": {"thinkingConfig": {"thinkingLevel": "DEEP"}}},
        {"contents": [user], "generationConfig": {"thinkingConfig": both}},
        {"contents": [user, {"role": "model", "parts": [{"text": "Hi"}]}]},
    ]

    statuses = []
    for body in bodies:
        url = f"{gemini.url}/v1beta/models/x:generateContent"
        try:
            urllib.request.urlopen(url, json.dumps(body).encode())  # noqa: S310 the fake
        except HTTPError as error:
            statuses.append(error.code)

    assert statuses == [400, 400, 400]
