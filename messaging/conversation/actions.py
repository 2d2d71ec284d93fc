"""The actions of a user in a conversation.

Each action is a single transaction; then the reply is enqueued. Order of locks everywhere: the
room, then the day's quota, then messages.
"""

import uuid
from collections.abc import Sequence
from functools import partial

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from billing.models import DailyQuota
from billing.plans import plan_for_user
from billing.quota import Quota
from chatrooms.models import Chatroom
from files.models import File
from files.uses import lock_files, take_files
from gemchat.api.errors import DomainError
from messaging.conversation.accept import (
    Accepted,
    AcceptPrompt,
    NewerMessageExists,
    TooManyWaiting,
    accept_prompt,
    new_prompt,
    new_reply,
    text_bytes,
)
from messaging.conversation.model_choice import (
    NO_CHOICE,
    ModelChoice,
    choose,
    choose_again,
    require_kinds,
)
from messaging.conversation.titles import title_unanswered_room
from messaging.history import branch
from messaging.models import Message, MessageFile
from messaging.replies.queue import enqueue_next, enqueue_reply, enqueue_room_erasure
from messaging.streaming.buffer import Position, publish_end, publish_stop


class NotAReply(DomainError):
    code = "not_a_reply"
    message = "That can be done with a reply only, and this is a prompt."
    status = 409


class NotAPrompt(DomainError):
    code = "not_a_prompt"
    message = "Only a prompt can be edited, and this is a reply."
    status = 409


def post_message(
    *,
    user: User,
    chatroom_id: uuid.UUID,
    prompt: str,
    wanted: ModelChoice = NO_CHOICE,
    files: Sequence[uuid.UUID] = (),
) -> Accepted:
    """Store a prompt at the end of the active branch, and a reply as `queued`.

    Raises Chatroom.DoesNotExist for another user's room, the errors of `choose`, those of
    `lock_files`, TooManyWaiting, and the error of a reached limit of the plan.
    """
    choice = choose(user=user, chatroom_id=chatroom_id, wanted=wanted, has_files=bool(files))
    send = AcceptPrompt(
        user=user,
        chatroom_id=chatroom_id,
        prompt=prompt,
        model=choice.model,
        thinking=choice.thinking,
    )
    try:
        accepted = accept_with_files(send, files) if files else accept_prompt(send)
    except NewerMessageExists:
        with transaction.atomic():
            # The lock keeps other messages out. The newer message may be of a machine whose clock
            # is ahead.
            room = Chatroom.objects.locked(user=user, chatroom_id=chatroom_id)
            accepted = accept_prompt(send, after=room.active_leaf)
    transaction.on_commit(partial(enqueue_reply, accepted.reply.pk))
    return accepted


def accept_with_files(send: AcceptPrompt, file_ids: Sequence[uuid.UUID]) -> Accepted:
    """Store a prompt with files. The files are checked before the quota."""
    with transaction.atomic():
        room = Chatroom.objects.locked(user=send.user, chatroom_id=send.chatroom_id)
        files = lock_files(send.user, file_ids)
        require_kinds(send.model, {file.kind for file in files})
        accepted = accept_prompt(send, after=room.active_leaf)
        add_files(accepted.message, files)
    return accepted


def add_files(message: Message, files: Sequence[File]) -> None:
    """Add locked files to a new message."""
    MessageFile.objects.add_files(message, files)
    take_files(files)
    message.file_ids = [file.pk for file in files]


def reserve(*, user: User, prompt: str = "") -> Quota:
    """Take a slot of the quota for a variant, in the caller's transaction.

    Raises TooManyWaiting, and the errors of DailyQuota's `reserve`.
    """
    most = plan_for_user(user).waiting_replies
    if most and Message.objects.filter(user=user).active()[:most].count() >= most:
        raise TooManyWaiting(DailyQuota.objects.usage(user=user))
    return DailyQuota.objects.reserve(user=user, text_bytes=text_bytes(prompt))


def regenerate(*, user: User, reply: Message, wanted: ModelChoice = NO_CHOICE) -> Accepted:
    """Add another reply to the same prompt, and activate the reply.

    By default the model is the same. Raises NotAReply for a prompt, and the errors of
    `choose_again`, `require_kinds` and `reserve`.
    """
    if not reply.is_reply:
        raise NotAReply
    choice = choose_again(user=user, wanted=wanted, former=choice_of(reply))
    files = MessageFile.objects.ready_of(reply.parent_id)
    require_kinds(choice.model, files.values_list("file__kind", flat=True))
    with transaction.atomic():
        room = Chatroom.objects.locked(user=user, chatroom_id=reply.chatroom_id)
        quota = reserve(user=user)
        message = Message.objects.get(children=reply)
        variant = new_reply(
            message=message,
            day=quota.day,
            at=timezone.now(),
            model=choice.model,
            thinking=choice.thinking,
            after=newest_id(room, variant=reply),
        )
        Message.objects.bulk_create([variant])
        activate(room=room, variant=variant, leaf=variant, added=1)
        transaction.on_commit(partial(enqueue_reply, variant.pk))
    branch.with_siblings([message, variant])
    return Accepted(message, variant, quota)


