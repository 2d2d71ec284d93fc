"""Patches for the older SDK's HTTP session: cancellation, errors, thoughts and newer names.

The module is imported together with the SDK, at the first use.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from typing import Any

import requests
from google.ai.generativelanguage import Candidate, GenerateContentResponse
from google.auth.transport.requests import AuthorizedSession
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from messaging.gemini.deadlines import CONNECT_SECONDS
from messaging.gemini.legacy.cancellation import BACKSTOP_SECONDS, close_socket_on_cancel
from messaging.gemini.responses.finish_reasons import OUTCOMES
from messaging.gemini.responses.messages import (
    MOST_ERROR_BYTES,
    ForeignAnswer,
    MessageReader,
    Refusal,
    decoder,
    json_or_none,
)

# Idle connections in the pool; further streams open further connections.
_POOL_SIZE = 200
_BETWEEN_MESSAGES = "[], \r\n\t\ufeff"
MOST_MESSAGE_CHARACTERS = 16_777_216
# The SDK's enums lack the newer names. The names go through protobuf as numbers from here on.
_FIRST_NEWER_NUMBER = 1_000
_NEWER_NAMES = ["UNKNOWN", *OUTCOMES, "JAILBREAK"]
_FINISH_REASONS = Candidate.FinishReason.__members__
_BLOCK_REASONS = GenerateContentResponse.PromptFeedback.BlockReason.__members__
_ENUMS_AS_NUMBERS = "%3Benum-encoding%3Dint"


def patch_session(session: AuthorizedSession) -> None:
    adapter = _Adapter(pool_maxsize=_POOL_SIZE)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.hooks["response"].append(_patch_response)
    # On a 401 the session would try to refresh the key, and send the request twice more.
    session._refresh_status_codes = ()


def newer_name(number: int) -> str:
    """Return the name of a reason that the SDK's enum lacks."""
    index = number - _FIRST_NEWER_NUMBER
    return _NEWER_NAMES[index] if 0 <= index < len(_NEWER_NAMES) else str(number)


def _patch_response(response: requests.Response, **_: Any) -> None:
    """Replace the stream of a response; raises Refusal, before a redirect is followed too."""
    if response.status_code != 200:
        raise Refusal(response.status_code, json_or_none(_error_bytes(response)), response.headers)
    response.encoding = "utf-8"
    # In chunks as received: the SDK reads one byte at a time.
    texts: Any = response.iter_content(chunk_size=None, decode_unicode=True)
    patched = _patched_array(response, texts)
    response.iter_content = lambda **_: patched  # type: ignore[method-assign,assignment]


def _error_bytes(response: requests.Response) -> bytes:
    body = b""
    # A broken body leaves the status.
    with suppress(requests.RequestException), closing(response):
        for received in response.iter_content(MOST_ERROR_BYTES):
            body += received
            if len(body) > MOST_ERROR_BYTES:
                break
    return body


def _patched_array(response: requests.Response, texts: Iterator[str]) -> Iterator[str]:
    """Yield the stream's array message by message, in a form for the SDK."""
    opening = "["
    reader = MessageReader()
    try:
        for message in _messages(_close_on_cancel(response, texts)):
            readable = _with_numbers(reader.read(message))
            yield opening + json.dumps(readable, ensure_ascii=False)
            opening = ","
        if opening == "[":
            raise ForeignAnswer(response.headers.get("content-type", ""))
        yield "]"
    except ValueError:
        raise ForeignAnswer(response.headers.get("content-type", "")) from None
    finally:
        response.close()


def _close_on_cancel(response: requests.Response, texts: Iterator[str]) -> Iterator[str]:
    while True:
        connection = response.raw.connection
        with close_socket_on_cancel(connection.sock if connection else None):
            text = next(texts, None)
        if text is None:
            return
        yield text


def _messages(texts: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Yield each object of a JSON array once whole; raises ValueError."""
    held = ""
    for text in texts:
        held = (held + text).lstrip(_BETWEEN_MESSAGES)
        while held.startswith("{"):
            try:
                message, end = decoder.raw_decode(held)
            except json.JSONDecodeError:
                if len(held) > MOST_MESSAGE_CHARACTERS:
                    raise
                break  # the rest of the message has not come yet
            yield message
            held = held[end:].lstrip(_BETWEEN_MESSAGES)
        if held and not held.startswith("{"):
            raise ValueError("not an array of messages")
    if held:
        raise ValueError("the array ends within a message")


def _with_numbers(message: dict[str, Any]) -> dict[str, Any]:
    """Replace each name that the SDK's protobuf does not know by a number."""
    for candidate in message.get("candidates", []):
        _replace_newer_name(candidate, "finishReason", _FINISH_REASONS)
    _replace_newer_name(message.get("promptFeedback", {}), "blockReason", _BLOCK_REASONS)
    return message


def _replace_newer_name(fields: dict[str, Any], key: str, known: Mapping[str, Any]) -> None:
    name = fields.get(key)
    if isinstance(name, str) and name not in known:
        index = _NEWER_NAMES.index(name) if name in _NEWER_NAMES else 0
        fields[key] = _FIRST_NEWER_NUMBER + index


class _Connection(HTTPConnection):
    def getresponse(self) -> Any:
        with close_socket_on_cancel(self.sock):
            return super().getresponse()


class _SecureConnection(HTTPSConnection):
    def getresponse(self) -> Any:
        with close_socket_on_cancel(self.sock):
            return super().getresponse()


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    """Opens cancellable connections to Gemini or to a proxy."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):  # SOCKS proxies have other pools
            manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
        return manager

    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = (CONNECT_SECONDS, BACKSTOP_SECONDS)
        # As numbers, which the SDK asks for, reasons newer than the SDK have no name.
        request.url = request.url.replace(_ENUMS_AS_NUMBERS, "")
        return super().send(request, *args, **kwargs)
