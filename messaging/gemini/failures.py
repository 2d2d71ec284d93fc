"""Google's HTTP errors as `GeminiError`s, the same for both SDKs.

https://google.aip.dev/193 and https://ai.google.dev/gemini-api/docs/troubleshooting describe the
bodies. Only figures and reasons are used: a message may quote the request.
"""

import re
from collections.abc import Mapping
from math import ceil
from typing import Any

from messaging.gemini.base import GeminiError, NoSystemRole
from messaging.gemini.responses.messages import UNREADABLE, ForeignAnswer, Refusal

_TOO_LONG = re.compile(
    r"token count.*(exceeds|supports)|exceeds the maximum number of tokens|payload size exceeds",
    re.IGNORECASE | re.DOTALL,
)
_NO_SYSTEM_ROLE = re.compile(
    r"(developer|system) instructions?\b.*\bnot\s+(enabled|supported)"
    r"|not support (developer|system) instructions?",
    re.IGNORECASE | re.DOTALL,
)
# The request may succeed a moment later. So may any status from 500 on.
_TEMPORARY_STATUSES = frozenset({408, 409, 425, 499})
# Statuses for a fault in the conversation, if the body is Google's error.
_CONTENT_STATUSES = frozenset({400, 422})
_KEY_REASONS = frozenset({"API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED", "API_KEY_EXPIRED"})
_STATUS = re.compile(r"[A-Z_]{1,40}")
_CONTENT_TYPE = re.compile(r"[\w.+/-]{1,50}", re.ASCII)
# A quota comes back within a day. A longer wait is a fault, and may not fit a timedelta.
LONGEST_WAIT_SECONDS = 86_400.0
# A person waits some minutes for a reply, and rather asks again than later.
MOST_PATIENCE_SECONDS = 300.0
HOUR = 3600.0
_DURATION = re.compile(r"(\d+(?:\.\d+)?)s?")


def unavailable(detail: str = "", *, retry_after: float | None = None) -> GeminiError:
    """A temporary failure: an overload, a broken connection, a body that is not Gemini's."""
    return GeminiError(
        "unavailable",
        detail or "Gemini could not be reached or is overloaded. Try again in a moment.",
        permanent=False,
        retry_after=retry_after,
    )


def unreadable(content_type: str = "") -> GeminiError:
    """An answer with status 200 that is not Gemini's, as the page of a proxy."""
    failure = unavailable(
        "The answer is no stream of Gemini's messages. Try again in a moment. "
        "The operator must check GEMINI_API_BASE and any proxy."
    )
    match = _CONTENT_TYPE.match(content_type)
    failure.provider_code = f"200 {match[0] if match else ''}".strip()
    return failure


def failure_for(error: Exception) -> GeminiError:
    """Map an exception of a stream, the same for both SDKs."""
    if isinstance(error, Refusal):
        return _failure_for_refusal(error)
    if isinstance(error, ForeignAnswer):
        return unreadable(error.content_type)
    return unreadable() if isinstance(error, UNREADABLE) else unavailable()


def _failure_for_refusal(refusal: Refusal) -> GeminiError:
    error = _error_in(refusal.body)
    failure = _failure(refusal.status, error, refusal.headers)
    failure.provider_code = f"{refusal.status} {_status_name(error)}".strip()
    return failure


def _failure(status: int, error: dict[str, Any], headers: Mapping[str, str]) -> GeminiError:
    details = [each for each in _as_list(error.get("details")) if isinstance(each, dict)]
    retry_after = _retry_after(details, headers)
    if status == 429:
        return _rate_limited(details, retry_after)
    if status in _TEMPORARY_STATUSES or status >= 500:
        return _too_long_wait(retry_after) or unavailable(retry_after=retry_after)
    return _permanent(status, error, details)


