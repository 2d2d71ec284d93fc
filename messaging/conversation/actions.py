"""What a person does in a conversation. Each call is one transaction; the queue hears of it after.

Order of locks everywhere: the room, then the day's quota, then messages.
"""

import uuid
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from billing.models import RESERVE, DailyQuota, reserve_values
from billing.plans import plan_for
from billing.quota import Quota
from chatrooms.models import Chatroom
from gemchat.api.errors import DomainError
from gemchat.stores.prepared import fetch
from messaging.history import branch
from messaging.models import Message, resend_after
from messaging.models.gemini_models import GeminiModel, ModelNotInPlan, UnknownModel
from messaging.streaming.buffer import Position, publish_end, publish_stop
from messaging.tasks import send_next, send_to_eraser, send_to_queue

# What the rows of a prompt and a reply take with their indexes, besides their texts.
ROWS_BYTES = 2_000
WAITING_RETRY_SECONDS = 5


class NotAReply(DomainError):
    code = "not_a_reply"
    message = "That can be done with a reply only, and this is a prompt."
    status = 409


class NotAPrompt(DomainError):
    code = "not_a_prompt"
    message = "Only a prompt can be edited, and this is a reply."
    status = 409


class TooManyWaiting(DomainError):
    code = "too_many_waiting"
    message = "Too many of your replies are waiting. Send again when one of them has ended."
    status = 429

    def __init__(self, quota: Quota) -> None:
        super().__init__(retry_after=WAITING_RETRY_SECONDS, headers=quota.as_headers())


class Overtaken(Exception):
    """The room has got a message that is newer than this one's id."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A prompt that was taken on: both of its rows, and the quota as it now stands.

    The rows have their `sibling_ids`.
    """

    message: Message
    reply: Message
    quota: Quota


# A send in one statement, which is a transaction of its own, where the ORM takes five and six
# changes of turn with the database. The room comes first: whoever waits for its lock sees it as
# it is then. Messages are in order by their ids, which are made before; should the room have got a
# newer one meanwhile, nothing is written, and `is_overtaken` says so.
POST = f"""
WITH room AS (
    SELECT id, active_leaf, coalesce(active_leaf > %(message)s, false) AS is_overtaken,
        %(waiting)s > 0 AND %(waiting)s <= (
            SELECT count(*) FROM (
                SELECT FROM messaging_message
                WHERE user_id = %(user)s AND status IN ('queued', 'generating')
                LIMIT %(waiting)s
            ) AS waiting
        ) AS is_full
    FROM chatrooms_chatroom WHERE id = %(chatroom)s AND user_id = %(user)s AND deleted_at IS NULL
    FOR NO KEY UPDATE
), open_room AS (
    SELECT * FROM room WHERE NOT is_overtaken AND NOT is_full
), place AS (
    {RESERVE.format(source="open_room")}
), exchange AS (
    INSERT INTO messaging_message
        (id, chatroom_id, user_id, parent_id, sender, status, content, created_at,
         model, resend_at, quota_day)
    SELECT row.id, %(chatroom)s, %(user)s, coalesce(row.parent_id, open_room.active_leaf),
        row.sender, row.status, row.content, %(now)s, row.model, row.resend_at, row.quota_day
    FROM place, open_room, (VALUES
        (%(message)s, NULL, 'user', 'complete', %(prompt)s, '', NULL, NULL),
        (%(reply)s, %(message)s, 'gemini', 'queued', '', %(model)s, %(resend_at)s, %(day)s)
    ) AS row (id, parent_id, sender, status, content, model, resend_at, quota_day)
), shown AS (
    UPDATE chatrooms_chatroom SET active_leaf = %(reply)s, message_count = message_count + 2,
        last_message_at = %(now)s, updated_at = %(now)s
    FROM place WHERE chatrooms_chatroom.id = %(chatroom)s
)
SELECT active_leaf, is_overtaken, is_full, (SELECT used FROM place) FROM room
"""  # noqa: S608 the values are parameters


