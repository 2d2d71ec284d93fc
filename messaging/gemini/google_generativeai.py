"""Gemini through google-generativeai, Google's former SDK, over REST.

The support ended on 2025-11-30; google_genai is the better choice. Limits of the backend:

- no count of thinking tokens, of tool-use tokens and of audio tokens: the SDK's messages lack the
  fields, and the figures are 0;
- no option from Google after 2024, and no continuation of an answer;
- no gRPC: the SDK allows gRPC over TLS only, so not to a fake or a gateway on loopback.

messaging.gemini.legacy.network corrects faults of the SDK: errors inside an array, errors in
mid-stream, thoughts joined to the answer, names of reasons newer than the SDK. The SDK is imported
at the first use. The import costs 0.5 s and 78 MB.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from django.conf import settings

from messaging.gemini.answer import Chunk, StreamAccumulator
from messaging.gemini.base import (
    FILE_KINDS,
    Cancellation,
    Completion,
    GeminiError,
    OnDelta,
    Request,
)
from messaging.gemini.base import Backend as BaseBackend
from messaging.gemini.failures import failure_for
from messaging.gemini.legacy.cancellation import BACKSTOP_SECONDS, cancellable
from messaging.gemini.process import PerProcess
from messaging.gemini.responses.messages import UNREADABLE, ForeignAnswer, Refusal

if TYPE_CHECKING:
    from google.ai.generativelanguage import GenerativeServiceClient
    from google.generativeai.protos import GenerateContentResponse

_clients: PerProcess[GenerativeServiceClient] = PerProcess()


class Backend(BaseBackend):
    """A try by `GenerativeModel.generate_content(stream=True)`, without the SDK's retries."""

    # The SDK knows no levels of thinking.
    capabilities = frozenset({"models", *FILE_KINDS})
    reads_files = True

    def stream(self, request: Request, *, cancelled: Cancellation, on_delta: OnDelta) -> Completion:
        client = _client()

        import requests
        from google.api_core.exceptions import GoogleAPIError

        failures = (GoogleAPIError, requests.RequestException, Refusal, ForeignAnswer, *UNREADABLE)
        answer = StreamAccumulator(request, on_delta)
        failed = None
        with cancellable(cancelled), closing(_chunks(client, request)) as chunks:
            while not (cancelled.is_set or answer.is_full):
                try:
                    chunk = next(chunks, None)
                except failures as error:
                    failed = failure_for(error)
                    break
                if chunk is None:
                    break
                answer.add(chunk)
        # Outside the except block: the exception holds bodies and headers, and must not be
        # the context of the raised error.
        return answer.end(failed, cancelled)


def _chunks(client: GenerativeServiceClient, request: Request) -> Generator[Chunk]:
    from google import generativeai

    # Any: the SDK's annotations do not match the attributes at run time.
    model: Any = generativeai.GenerativeModel(
        request.model, system_instruction=request.system or None
    )
    # `configure` is global and lazy: requests of all keys would go out with the last key.
    model._client = client
    response = model.generate_content(
        [content.as_dict() for content in request.contents],
        generation_config={"max_output_tokens": request.max_output_tokens},
        stream=True,
        request_options={"retry": None, "timeout": BACKSTOP_SECONDS},
    )
    # Iterating the response gives each chunk only when the next chunk has come. The two attributes
    # are the first chunk and the rest; the SDK gets no more releases.
    try:
        yield _chunk(response._result)
        for message in response._iterator:
            yield _chunk(message)
    finally:
        response._iterator.cancel()


def _chunk(message: GenerateContentResponse) -> Chunk:
    # The protobuf below the SDK's wrapper: the wrapper costs four times as much to read.
    bare = type(message).pb(message)
    candidate = bare.candidates[0] if bare.candidates else None
    return Chunk(
        text="".join(part.text for part in candidate.content.parts) if candidate else "",
        finish_reason=_name(candidate, "finish_reason") if candidate else "",
        block_reason=_name(bare.prompt_feedback, "block_reason"),
        usage=_usage(bare.usage_metadata) if bare.HasField("usage_metadata") else None,
        search_queries=tuple(candidate.grounding_metadata.web_search_queries) if candidate else (),
        model_version=bare.model_version,
    )


def _name(message: Any, field: str) -> str:
    """Return the name of an enum's value; empty for the value 0."""
    from messaging.gemini.legacy.network import newer_name

    number = getattr(message, field)
    known = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number.get(number)
    return (known.name if known else newer_name(number)) if number else ""


def _usage(reported: Any) -> dict[str, int]:
    return {
        "prompt_tokens": reported.prompt_token_count,
        "output_tokens": reported.candidates_token_count,
        "cached_tokens": reported.cached_content_token_count,
    }


def _client() -> GenerativeServiceClient:
    key, base = settings.GOOGLE_API_KEY, settings.GEMINI_API_BASE
    if not key:
        raise GeminiError("misconfigured", "GOOGLE_API_KEY is not set. The operator must set it.")
    return _clients.get((key, base), lambda: _make_client(key, base))


def _make_client(key: str, base: str) -> GenerativeServiceClient:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the end of the SDK's support
        import google.generativeai  # noqa: F401
    from google.ai.generativelanguage import GenerativeServiceClient

    from messaging.gemini.legacy.network import patch_session

    client: Any = GenerativeServiceClient(
        transport="rest",
        client_options={"api_key": key, **({"api_endpoint": base} if base else {})},
    )
    patch_session(client.transport._session)
    return client
