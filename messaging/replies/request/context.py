"""The context of a prompt for Gemini: the newest whole turns within a budget.

Gemini charges a tenth for input that begins as an earlier request did. So the context starts at the
same message for many requests. A cut leaves space for turns to come. The first message after the
cut is stored in `Chatroom.context_from`.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from chatrooms.models import Chatroom
from files.models import File
from messaging.history import branch
from messaging.history.branch import ContextRow
from messaging.models import GeminiModel, Message
from messaging.replies.request.file_parts import file_tokens

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
class ContextMessage:
    """A message of the context, with the files of a prompt."""

    role: Literal["user", "model"]
    text: str
    files: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """The messages within the budget, and figures for the reply. Tokens are estimates.

    `start` is the id of the first message, or None where the branch is sent from the root.
    `prompt_file_tokens` are those of the newest prompt's files: the budget does not count them.
    """

    system: str
    messages: tuple[ContextMessage, ...]
    tokens: int
    prompt_file_tokens: int
    start: uuid.UUID | None

    @property
    def truncated(self) -> bool:
        return self.start is not None

    @property
    def characters(self) -> int:
        return len(self.system) + sum(len(message.text) for message in self.messages)

    @property
    def files(self) -> list[File]:
        return [file for message in self.messages for file in message.files]


def build_context(
    reply: Message,
    newest: Sequence[ContextRow],
    *,
    budget_tokens: int,
    model: GeminiModel | None,
) -> Context:
    """Build the context of a reply. `newest` holds the rows of CONTEXT_SQL.

    The context always has the room's system prompt and the newest prompt with the files. The turns
    before the newest prompt start at `context_from` of the room, or at the root if `context_from`
    is not on the branch. Turns over the budget cut the context to CUT_SHARE of the budget. A turn
    without reply text (failed, or stopped at once) is left out: two prompts would follow each
    other.
    """
    room = reply.chatroom
    *page, start = newest
    files = FilesOfRows(model)
    messages = [as_message("user", start, files)]  # newest first
    tokens = estimate_tokens(room.system_prompt, room) + estimate_tokens(start.content, room)
    cut = start, len(messages), tokens
    for asked, answered in turns_before(start, page, first=room.context_from):
        if answered.content:
            tokens += estimate_tokens(asked.content, room) + estimate_tokens(answered.content, room)
            tokens += files.tokens(asked)
            if tokens > budget_tokens:
                start, count, tokens = cut
                del messages[count:]
                break
            messages += [as_message("model", answered, files), as_message("user", asked, files)]
            if tokens <= CUT_SHARE * budget_tokens:
                cut = asked, len(messages), tokens
        start = asked
    prompt_file_tokens = files.tokens(newest[-1])
    return Context(
        room.system_prompt,
        tuple(reversed(messages)),
        tokens + prompt_file_tokens,
        prompt_file_tokens,
        start=start.id if start.parent_id else None,
    )


class FilesOfRows:
    """The files of context rows, read for the rows with files alone."""

    def __init__(self, model: GeminiModel | None) -> None:
        self._model = model
        self._found: dict[uuid.UUID, File] = {}

    def of(self, row: ContextRow) -> tuple[File, ...]:
        """Return the files of a row, in order."""
        if not row.file_ids:
            return ()
        if not self._found.keys() >= set(row.file_ids):
            self._found |= File.objects.in_bulk(row.file_ids)
        # A file erased meanwhile is in no table any more.
        return tuple(self._found[pk] for pk in row.file_ids if pk in self._found)

    def tokens(self, row: ContextRow) -> int:
        return sum(file_tokens(file, self._model) for file in self.of(row))


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


def as_message(
    role: Literal["user", "model"], row: ContextRow, files: FilesOfRows
) -> ContextMessage:
    return ContextMessage(role, row.content, files.of(row))


def estimate_tokens(text: str, room: Chatroom) -> int:
    return round(len(text) / room.characters_per_token) + TOKENS_PER_MESSAGE if text else 0


def calibrated(room: Chatroom, context: Context, *, prompt_tokens: int) -> float:
    """Compute the room's characters per token from Gemini's count of a context."""
    counted = prompt_tokens - TOKENS_PER_MESSAGE * (len(context.messages) + bool(context.system))
    seen = context.characters / max(counted, 1)
    seen = min(max(seen, SMALLEST_CHARACTERS_PER_TOKEN), LARGEST_CHARACTERS_PER_TOKEN)
    return room.characters_per_token + CALIBRATION_WEIGHT * (seen - room.characters_per_token)
