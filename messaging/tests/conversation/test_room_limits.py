"""How many rooms a user has, and how many are opened in a minute."""

from collections import Counter
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from billing.tests.plans import with_plan
from chatrooms.models import Chatroom
from messaging.conversation import actions
from messaging.conversation.deletion import erase_room
from tests.support.marks import transactional
from tests.support.plugins.cast import api_for
from tests.support.waiting import at_once

URL = "/api/v1/chatroom/"


def opened(api: APIClient, **fields: Any) -> int:
    return api.post(URL, fields).status_code


@pytest.mark.django_db
@pytest.mark.parametrize("tier", ["basic", "pro"])
def test_rooms_that_are_opened_in_a_minute_have_a_limit(
    tier: str, alice: User, settings: Any
) -> None:
    with_plan(settings, tier, chatrooms_per_minute=3)
    User.objects.filter(pk=alice.pk).update(tier=tier)
    api = api_for(alice)

    answers = [api.post(URL) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
    assert answers[-1].json()["code"] == "rate_limited"
    assert 0 < int(answers[-1]["Retry-After"]) <= 60
    assert Chatroom.objects.count() == 3


@pytest.mark.django_db
def test_rooms_count_until_they_are_erased(
    alice: User, alice_api: APIClient, settings: Any
) -> None:
    with_plan(settings, "basic", chatrooms=3)
    Chatroom.objects.create_room(user=alice)
    Chatroom.objects.filter(user=alice).update(archived=True)
    assert opened(alice_api, temporary=True) == 201
    assert opened(alice_api) == 201
    room = Chatroom.objects.latest("id")

    refused = alice_api.post(URL)
    actions.delete(room=room)
    while_deleted = opened(alice_api)
    erase_room(chatroom_id=room.pk)

    assert (refused.status_code, refused.json()["code"]) == (403, "chatroom_limit_reached")
    assert "Delete some" in refused.json()["detail"]
    assert while_deleted == 403
    assert opened(alice_api) == 201


@pytest.mark.django_db
def test_rooms_of_others_do_not_count(alice: User, bob_api: APIClient, settings: Any) -> None:
    with_plan(settings, "basic", chatrooms=1)
    Chatroom.objects.create_room(user=alice)

    assert opened(bob_api) == 201


@transactional
def test_number_of_rooms_is_exact_of_many_at_once(alice: User, settings: Any) -> None:
    with_plan(settings, "basic", chatrooms=5, chatrooms_per_minute=100)
    api = api_for(alice)

    answers = at_once(12, lambda: opened(api))

    assert Counter(answers) == {201: 5, 403: 7}
    assert Chatroom.objects.count() == 5
