"""The context of a prompt for Gemini: the newest whole turns within a budget.

Gemini charges a tenth for input that begins as an earlier request did. So the context starts at the
same message for many requests. A cut leaves space for turns to come. The first message after the
cut is stored in `Chatroom.context_from`.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from django.conf import settings

from chatrooms.models import Chatroom
from messaging.gemini import Content, Request, TextPart
from messaging.history import branch
from messaging.history.branch import ContextRow
from messaging.models import GeminiModel, Message

PAGE = 64
# The prompt of `%(reply)s`, and a page of the messages before the prompt.
CONTEXT_SQL = branch.context_sql(limit=PAGE + 1)
# The part of the budget that a cut leaves. The rest is for turns to come, and for the drift of the
# estimates: the room's characters per token change with each answer.
CUT_SHARE = 0.6
# Tokens of the wire format for each message.
TOKENS_PER_MESSAGE = 4
SMALLEST_CHARACTERS_PER_TOKEN, LARGEST_CHARACTERS_PER_TOKEN = 0.5, 10.0
# The weight of an answer in the figure of a room.
CALIBRATION_WEIGHT = 0.3


@dataclass(frozen=True, slots=True)
class Context:
    """The contents within the budget, and figures for the reply. `tokens` is an estimate.

    `start` is the id of the first message, or None where the branch is sent from the root.
    """

    system: str
    contents: tuple[Content, ...]
    tokens: int
    start: uuid.UUID | None

    @property
    def truncated(self) -> bool:
        return self.start is not None

    @property
    def characters(self) -> int:
        return len(self.system) + sum(len(content.text) for content in self.contents)

    def request(self, reply: Message, model: GeminiModel | None) -> Request:
        """Make the request within the limits of the model.

        A level that the model lacks is left out. The send's model may have retired, and the model
        is then another.
        """
        most = settings.GEMINI_MAX_OUTPUT_TOKENS
        has_level = model is not None and reply.thinking in model.thinking_levels
        return Request(
            model=reply.model,
            system=self.system,
            contents=self.contents,
            max_output_tokens=min(most, model.output_limit) if model else most,
            thinking=reply.thinking if has_level else "",
        )


def build_context(reply: Message, newest: Sequence[ContextRow], *, budget_tokens: int) -> Context:
    """Build the context of a reply. `newest` holds the rows of CONTEXT_SQL.

    The context always has the room's system prompt and the newest prompt. The turns before the
    newest prompt start at `context_from` of the room, or at the root if `context_from` is not on
    the branch. Turns over the budget cut the context to CUT_SHARE of the budget. A turn without
    reply text (failed, or stopped at once) is left out: two prompts would follow each other.
    """
    room = reply.chatroom
    *page, start = newest
    contents = [as_content("user", start)]  # newest first
    tokens = estimate_tokens(room.system_prompt, room) + estimate_tokens(start.content, room)
    cut = start, len(contents), tokens
    for asked, answered in turns_before(start, page, first=room.context_from):
        if answered.content:
            tokens += estimate_tokens(asked.content, room) + estimate_tokens(answered.content, room)
            if tokens > budget_tokens:
                start, count, tokens = cut
                del contents[count:]
                break
            contents += [as_content("model", answered), as_content("user", asked)]
            if tokens <= CUT_SHARE * budget_tokens:
                cut = asked, len(contents), tokens
        start = asked
    return Context(
        room.system_prompt,
        tuple(reversed(contents)),
        tokens,
        start=start.id if start.parent_id else None,
    )


def turns_before(
    prompt: ContextRow, page: list[ContextRow], *, first: uuid.UUID | None
) -> Iterator[tuple[ContextRow, ContextRow]]:
    """Yield the turns before a prompt, newest first, back to `first` or the root.

    A page starts with a prompt and ends with a reply. `page` has the newest messages, and further
    pages are read only when the caller needs the turns.
    """
    start = prompt
    while start.id != first and start.parent_id:
        page = page or branch.context_rows(start.parent_id, limit=PAGE)
        if not page:
            return  # The room has been erased in the meantime.
        answered, start = page.pop(), page.pop()
        yield start, answered


def as_content(role: Literal["user", "model"], row: ContextRow) -> Content:
    """Convert a row for Gemini. Files will be further parts."""
    return Content(role, (TextPart(row.content),))


def estimate_tokens(text: str, room: Chatroom) -> int:
    return round(len(text) / room.characters_per_token) + TOKENS_PER_MESSAGE if text else 0


def calibrated(room: Chatroom, context: Context, *, prompt_tokens: int) -> float:
    """Compute the room's characters per token from Gemini's count of a context."""
    counted = prompt_tokens - TOKENS_PER_MESSAGE * (len(context.contents) + bool(context.system))
    seen = context.characters / max(counted, 1)
    seen = min(max(seen, SMALLEST_CHARACTERS_PER_TOKEN), LARGEST_CHARACTERS_PER_TOKEN)
    return room.characters_per_token + CALIBRATION_WEIGHT * (seen - room.characters_per_token)
