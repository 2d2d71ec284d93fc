"""Build the request of a reply: a context within the limits of the model."""

from collections.abc import Callable
from typing import TypeVar

from django.conf import settings

from files.models import File
from messaging.gemini import Cancellation, Content, GeminiError, Request, TextPart
from messaging.gemini.files_api import GONE
from messaging.models import GeminiCopy, GeminiModel, Message
from messaging.replies.request.context import Context, ContextMessage
from messaging.replies.request.file_parts import FileParts, file_tokens, make_file_parts

Answer = TypeVar("Answer")
NO_FILES = FileParts({}, [])


def make_request(
    context: Context, reply: Message, model: GeminiModel | None, made: FileParts = NO_FILES
) -> Request:
    """Make the request within the limits of the model.

    A level that the model lacks is left out. The send's model may have retired, and the model is
    then another.
    """
    most = settings.GEMINI_MAX_OUTPUT_TOKENS
    has_level = model is not None and reply.thinking in model.thinking_levels
    return Request(
        model=reply.model,
        system=context.system,
        contents=tuple(as_content(message, made) for message in context.messages),
        max_output_tokens=min(most, model.output_limit) if model else most,
        thinking=reply.thinking if has_level else "",
        # The content of a text is in the parts.
        file_tokens=sum(
            file_tokens(file, model) for file in context.files if file.kind != File.Kind.TEXT
        ),
    )


def as_content(message: ContextMessage, made: FileParts) -> Content:
    """Convert a message for Gemini: the files come before the text, as Google advises."""
    parts = [made.parts[file.pk] for file in message.files]
    if message.text or not parts:
        parts.append(TextPart(message.text))
    return Content(message.role, tuple(parts))


def is_gone(error: GeminiError) -> bool:
    """Whether Google may lack a copy; only before the first text."""
    status = error.provider_code[:3]
    return error.code == "misconfigured" and status.isdigit() and int(status) in GONE


def with_files(
    context: Context,
    reply: Message,
    model: GeminiModel | None,
    cancelled: Cancellation,
    ask: Callable[[Request], Answer],
) -> Answer:
    """Ask with the files of the context.

    Copies that Google has lost are made again, once. Raises GeminiError and Cancelled.
    """
    if not context.files:
        return ask(make_request(context, reply, model))
    made = make_file_parts(context.files, model=model, cancelled=cancelled)
    try:
        return ask(make_request(context, reply, model, made))
    except GeminiError as error:
        if not (made.copied and is_gone(error)):
            raise
    GeminiCopy.objects.discard(made.copied)
    made = make_file_parts(context.files, model=model, cancelled=cancelled)
    return ask(make_request(context, reply, model, made))