def post_message(*, user: User, chatroom_id: uuid.UUID, prompt: str, model: str = "") -> Accepted:
    """Store a prompt at the end of the active branch, and its reply as `queued`.

    Raises Chatroom.DoesNotExist for a room that is not the user's, TooManyWaiting, and the error
    of a limit of the plan that is reached.
    """
    room = Chatroom(id=chatroom_id, user=user)
    try:
        return post(room=room, prompt=prompt, model=model)
    except Overtaken:
        with transaction.atomic():
            # Nothing comes in between any more.
            Chatroom.objects.locked(user=user, chatroom_id=chatroom_id)
            return post(room=room, prompt=prompt, model=model)


def post(*, room: Chatroom, prompt: str, model: str) -> Accepted:
    """One try at it; raises Overtaken too."""
    plan, now = plan_for(room.user), timezone.now()
    today = now.date()
    message = new_prompt(room=room, parent_id=None, content=prompt)
    reply = new_reply(message=message, model=model, day=today)
    values: dict[str, Any] = {
        **reserve_values(user=room.user, now=now, text_bytes=text_bytes(prompt)),
        "waiting": plan.waiting_replies,
        "chatroom": room.pk,
        "message": message.pk,
        "reply": reply.pk,
        "prompt": prompt,
        "model": reply.model,
        "resend_at": reply.resend_at,
    }
    found = fetch(POST, values)
    if not found:
        raise Chatroom.DoesNotExist
    [(message.parent_id, is_overtaken, is_full, used)] = found
    if is_overtaken:
        raise Overtaken
    if is_full:
        raise TooManyWaiting(DailyQuota.objects.usage(user=room.user))
    if used is None:
        raise DailyQuota.objects.refusal(user=room.user)
    transaction.on_commit(partial(send_to_queue, reply.pk))
    message._state.adding = reply._state.adding = False
    # At the end of a branch neither has variants yet.
    message.sibling_ids, reply.sibling_ids = [message.pk], [reply.pk]
    return Accepted(message, reply, Quota(limit=plan.daily_limit, used=used, day=today))


def text_bytes(prompt: str) -> int:
    """What a send adds to the day's text: the prompt, and about what its two rows take besides."""
    return len(prompt.encode()) + ROWS_BYTES


def reserve(*, user: User, prompt: str = "") -> Quota:
    """Take a slot of the quota for a variant, in the caller's transaction.

    Raises TooManyWaiting, and what DailyQuota's `reserve` raises.
    """
    most = plan_for(user).waiting_replies
    if most and Message.objects.filter(user=user).under_way()[:most].count() >= most:
        raise TooManyWaiting(DailyQuota.objects.usage(user=user))
    return DailyQuota.objects.reserve(user=user, text_bytes=text_bytes(prompt))


def new_prompt(*, room: Chatroom, parent_id: uuid.UUID | None, content: str) -> Message:
    return Message(
        chatroom_id=room.pk,
        user_id=room.user_id,
        parent_id=parent_id,
        sender=Message.Sender.USER,
        status=Message.Status.COMPLETE,
        content=content,
        created_at=timezone.now(),
    )


def new_reply(*, message: Message, model: str, day: date) -> Message:
    """The reply to come, which takes a place of that day's quota."""
    now = timezone.now()
    return Message(
        chatroom_id=message.chatroom_id,
        user_id=message.user_id,
        parent_id=message.pk,
        sender=Message.Sender.GEMINI,
        status=Message.Status.QUEUED,
        model=model or settings.GEMINI_MODEL,
        created_at=now,
        resend_at=now + resend_after(),
        quota_day=day,
    )


