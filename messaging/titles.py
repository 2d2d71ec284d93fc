"""Names a room after its first exchange, unless a person has."""

import logging
import re
import unicodedata
import uuid

from chatrooms.models import DEFAULT_TITLE, Chatroom
from gemchat.text import UNFIT
from messaging import branch
from messaging.backends import (
    Cancellation,
    GeminiError,
    Request,
    Turn,
    stream_reply,
)
from messaging.backends.offline import MODEL_VERSION as OFFLINE
from messaging.models import Message

logger = logging.getLogger(__name__)

INSTRUCTION = (
    "Write a title of at most six words for the conversation, in its language. "
    "Answer with the title alone."
)
READ_CHARACTERS = 2_000
# What a title of a person's may not have either.
INVISIBLE = re.compile(f"[{UNFIT}]")
TITLE_CHARACTERS = 60
TITLE_TOKENS = 64


def title_room(*, chatroom_id: uuid.UUID) -> None:
    """Give the room a title; one that has come in the meantime stays.

    Where Gemini gives none, the beginning of the first prompt serves.
    """
    room = Chatroom.objects.untitled().filter(pk=chatroom_id).first()
    if room is None:
        return
    prompt, reply = branch.upwards(room.active_leaf, limit=2)
    if reply.status == Message.Status.COMPLETE:
        title = cleaned(asked_of_gemini(prompt, reply)) or cleaned(prompt.content)
        Chatroom.objects.untitled().filter(pk=chatroom_id).update(title=title or DEFAULT_TITLE)


def asked_of_gemini(prompt: Message, reply: Message) -> str:
    if reply.model_version == OFFLINE:
        return ""
    said = f"{prompt.content[:READ_CHARACTERS]}\n\n{reply.content[:READ_CHARACTERS]}"
    request = Request(reply.model, INSTRUCTION, (Turn("user", said),), TITLE_TOKENS)
    pieces: list[str] = []
    try:
        stream_reply(request, cancelled=Cancellation(), take=pieces.append)
    except GeminiError as error:
        logger.info("No title from Gemini: %s", error)
        return ""
    return "".join(pieces)


def cleaned(text: str) -> str:
    """One line without markup, control characters and quotation marks, at most 60 characters."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    visible = "".join(" " if unicodedata.category(c) == "Cc" else c for c in line)
    visible = INVISIBLE.sub("", visible)
    plain = re.sub(r"\s+", " ", visible).strip(" \"'“”„*#`.")
    if len(plain) <= TITLE_CHARACTERS:
        return plain
    return plain[: TITLE_CHARACTERS - 1].rsplit(" ", 1)[0].rstrip() + "…"