def _permanent(status: int, error: dict[str, Any], details: list[dict[str, Any]]) -> GeminiError:
    if status == 401 or {str(each.get("reason", "")) for each in details} & _KEY_REASONS:
        return GeminiError(
            "misconfigured", "Gemini did not accept the API key. The operator must check it."
        )
    if status == 403:
        return GeminiError(
            "misconfigured", "The API key may not use this model. The operator must check it."
        )
    if status == 404:
        return GeminiError(
            "misconfigured", "Gemini has no such model (any more). Choose another model."
        )
    if error.get("status") == "FAILED_PRECONDITION":
        return GeminiError(
            "misconfigured",
            "Gemini refuses this server's account or region. The operator must check it.",
        )
    message = str(error.get("message", ""))
    if status == 413 or (status in _CONTENT_STATUSES and _TOO_LONG.search(message)):
        return GeminiError(
            "context_too_long",
            "The conversation is too long for this model. Shorten the prompt or open a new room.",
        )
    if status in _CONTENT_STATUSES and _NO_SYSTEM_ROLE.search(message):
        return NoSystemRole()
    if status in _CONTENT_STATUSES and _status_name(error) and _is_about_content(details):
        return GeminiError(
            "bad_request",
            "Gemini could not make sense of the request. Word the prompt differently.",
        )
    return GeminiError(
        "misconfigured",
        "Gemini, or a proxy before Gemini, refuses this server's requests. "
        "The operator must check the address, the account and the settings.",
    )


def _is_about_content(details: list[dict[str, Any]]) -> bool:
    """Whether a refusal can be about the conversation: a named field may be a setting."""
    fields = [str(each["field"]) for each in _violations(details) if each.get("field")]
    return not fields or any("content" in field for field in fields)


def _too_long_wait(seconds: float | None) -> GeminiError | None:
    """Return the failure for a wait beyond a person's patience; None for a shorter wait."""
    if seconds is None or seconds <= MOST_PATIENCE_SECONDS:
        return None
    number, unit = (seconds / HOUR, "h") if seconds >= HOUR else (seconds / 60, "min")
    return GeminiError(
        "rate_limited",
        f"Gemini takes no requests from this server for now. Try again in {ceil(number)} {unit}.",
        scope="day" if seconds >= HOUR else "minute",
    )


def _rate_limited(details: list[dict[str, Any]], retry_after: float | None) -> GeminiError:
    """Map a 429. The RetryInfo of a daily quota, some seconds, is useless."""
    if any("PerDay" in str(each.get("quotaId", "")) for each in _violations(details)):
        return GeminiError(
            "rate_limited",
            "This server's Gemini quota for the day is used up. Try again tomorrow.",
            scope="day",
        )
    return _too_long_wait(retry_after) or GeminiError(
        "rate_limited",
        "Gemini is getting too many requests from this server. Try again in a minute.",
        permanent=False,
        retry_after=retry_after,
        scope="minute",
    )


def _violations(details: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """List the violated quotas or fields."""
    lists = [each.get(key) for each in details for key in ("violations", "fieldViolations")]
    return [each for listed in lists for each in _as_list(listed) if isinstance(each, dict)]


def _status_name(error: dict[str, Any]) -> str:
    """Return Google's name of the status; empty for any other text."""
    name = str(error.get("status", ""))
    return name if _STATUS.fullmatch(name) else ""


def _error_in(body: object) -> dict[str, Any]:
    if isinstance(body, list) and body:
        body = body[0]  # an error before a stream is an array
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def _retry_after(details: list[dict[str, Any]], headers: Mapping[str, str]) -> float | None:
    """Return the seconds from RetryInfo ("3.5s") or from the Retry-After header.

    An impossible wait counts as not reported.
    """
    delays = [each["retryDelay"] for each in details if "retryDelay" in each]
    for delay in (*delays, headers.get("retry-after", "")):
        match = _DURATION.fullmatch(str(delay).strip())
        if match and float(match[1]) <= LONGEST_WAIT_SECONDS:
            return float(match[1])
    return None


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