def regenerate(*, user: User, reply: Message) -> Accepted:
    """Another reply to the same prompt, by the same model, beside the one given, and show it.

    Raises NotAReply for a prompt, and what `reserve` raises.
    """
    if not reply.is_reply:
        raise NotAReply
    with transaction.atomic():
        room = Chatroom.objects.locked(user=user, chatroom_id=reply.chatroom_id)
        quota = reserve(user=user)
        message = Message.objects.get(children=reply)
        variant = new_reply(message=message, model=model_again(user, reply.model), day=quota.day)
        Message.objects.bulk_create([variant])
        show(room=room, variant=variant, leaf=variant, added=1)
        transaction.on_commit(partial(send_to_queue, variant.pk))
    branch.with_siblings([message, variant])
    return Accepted(message, variant, quota)


def edit(*, user: User, message: Message, prompt: str) -> Accepted:
    """Another wording of a prompt, beside the one given, with a reply of its own, and show it.

    The old branch stays. Raises NotAPrompt for a reply, and what `reserve` raises.
    """
    if message.is_reply:
        raise NotAPrompt
    with transaction.atomic():
        room = Chatroom.objects.locked(user=user, chatroom_id=message.chatroom_id)
        quota = reserve(user=user, prompt=prompt)
        wording = new_prompt(room=room, parent_id=message.parent_id, content=prompt)
        first = message.children.order_by("id").first()
        model = model_again(user, first.model if first else "")
        reply = new_reply(message=wording, model=model, day=quota.day)
        Message.objects.bulk_create([wording, reply])
        show(room=room, variant=wording, leaf=reply, added=2)
        transaction.on_commit(partial(send_to_queue, reply.pk))
    branch.with_siblings([wording, reply])
    return Accepted(wording, reply, quota)


def model_again(user: User, name: str) -> str:
    """The model that was asked for before, as long as the user's plan still has it."""
    try:
        return GeminiModel.objects.chosen_by(user, name).name
    except (UnknownModel, ModelNotInPlan):
        return ""


def select(*, user: User, message: Message) -> Message:
    """Show the branch that holds a message: down to it, and below it as it was last shown."""
    with transaction.atomic():
        room = Chatroom.objects.locked(user=user, chatroom_id=message.chatroom_id)
        leaf = Message.objects.get(pk=branch.leaf_below(message.pk))
        branch.show(message, room=room)
        Chatroom.objects.filter(pk=room.pk).update(active_leaf=leaf.pk)
    return message


def stop(*, reply: Message) -> Message:
    """End a reply that is under way; one that has ended stays as it is.

    A queued one ends here. One that is being generated is ended by its worker, which looks for
    the mark four times a second, and for the row's flag should Redis lose the mark.
    """
    if not reply.is_reply:
        raise NotAReply
    if Message.objects.stop_queued(reply=reply):
        publish_end(reply.pk, Position(reply.attempt + 1, 0))
        send_next(reply.user_id)
    elif Message.objects.ask_to_stop(reply=reply):
        publish_stop(reply.pk)
    reply.refresh_from_db()
    return reply


def rate(*, reply: Message, rating: int, comment: str = "") -> None:
    """Keep what a person thinks of a reply: 1, -1, or 0 to take it back."""
    if not reply.is_reply:
        raise NotAReply
    reply.rating = rating
    reply.feedback_comment = comment
    reply.save(update_fields=["rating", "feedback_comment"])


def show(*, room: Chatroom, variant: Message, leaf: Message, added: int) -> None:
    """Show the branch of a new variant of a turn, which ends in `leaf`."""
    branch.show(variant, room=room)
    Chatroom.objects.record_exchange(
        chatroom_id=room.pk, active_leaf=leaf.pk, added=added, at=leaf.created_at
    )


def delete(*, room: Chatroom) -> None:
    """Take a room away from its user at once; what was said in it is erased in the background.

    Raises Chatroom.DoesNotExist if that has been done already.
    """
    with transaction.atomic():
        if not Chatroom.objects.filter(pk=room.pk).mark_deleted(now=timezone.now()):
            raise Chatroom.DoesNotExist
        transaction.on_commit(partial(send_to_eraser, room.pk))
