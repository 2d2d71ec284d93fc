"""Name a room after the first exchange, unless a person has named the room."""

import logging
import re
import unicodedata
import uuid

from django.utils import timezone

from billing.models import UsageRecord
from chatrooms.models import DEFAULT_TITLE, Chatroom
from gemchat.api.text import UNFIT
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
from messaging.models import Message
from messaging.models.gemini_models import model_in_service, priced_models
from messaging.replies.ledger import record

logger = logging.getLogger(__name__)

INSTRUCTION = (
    "Write a title of at most six words for the conversation, in its language. "
    "Answer with the title alone."
)
READ_CHARACTERS = 2_000
# Characters refused in a person's title too.
INVISIBLE = re.compile(f"[{UNFIT}]")
TITLE_CHARACTERS = 60
TITLE_TOKENS = 64


def title_room(*, chatroom_id: uuid.UUID) -> None:
    """Give the room a title; a title set in the meantime stays.

    Without a title from Gemini, the beginning of the first prompt serves.
    """
    room = Chatroom.objects.untitled().filter(pk=chatroom_id).first()
    if room is None:
        return
    prompt, reply = branch.ancestors(room.active_leaf, limit=2)
    if reply.status == Message.Status.COMPLETE:
        title = normalise_title(suggest_title(prompt, reply)) or normalise_title(prompt.content)
        Chatroom.objects.untitled().filter(pk=chatroom_id).update(title=title or DEFAULT_TITLE)


def suggest_title(prompt: Message, reply: Message) -> str:
    """Ask Gemini for a title once for each reply; the ledger has the cost."""
    if reply.model_version == OFFLINE or has_title_record(reply):
        return ""
    today = timezone.now().date()
    priced = model_in_service(priced_models(on=today), reply.model, on=today)
    model = priced.name if priced else reply.model
    said = f"{prompt.content[:READ_CHARACTERS]}\n\n{reply.content[:READ_CHARACTERS]}"
    request = Request(model, INSTRUCTION, (Content("user", (TextPart(said),)),), TITLE_TOKENS)
    deltas: list[Delta] = []
    outcome, usage, version = UsageRecord.Outcome.COMPLETE, None, ""
    try:
        completion = stream_reply(request, cancelled=Cancellation(), on_delta=deltas.append)
        usage, version = completion.usage, completion.model_version
    except GeminiError as error:
        logger.info("No title from Gemini: %s", error)
        outcome, usage, version = UsageRecord.Outcome.FAILED, error.usage, error.model_version
        deltas.clear()
    if usage is not None:
        record(
            reply,
            purpose=UsageRecord.Purpose.TITLE,
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


def normalise_title(text: str) -> str:
    """Reduce a text to a line of at most 60 characters.

    Markup, control characters and quotation marks are removed.
    """
    line = next((line for line in text.splitlines() if line.strip()), "")
    visible = "".join(" " if unicodedata.category(c) == "Cc" else c for c in line)
    visible = INVISIBLE.sub("", visible)
    plain = re.sub(r"\s+", " ", visible).strip(" \"'“”„*#`.")
    if len(plain) <= TITLE_CHARACTERS:
        return plain
    return plain[: TITLE_CHARACTERS - 1].rsplit(" ", 1)[0].rstrip() + "…"
