"""Gemini through google-genai, Google's current SDK: the default backend with a key.

The SDK is imported at the first use. The import costs 0.4 s and 50 MB, and web processes and
management commands do not need the SDK.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.conf import settings

from messaging.gemini.answer import Chunk, StreamAccumulator
from messaging.gemini.base import (
    FILE_KINDS,
    Cancellation,
    Cancelled,
    Completion,
    GeminiError,
    OnDelta,
    Request,
)
from messaging.gemini.base import Backend as BaseBackend
from messaging.gemini.deadlines import CONNECT_SECONDS
from messaging.gemini.failures import failure_for
from messaging.gemini.process import PerProcess, run_in_loop
from messaging.gemini.responses.messages import UNREADABLE, ForeignAnswer, Refusal

if TYPE_CHECKING:
    from google import genai
    from google.genai import types

_clients: PerProcess[genai.Client] = PerProcess()
# Closes the responses of the current answer: an abandoned generator of the SDK holds the connection
# until garbage collection.
_opened: ContextVar[AsyncExitStack] = ContextVar("opened")


# The models that continue an answer beyond the tokens of one request.
CONTINUABLE_MODELS = frozenset({"gemini-4-argon", "gemini-4-hydrogen"})


class Backend(BaseBackend):
    """A single try by `aio.models.generate_content_stream`; the SDK's retries are off."""

    capabilities = frozenset({"models", "thinking", *FILE_KINDS})
    reads_files = True

    def stream(self, request: Request, *, cancelled: Cancellation, on_delta: OnDelta) -> Completion:
        answer = StreamAccumulator(request, on_delta)
        failed = run_in_loop(_read(_chunks(_client(), request), answer), cancelled=cancelled)
        completion = answer.end(failed, cancelled)
        can_continue = settings.GEMINI_CONTINUE and request.model in CONTINUABLE_MODELS
        if not (can_continue and answer.continuation_token) or cancelled.is_set:
            return completion
        return _continue(request, answer, completion, cancelled=cancelled, on_delta=on_delta)


def _continue(
    request: Request,
    first: StreamAccumulator,
    completion: Completion,
    *,
    cancelled: Cancellation,
    on_delta: OnDelta,
) -> Completion:
    """Continue an answer once; the first part stands if the second part has no text.

    Gemini bills the input again, and the first part as input too.
    """
    second = StreamAccumulator(request, on_delta, bytes_before=first.text_bytes)
    chunks = _chunks(_client(), request, continuation_token=first.continuation_token)
    failed = run_in_loop(_read(chunks, second), cancelled=cancelled)
    try:
        continued = second.end(failed, cancelled)
    except (GeminiError, Cancelled) as ended:
        usage = completion.usage.plus(ended.usage)
        is_blocked = isinstance(ended, GeminiError) and ended.code == "blocked"
        if not (second.text_bytes or is_blocked):
            return replace(completion, usage=usage, requests=2)
        ended.usage = usage
        raise
    return replace(continued, usage=completion.usage.plus(continued.usage), requests=2)


async def _read(chunks: AsyncGenerator[Chunk], answer: StreamAccumulator) -> GeminiError | None:
    """Read a whole answer; returns the failure of an incomplete answer."""
    import httpx2

    async with AsyncExitStack() as opened, aclosing(chunks):
        _opened.set(opened)
        while not answer.is_full:
            try:
                chunk = await anext(chunks, None)
            except (Refusal, ForeignAnswer, httpx2.HTTPError, *UNREADABLE) as error:
                # Returned, not raised: the exception holds bodies and headers, and would be the
                # context of a raised error.
                return failure_for(error)
            if chunk is None:
                break
            answer.add(chunk)
    return None


async def _chunks(
    client: genai.Client, request: Request, *, continuation_token: bytes | None = None
) -> AsyncGenerator[Chunk]:
    contents: list[Any] = [content.as_dict() for content in request.contents]
    async for response in await client.aio.models.generate_content_stream(
        model=request.model,
        contents=contents,
        config={
            "system_instruction": request.system or None,
            "max_output_tokens": request.max_output_tokens,
            # A level alone: with a budget beside the level, Gemini refuses the request.
            "thinking_config": _thinking(request),
            "automatic_function_calling": {"disable": True},
            # Off: the SDK continues without a bound, and sends a broken stream again.
            "automatic_continuation": False,
            "continuation_token": continuation_token,
        },
    ):
        yield _chunk(response)


def _thinking(request: Request) -> Any:
    return {"thinking_level": request.thinking.upper()} if request.thinking else None


def _chunk(response: types.GenerateContentResponse) -> Chunk:
    feedback = response.prompt_feedback
    candidate = response.candidates[0] if response.candidates else None
    parts = (candidate.content and candidate.content.parts or []) if candidate else []
    grounding = candidate and candidate.grounding_metadata
    return Chunk(
        text="".join(part.text for part in parts if part.text),
        finish_reason=_name(candidate and candidate.finish_reason, "FINISH_REASON_UNSPECIFIED"),
        block_reason=_name(feedback and feedback.block_reason, "BLOCKED_REASON_UNSPECIFIED"),
        usage=_usage(response.usage_metadata),
        search_queries=tuple(grounding and grounding.web_search_queries or ()),
        model_version=response.model_version or "",
        continuation_token=(candidate and candidate.continuation_token) or b"",
    )


def _name(reason: Any, unspecified: str) -> str:
    """Return the name of an enum; a name unknown to the SDK stays unchanged."""
    name = str(getattr(reason, "value", reason) or "")
    return "" if name == unspecified else name


def _usage(
    reported: types.GenerateContentResponseUsageMetadata | None,
) -> dict[str, int | None] | None:
    if reported is None:
        return None
    details = reported.prompt_tokens_details
    return {
        "prompt_tokens": reported.prompt_token_count,
        "output_tokens": reported.candidates_token_count,
        "cached_tokens": reported.cached_content_token_count,
        "thinking_tokens": reported.thoughts_token_count,
        "tool_prompt_tokens": reported.tool_use_prompt_token_count,
        # Of audio alone, as MessageReader leaves the details.
        "audio_tokens": details[0].token_count if details else None,
    }


def _client() -> genai.Client:
    key, base = settings.GOOGLE_API_KEY, settings.GEMINI_API_BASE
    if not key:
        raise GeminiError("misconfigured", "GOOGLE_API_KEY is not set. The operator must set it.")
    return _clients.get((key, base), lambda: _make_client(key, base))


def _make_client(key: str, base: str) -> genai.Client:
    import httpx2
    from google import genai
    from google.genai import types

    from messaging.gemini.responses.event_stream import patch_response

    tls = httpx2.create_ssl_context()  # made once: each context costs 40 ms
    timeout = httpx2.Timeout(None, connect=CONNECT_SECONDS).as_dict()

    async def limit_connect(request: httpx2.Request) -> None:
        # The SDK sets no timeout. The deadlines end a silent read.
        request.extensions["timeout"] = timeout

    async def close_with_answer(response: httpx2.Response) -> None:
        _opened.get().push_async_callback(response.aclose)

    http_client = httpx2.AsyncClient(
        verify=tls,
        # Without limits: the worker's concurrency bounds the streams. The pool's default of 100
        # would block the 101st stream.
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
        event_hooks={"request": [limit_connect], "response": [close_with_answer, patch_response]},
    )
    return genai.Client(
        vertexai=False,
        api_key=key,
        http_options=types.HttpOptions(
            base_url=base or None,
            api_version="v1beta",  # v1 lacks the `-latest` aliases
            httpx_async_client=http_client,
            client_args={"verify": tls},
        ),
    )
