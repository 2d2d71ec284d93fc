"""Name a room after the first exchange, unless a person has named the room."""

import logging
import uuid

from django.utils import timezone

from billing.models import UsageRecord
from chatrooms.models import Chatroom
from messaging.conversation.title_text import READ_CHARACTERS, title_of_answer, title_of_prompt
from messaging.gemini import (
    Cancellation,
    Content,
    Delta,
    GeminiError,
    Request,
    TextPart,
    stream_reply,
)
from messaging.gemini.offline import MODEL_VERSION as OFFLINE
from messaging.history import branch
from messaging.models import Message, MessageFile
from messaging.models.gemini_models import model_in_service, priced_models
from messaging.replies.ledger import record

logger = logging.getLogger(__name__)

INSTRUCTION = (
    "Write a title of at most six words for the conversation, in its language. "
    "Answer with the title alone."
)
TITLE_TOKENS = 64
# Ends of a reply without a whole answer.
UNANSWERED = (Message.Status.FAILED, Message.Status.STOPPED)


def title_room(*, chatroom_id: uuid.UUID) -> None:
    """Give the room a title; a title set in the meantime stays.

    Without a title from Gemini, the beginning of the first prompt serves.
    """
    room = Chatroom.objects.untitled().filter(pk=chatroom_id).first()
    if room is None:
        return
    prompt, reply = branch.ancestors(room.active_leaf, limit=2)
    if reply.status == Message.Status.COMPLETE:
        suggested = title_of_answer(suggest_title(prompt, reply))
        set_title(chatroom_id, suggested or title_of_prompt(prompt_text(prompt)))


def title_unanswered_room(*, reply_id: uuid.UUID) -> None:
    """Name a room after the prompt, if the reply has ended without a whole answer."""
    ended = Message.objects.filter(pk=reply_id, status__in=UNANSWERED)
    reply = ended.select_related("parent").first()
    if reply and reply.parent:
        set_title(reply.chatroom_id, title_of_prompt(prompt_text(reply.parent)))


def prompt_text(prompt: Message) -> str:
    """Return the text of a prompt, or the names of the files."""
    return prompt.content or ", ".join(MessageFile.objects.names([prompt])[prompt.pk])


def set_title(chatroom_id: uuid.UUID, title: str) -> None:
    """Set the title of a room without a title; an empty title changes nothing."""
    if title:
        Chatroom.objects.untitled().filter(pk=chatroom_id).update(title=title)


def suggest_title(prompt: Message, reply: Message) -> str:
    """Ask Gemini for a title once for each reply; the ledger has the cost.

    Returns an empty text without a whole answer.
    """
    if reply.model_version == OFFLINE or has_title_record(reply):
        return ""
    now = timezone.now()
    priced = model_in_service(priced_models(on=now.date()), reply.model, on=now.date())
    model = priced.name if priced else reply.model
    said = f"{prompt_text(prompt)[:READ_CHARACTERS]}\n\n{reply.content[:READ_CHARACTERS]}"
    request = Request(model, INSTRUCTION, (Content("user", (TextPart(said),)),), TITLE_TOKENS)
    deltas: list[Delta] = []
    outcome, usage, version = UsageRecord.Outcome.COMPLETE, None, ""
    try:
        completion = stream_reply(request, cancelled=Cancellation(), on_delta=deltas.append)
        usage, version = completion.usage, completion.model_version
        if completion.finish_reason != "stop":
            deltas.clear()  # a cut title
    except GeminiError as error:
        logger.info("No title from Gemini: %s", error)
        outcome, usage, version = UsageRecord.Outcome.FAILED, error.usage, error.model_version
        deltas.clear()
    if usage is not None:
        record(
            reply,
            purpose=UsageRecord.Purpose.TITLE,
            started_at=now,
            outcome=outcome,
            usage=usage,
            priced=priced,
            model_version=version,
        )
    return "".join(delta.text for delta in deltas)


def has_title_record(reply: Message) -> bool:
    """Whether Gemini was asked for a title of a reply; the task may run twice."""
    titles = UsageRecord.objects.filter(purpose=UsageRecord.Purpose.TITLE)
    return titles.filter(reply_id=reply.pk).exists()