def edit(
    *,
    user: User,
    message: Message,
    prompt: str,
    wanted: ModelChoice = NO_CHOICE,
    files: Sequence[uuid.UUID] | None = None,
) -> Accepted:
    """Add another wording of a prompt with a reply, and activate the wording.

    By default the model is that of the first reply, and the files are those of the prompt. The old
    branch stays. Raises NotAPrompt for a reply, and the errors of `choose_again`, `lock_files` and
    `reserve`.
    """
    if message.is_reply:
        raise NotAPrompt
    first = message.children.order_by("id").first()
    choice = choose_again(user=user, wanted=wanted, former=choice_of(first) if first else NO_CHOICE)
    with transaction.atomic():
        room = Chatroom.objects.locked(user=user, chatroom_id=message.chatroom_id)
        kept = MessageFile.objects.ready_of(message.pk).values_list("file_id", flat=True)
        file_ids = list(kept) if files is None else files
        locked = lock_files(user, file_ids) if file_ids else []
        require_kinds(choice.model, {file.kind for file in locked})
        quota = reserve(user=user, prompt=prompt)
        now = timezone.now()
        wording = new_prompt(
            room=room,
            parent_id=message.parent_id,
            content=prompt,
            at=now,
            after=newest_id(room, variant=message),
        )
        reply = new_reply(
            message=wording, day=quota.day, at=now, model=choice.model, thinking=choice.thinking
        )
        Message.objects.bulk_create([wording, reply])
        add_files(wording, locked)
        activate(room=room, variant=wording, leaf=reply, added=2)
        transaction.on_commit(partial(enqueue_reply, reply.pk))
    branch.with_siblings([wording, reply])
    return Accepted(wording, reply, quota)


def newest_id(room: Chatroom, *, variant: Message) -> uuid.UUID:
    """Return the newest id of a turn's variants and the room's active leaf."""
    branch.with_siblings([variant])
    return max(filter(None, [room.active_leaf, *variant.sibling_ids]))


def choice_of(reply: Message) -> ModelChoice:
    return ModelChoice(model=reply.model, thinking=reply.thinking)


def select(*, user: User, message: Message) -> Message:
    """Activate the branch of a message; below the message, the last active branch."""
    with transaction.atomic():
        room = Chatroom.objects.locked(user=user, chatroom_id=message.chatroom_id)
        leaf = Message.objects.get(pk=branch.leaf_below(message.pk))
        branch.activate(message, room=room)
        Chatroom.objects.filter(pk=room.pk).update(active_leaf=leaf.pk)
    return message


def stop(*, reply: Message) -> Message:
    """End an active reply; an ended reply stays unchanged.

    A queued reply ends here. A reply in generation is ended by the worker. The worker polls for the
    mark four times a second, and reads the row's flag in case Redis loses the mark.
    """
    if not reply.is_reply:
        raise NotAReply
    if Message.objects.stop_queued(reply=reply):
        title_unanswered_room(reply_id=reply.pk)
        publish_end(reply.pk, Position(reply.attempt + 1, 0))
        enqueue_next(reply.user_id)
    elif Message.objects.request_stop(reply=reply):
        publish_stop(reply.pk)
    reply.refresh_from_db()
    return reply


def rate(*, reply: Message, rating: int, comment: str = "") -> None:
    """Store the rating of a reply: 1, -1, or 0 to withdraw the rating."""
    if not reply.is_reply:
        raise NotAReply
    reply.rating = rating
    reply.feedback_comment = comment
    reply.save(update_fields=["rating", "feedback_comment"])


def activate(*, room: Chatroom, variant: Message, leaf: Message, added: int) -> None:
    """Activate the branch of a new variant of a turn; `leaf` is the end."""
    branch.activate(variant, room=room)
    Chatroom.objects.record_exchange(
        chatroom_id=room.pk, active_leaf=leaf.pk, added=added, at=leaf.created_at
    )


def delete(*, room: Chatroom) -> None:
    """Mark a room as deleted at once; the messages are erased in the background.

    Raises Chatroom.DoesNotExist if the room is already deleted.
    """
    with transaction.atomic():
        if not Chatroom.objects.filter(pk=room.pk).mark_deleted(now=timezone.now()):
            raise Chatroom.DoesNotExist
        transaction.on_commit(partial(enqueue_room_erasure, room.pk))
