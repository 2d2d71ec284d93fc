"""Many requests at the same time."""

import uuid
from collections import Counter
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from billing.models import DailyQuota
from billing.tests.plans import with_plan
from chatrooms.models import Chatroom
from messaging.models import Message
from messaging.replies.claims import claim_reply
from tests.support.marks import transactional
from tests.support.messaging.rooms import make_room, url_of
from tests.support.messaging.worker import post
from tests.support.plugins.cast import api_for
from tests.support.waiting import at_once, in_background, wait_until_blocked

pytestmark = transactional


def test_last_place_of_the_quota_is_taken_once(alice: User) -> None:
    api = api_for(alice)
    room = make_room(alice)
    for _ in range(4):
        assert api.post(url_of(room), {"prompt": "Hello"}).status_code == 202

    answers = at_once(20, lambda: api.post(url_of(room), {"prompt": "Hello"}))

    assert Counter(answer.status_code for answer in answers) == {202: 1, 429: 19}
    assert DailyQuota.objects.usage(user=alice).used == 5
    assert Message.objects.filter(sender="gemini").count() == 5


def test_sends_to_one_room_form_one_branch(carol: User) -> None:
    api = api_for(carol)
    room = make_room(carol)

    at_once(20, lambda: api.post(url_of(room), {"prompt": "Hello"}))

    room.refresh_from_db()
    assert room.message_count == 40
    parents = Counter(Message.objects.values_list("parent_id", flat=True))
    assert max(parents.values()) == 1
    leaves = Message.objects.filter(children=None)
    assert [leaf.pk for leaf in leaves] == [room.active_leaf]


def test_send_that_was_overtaken_follows_in_the_order_of_ids(carol: User) -> None:
    """The send has waited for the room's lock, with ids older than newer rows."""
    api = api_for(carol)
    room = make_room(carol)

    with transaction.atomic():
        Chatroom.objects.locked(user=carol, chatroom_id=room.pk)
        send = partial(api.post, url_of(room), {"prompt": "First made"})
        waiting = in_background(send)
        wait_until_blocked()
        api_for(carol).post(url_of(room), {"prompt": "First stored"})
    answer = waiting.result(20)

    assert answer.status_code == 202
    stored = Message.objects.filter(sender="user").order_by("id")
    assert [message.content for message in stored] == ["First stored", "First made"]
    reply = Message.objects.get(parent=stored[0])
    assert stored[1].parent_id == reply.pk
    assert DailyQuota.objects.usage(user=carol).used == 2


def test_same_key_ten_times_at_once_makes_one_reply(alice: User) -> None:
    api: APIClient = api_for(alice)
    room = make_room(alice)

    def send() -> Any:
        return api.post(url_of(room), {"prompt": "Hello"}, HTTP_IDEMPOTENCY_KEY="k1")

    answers = at_once(10, send)
    replayed = send()

    assert Message.objects.filter(sender="gemini").count() == 1
    assert DailyQuota.objects.usage(user=alice).used == 1
    assert {answer.status_code for answer in answers} <= {202, 409}
    accepted = {
        answer.json()["data"]["reply"]["id"] for answer in answers if answer.status_code == 202
    }
    assert len(accepted) == 1
    assert replayed["Idempotent-Replayed"] == "true"
    assert replayed.json()["data"]["reply"]["id"] in accepted


def test_key_with_another_body_is_refused(alice: User) -> None:
    api = api_for(alice)
    room = make_room(alice)
    api.post(url_of(room), {"prompt": "Hello"}, HTTP_IDEMPOTENCY_KEY="k1")

    answer = api.post(url_of(room), {"prompt": "Else"}, HTTP_IDEMPOTENCY_KEY="k1")

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


def test_refused_send_may_be_sent_again_under_its_key(alice: User, settings: Any) -> None:
    with_plan(settings, "basic", daily_limit=0)
    api = api_for(alice)
    room = make_room(alice)
    refused = api.post(url_of(room), {"prompt": "Hello"}, HTTP_IDEMPOTENCY_KEY="k1")
    with_plan(settings, "basic", daily_limit=5)

    accepted = api.post(url_of(room), {"prompt": "Hello"}, HTTP_IDEMPOTENCY_KEY="k1")

    assert (refused.status_code, accepted.status_code) == (429, 202)


def test_last_place_among_the_replies_under_way_is_taken_once(alice: User) -> None:
    """A worker that comes while another takes it waits, and finds it taken."""
    first, second = (post(make_room(alice)).pk for _ in range(2))

    def claim(reply_id: uuid.UUID) -> Message | None:
        claimed = claim_reply(reply_id=reply_id, now=timezone.now())
        return claimed and claimed.reply

    with transaction.atomic():
        assert claim(first)
        waiting = in_background(partial(claim, second))
        wait_until_blocked()

    assert waiting.result(20) is None
    assert Message.objects.get(pk=second).status == Message.Status.QUEUED


def test_reply_is_claimed_by_one_of_many_workers(carol: User) -> None:
    reply = post(make_room(carol))

    claimed = at_once(10, lambda: claim_reply(reply_id=reply.pk, now=timezone.now()))

    assert Counter(each and each.reply.attempt for each in claimed) == {None: 9, 1: 1}
