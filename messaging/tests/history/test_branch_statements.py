"""The statements for the tree of a room find the same as the ORM."""

import uuid

import pytest

from accounts.models import User
from chatrooms.models import Chatroom
from chatrooms.statements import own_room_params
from gemchat.stores.statements import fetch
from messaging.conversation import actions
from messaging.conversation.deletion import erase_batch
from messaging.history import branch
from messaging.history.search import find_rooms
from messaging.models import Message, MessageFile
from tests.support.files.rows import ready_file
from tests.support.messaging.rooms import complete, exchange, make_room

pytestmark = pytest.mark.django_db


@pytest.fixture
def room(carol: User) -> Chatroom:
    """Two turns, another reply to the first prompt, and another wording of that prompt."""
    room = make_room(carol)
    first = exchange(room, "Q1", "A1")
    exchange(room, "Q2", "A2")
    complete(actions.regenerate(user=carol, reply=first).reply, "A1b")
    complete(actions.edit(user=carol, message=first.parent, prompt="Q1b").reply, "A1c")
    MessageFile.objects.add_files(first.parent, [ready_file(carol), ready_file(carol)])
    room.refresh_from_db()
    return room


def files_of(message: Message) -> list[uuid.UUID]:
    return list(message.file_uses.order_by("position").values_list("file_id", flat=True))


def ancestors(message: Message | None) -> list[Message]:
    """The messages from the root to this one."""
    return [*ancestors(message.parent), message] if message else []


def descendants(message: Message) -> list[Message]:
    """The active messages below this one."""
    children = message.children.order_by("-id")
    child = children.filter(pk=message.active_child).first() or children.first()
    return [child, *descendants(child)] if child else []


def test_walks_give_what_the_orm_gives(room: Chatroom) -> None:
    for message in Message.objects.filter(chatroom=room):
        above, below = ancestors(message), descendants(message)

        assert branch.ancestors(message.pk, limit=9) == above
        assert branch.ancestors(message.pk, limit=2) == above[-2:]
        assert branch.descendants(message.pk, limit=9) == below
        assert branch.descendants(message.pk, limit=1) == below[:1]
        assert branch.leaf_below(message.pk) == [message, *below][-1].pk
        said = branch.context_rows(message.pk, limit=9)
        assert [tuple(row) for row in said] == [
            (row.pk, row.parent_id, row.content, files_of(row) or None) for row in above
        ]
        shown = branch.ancestor_rows(message.pk, limit=9)
        assert [row.id for row in shown] == [str(row.pk) for row in above]
        assert [row.file_ids or [] for row in shown] == [files_of(row) for row in above]


def test_root_is_the_first_of_the_active_branch(room: Chatroom) -> None:
    leaf = Message.objects.get(pk=room.active_leaf)

    assert branch.root_of(room) == ancestors(leaf)[0].pk


def test_siblings_are_the_variants_of_a_turn(room: Chatroom) -> None:
    messages = branch.with_siblings(Message.objects.filter(chatroom=room).order_by("id"))

    for message in messages:
        assert (message.file_ids or []) == files_of(message)
        variants = Message.objects.filter(chatroom=room, parent=message.parent_id)
        assert message.sibling_ids == list(variants.order_by("id").values_list("pk", flat=True))


def test_newest_messages_are_those_of_the_room(room: Chatroom, bob: User) -> None:
    newest = Message.objects.filter(chatroom=room).order_by("-id")[:3]
    values = own_room_params(chatroom_id=room.pk, user_id=room.user_id) | {"limit": 3}

    rows = fetch(branch.NEWEST_SQL, values)

    assert [row[:2] for row in rows] == [(str(room.active_leaf), str(m.pk)) for m in newest]
    assert fetch(branch.NEWEST_SQL, {**values, "room_user": bob.pk}) == []


def test_activated_message_is_on_the_active_branch(room: Chatroom) -> None:
    message = Message.objects.get(content="A1")

    branch.activate(message, room=room)

    for step in ancestors(message)[1:]:
        assert Message.objects.get(pk=step.parent_id).active_child == step.pk


def test_search_finds_what_contains_the_word(room: Chatroom, carol: User) -> None:
    exchange(make_room(carol, title="Q1b"), "Else", "Else")
    exchange(make_room(carol), "Else", "Else")

    found = find_rooms(user=carol, query="Q1b", archived=False, after=None, limit=9)

    titled = Chatroom.objects.filter(title="Q1b")
    said = Chatroom.objects.filter(messages__content="Q1b")
    wanted = (titled | said).distinct().order_by("-pinned", "-last_message_at", "-id")
    assert [hit.room.pk for hit in found.hits] == [room.pk for room in wanted]


def test_batch_of_an_erasure_deletes_the_messages_of_its_room(room: Chatroom, carol: User) -> None:
    other = exchange(make_room(carol))
    Chatroom.objects.filter(pk=room.pk).mark_deleted(now=other.created_at)

    assert erase_batch(room.pk)

    assert not Message.objects.filter(chatroom=room).exists()
    assert Message.objects.filter(chatroom=other.chatroom_id).count() == 2
    assert not erase_batch(uuid.UUID(int=1))
