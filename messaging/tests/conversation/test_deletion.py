"""DELETE /chatroom/{id}: gone at once, erased in the background."""

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import AuditEvent, User
from billing.models import DailyQuota
from chatrooms.models import Chatroom
from gemchat.stores.redis import client
from messaging.conversation import actions, deletion
from messaging.conversation.deletion import erase_room
from messaging.models import Message
from messaging.replies.claims import claim_reply
from messaging.tasks import erase, sweep_rooms
from tests.support.marks import transactional
from tests.support.messaging.rooms import complete, exchange, make_room, url_of
from tests.support.plugins.cast import api_for

URL = "/api/v1/chatroom/"


def queued_erasures() -> int:
    """How many tasks wait in the queue that erasures go to."""
    return client().llen("default")


@pytest.mark.parametrize("slash", ["", "/"])
def test_delete_answers_with_nothing_and_hides_the_room(
    slash: str, alice: User, alice_api: APIClient
) -> None:
    room = make_room(alice)

    answer = alice_api.delete(f"{URL}{room.pk}{slash}")

    assert (answer.status_code, answer.content) == (204, b"")
    assert alice_api.get(f"{URL}{room.pk}").status_code == 404
    assert alice_api.delete(f"{URL}{room.pk}").status_code == 404
    assert alice_api.get(URL).json() == []
    [event] = AuditEvent.objects.all()
    assert (event.action, event.user_id, event.target) == (
        "chatroom_deleted",
        alice.pk,
        str(room.pk),
    )


REQUESTS: dict[str, Callable[[APIClient, Chatroom, Message], Any]] = {
    "detail": lambda api, room, reply: api.get(f"{URL}{room.pk}"),
    "change": lambda api, room, reply: api.patch(f"{URL}{room.pk}", {"title": "x"}),
    "page": lambda api, room, reply: api.get(url_of(room)),
    "send": lambda api, room, reply: api.post(url_of(room), {"prompt": "x"}),
    "read": lambda api, room, reply: api.get(f"/api/v1/message/{reply.pk}"),
    "stop": lambda api, room, reply: api.post(f"/api/v1/message/{reply.pk}/stop"),
    "regenerate": lambda api, room, reply: api.post(f"/api/v1/message/{reply.pk}/regenerate"),
    "edit": lambda api, room, reply: api.post(
        f"/api/v1/message/{reply.parent_id}/edit", {"prompt": "x"}
    ),
    "select": lambda api, room, reply: api.post(f"/api/v1/message/{reply.pk}/select"),
    "feedback": lambda api, room, reply: api.put(
        f"/api/v1/message/{reply.pk}/feedback", {"rating": 1}
    ),
}


# "read" is an async view, whose threads see only committed rows.
@pytest.mark.parametrize(
    "request_of",
    [*sorted(REQUESTS.keys() - {"read"}), pytest.param("read", marks=transactional)],
)
def test_deleted_room_is_hidden_from_every_call(
    request_of: str, carol: User, carol_api: APIClient
) -> None:
    reply = exchange(make_room(carol))
    carol_api.delete(f"{URL}{reply.chatroom_id}")

    answer = REQUESTS[request_of](carol_api, reply.chatroom, reply)

    assert answer.status_code == 404, answer.content


@transactional
def test_delete_has_the_room_erased(alice: User) -> None:
    room = make_room(alice)
    exchange(room)
    before = queued_erasures()

    api_for(alice).delete(f"{URL}{room.pk}")

    assert queued_erasures() == before + 1
    assert Message.objects.count() == 2
    erase(str(room.pk))
    assert not Message.objects.exists()


@pytest.mark.parametrize("batch", [1, 2, 3, 2_000])
def test_erasure_leaves_nothing_of_the_room_and_all_of_others(
    batch: int, carol: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "BATCH", batch)
    room, other = make_room(carol), make_room(carol)
    exchange(other)
    first = exchange(room)
    exchange(room)
    complete(actions.edit(user=carol, message=first.parent, prompt="Again").reply)
    complete(actions.regenerate(user=carol, reply=first).reply)
    actions.delete(room=room)

    erase_room(chatroom_id=room.pk)

    assert [left.pk for left in Chatroom.objects.all()] == [other.pk]
    assert set(Message.objects.values_list("chatroom_id", flat=True)) == {other.pk}
    assert Message.objects.count() == 2


