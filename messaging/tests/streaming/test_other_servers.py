"""The async views under a server that does not open a hub, as `manage.py runserver` is."""

from typing import Any

import pytest
from django.urls import reverse

from accounts.models import User
from messaging.conversation import actions
from messaging.models import Message
from messaging.streaming.buffer import Position, publish_end
from tests.support.marks import transactional
from tests.support.messaging.rooms import complete, exchange, make_room
from tests.support.waiting import in_background

pytestmark = [
    transactional,
    # Django's advice for its own WSGI handler, which collects a stream before it sends anything.
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume asynchronous iterators"),
]


def body_of(response: Any) -> str:
    return b"".join(response).decode()


def test_stream_gives_the_whole_reply(alice: User, alice_api: Any) -> None:
    reply = exchange(make_room(alice), answer="Indeed.")

    response = alice_api.get(reverse("message-stream", args=[reply.pk]))

    assert response.status_code == 200
    assert response["Content-Security-Policy"]
    assert '"text":"Indeed."' in (body := body_of(response))
    assert "event: reply.completed" in body


def test_stream_waits_for_the_end(alice: User, alice_api: Any) -> None:
    room = make_room(alice)
    reply = actions.post_message(user=alice, chatroom_id=room.pk, prompt="Hello").reply
    response = alice_api.get(reverse("message-stream", args=[reply.pk]))
    reading = in_background(lambda: body_of(response))

    complete(reply, "Late.")
    publish_end(reply.pk, Position(1, len("Late.")))

    assert '"text":"Late."' in reading.result(20)


@pytest.mark.parametrize("query", ["", "?wait=1"])
def test_message_is_read(query: str, alice: User, alice_api: Any) -> None:
    reply = exchange(make_room(alice))

    response = alice_api.get(reverse("message-detail", args=[reply.pk]) + query)

    assert response.json()["content"] == "Indeed."


def test_export_and_other_methods(alice: User, alice_api: Any) -> None:
    room = make_room(alice, title="Rivers")
    exchange(room)

    exported = alice_api.get(reverse("chatroom-export", args=[room.pk]))
    refused = alice_api.post(reverse("chatroom-export", args=[room.pk]))

    assert '"title":"Rivers"' in body_of(exported)
    assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed")
    assert Message.objects.filter(chatroom=room).count() == 2
