"""The context of a prompt for Gemini: the newest whole turns within a budget."""

from collections.abc import Sequence
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
# Tokens of the wire format for each message.
TOKENS_PER_MESSAGE = 4
SMALLEST_CHARACTERS_PER_TOKEN, LARGEST_CHARACTERS_PER_TOKEN = 0.5, 10.0
# The weight of an answer in the figure of a room.
CALIBRATION_WEIGHT = 0.3


@dataclass(frozen=True, slots=True)
class Context:
    """The contents within the budget, and figures for the reply. `tokens` is an estimate."""

    system: str
    contents: tuple[Content, ...]
    tokens: int
    truncated: bool

    @property
    def characters(self) -> int:
        return len(self.system) + sum(len(content.text) for content in self.contents)

    def request(self, reply: Message, model: GeminiModel | None) -> Request:
        """Make the request; the model's limits apply, and a level that it lacks is left out.

        The model may be another than the send's: the send's model may have retired.
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

    The context always has the room's system prompt and the newest prompt. As many whole turns as
    the budget holds come before the newest prompt. A turn without reply text (failed, or stopped at
    once) is left out: two prompts would follow each other.
    """
    room = reply.chatroom
    *page, prompt = newest
    contents = [as_content("user", prompt)]
    tokens = estimate_tokens(room.system_prompt, room) + estimate_tokens(prompt.content, room)
    while page:
        older = page[0].parent_id
        for asked, answered in reversed(whole_turns(page)):
            cost = estimate_tokens(asked.content, room) + estimate_tokens(answered.content, room)
            if tokens + cost > budget_tokens:
                return Context(room.system_prompt, tuple(contents), tokens, truncated=True)
            tokens += cost
            contents[:0] = [as_content("user", asked), as_content("model", answered)]
        page = branch.context_rows(older, limit=PAGE) if older else []
    return Context(room.system_prompt, tuple(contents), tokens, truncated=False)


def as_content(role: Literal["user", "model"], row: ContextRow) -> Content:
    """Convert a row for Gemini. Files will be further parts."""
    return Content(role, (TextPart(row.content),))


def whole_turns(page: list[ContextRow]) -> list[tuple[ContextRow, ContextRow]]:
    """List the whole turns of a page.

    The page starts with a prompt and ends with a reply.
    """
    return [
        (asked, answered)
        for asked, answered in zip(page[::2], page[1::2], strict=True)
        if answered.content
    ]


def estimate_tokens(text: str, room: Chatroom) -> int:
    return round(len(text) / room.characters_per_token) + TOKENS_PER_MESSAGE if text else 0


def calibrated(room: Chatroom, context: Context, *, prompt_tokens: int) -> float:
    """Compute the room's characters per token from Gemini's count of a context."""
    counted = prompt_tokens - TOKENS_PER_MESSAGE * (len(context.contents) + bool(context.system))
    seen = context.characters / max(counted, 1)
    seen = min(max(seen, SMALLEST_CHARACTERS_PER_TOKEN), LARGEST_CHARACTERS_PER_TOKEN)
    return room.characters_per_token + CALIBRATION_WEIGHT * (seen - room.characters_per_token)