@transactional
def test_message_older_than_its_parent_is_erased_with_it(
    carol: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "BATCH", 1)
    room = make_room(carol)
    reply = exchange(room)
    early = uuid.UUID(int=reply.parent_id.int - 1)
    with transaction.atomic():
        Message.objects.filter(pk=reply.pk).update(id=early)
    actions.delete(room=room)

    erase_room(chatroom_id=room.pk)

    assert not Message.objects.exists()


def test_room_that_was_not_deleted_is_not_erased(alice: User) -> None:
    room = exchange(make_room(alice)).chatroom

    erase_room(chatroom_id=room.pk)

    assert Message.objects.count() == 2


def test_reply_that_waits_is_stopped_and_its_quota_given_back(alice: User) -> None:
    room = make_room(alice)
    actions.post_message(user=alice, chatroom_id=room.pk, prompt="Hello")
    actions.delete(room=room)

    erase_room(chatroom_id=room.pk)

    assert not Chatroom.objects.exists()
    assert DailyQuota.objects.usage(user=alice).used == 0


def test_reply_that_a_worker_has_is_waited_for(alice: User) -> None:
    room = make_room(alice)
    reply = actions.post_message(user=alice, chatroom_id=room.pk, prompt="Hello").reply
    claim_reply(reply_id=reply.pk, now=timezone.now())
    actions.delete(room=room)

    erase_room(chatroom_id=room.pk)
    asked_to_stop = Message.objects.get(pk=reply.pk).stop_requested
    complete_as_stopped(reply)
    erase_room(chatroom_id=room.pk)

    assert asked_to_stop
    assert not Message.objects.exists()


def complete_as_stopped(reply: Message) -> None:
    Message.objects.filter(pk=reply.pk).update(
        status=Message.Status.STOPPED, lease_expires_at=None, ended_at=timezone.now()
    )


@transactional
def test_sweep_sends_what_the_queue_has_lost(alice: User) -> None:
    room = exchange(make_room(alice)).chatroom
    actions.delete(room=room)
    client().flushdb()

    sweep_rooms()

    assert queued_erasures() == 1


@transactional
def test_sweep_deletes_temporary_rooms_after_their_day(alice: User) -> None:
    old, young, kept = (make_room(alice, temporary=each) for each in (True, True, False))
    Chatroom.objects.filter(pk=old.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    exchange(old)

    sweep_rooms()
    erase_room(chatroom_id=old.pk)

    assert {room.pk for room in Chatroom.objects.all()} == {young.pk, kept.pk}
    assert not Message.objects.exists()


@transactional
def test_many_tasks_at_once_erase_a_room(carol: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deletion, "BATCH", 3)
    room = make_room(carol)
    for _ in range(20):
        exchange(room)
    actions.delete(room=room)
    together = threading.Barrier(4)

    def erase_with_others(_: int) -> None:
        together.wait()
        try:
            erase_room(chatroom_id=room.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(erase_with_others, range(4)))

    assert not Message.objects.exists()
    assert not Chatroom.objects.exists()


@transactional
def test_send_that_crosses_a_delete_leaves_nothing_behind(carol: User) -> None:
    api = api_for(carol)
    together = threading.Barrier(5)

    def send(room: Chatroom) -> int:
        together.wait()
        try:
            return api.post(url_of(room), {"prompt": "Hello"}).status_code
        finally:
            connection.close()

    def delete(room: Chatroom) -> int:
        together.wait()
        try:
            return api.delete(f"{URL}{room.pk}").status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(5) as threads:
        for _ in range(5):
            room = make_room(carol)
            sends = [threads.submit(send, room) for _ in range(4)]
            deleted = threads.submit(delete, room).result()
            assert deleted == 204
            assert {each.result() for each in sends} <= {202, 404}
            erase_room(chatroom_id=room.pk)

    assert not Message.objects.exists()
    assert not Chatroom.objects.exists()
