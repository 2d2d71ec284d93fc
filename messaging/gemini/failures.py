"""Google's HTTP errors as `GeminiError`s, the same for both SDKs.

https://google.aip.dev/193 and https://ai.google.dev/gemini-api/docs/troubleshooting describe the
bodies. Only figures and reasons are used: a message may quote the request.
"""

import re
from collections.abc import Mapping
from typing import Any

from messaging.gemini.base import GeminiError

_TOO_LONG = re.compile(r"token count.*exceeds", re.IGNORECASE | re.DOTALL)
_KEY_REASONS = frozenset({"API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED", "API_KEY_EXPIRED"})
_STATUS = re.compile(r"[A-Z_]{1,40}")
# A quota comes back within a day. A longer wait is a fault, and may not fit a timedelta.
LONGEST_WAIT_SECONDS = 86_400.0
_HTTP_STATUSES = range(100, 600)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)s?")


def unavailable(detail: str = "", *, retry_after: float | None = None) -> GeminiError:
    """A temporary failure: an overload, a broken connection, a body that is not Gemini's."""
    return GeminiError(
        "unavailable",
        detail or "Gemini could not be reached or is overloaded. Try again in a moment.",
        permanent=False,
        retry_after=retry_after,
    )


def failure_for_status(
    status: int, body: object, headers: Mapping[str, str] | None = None
) -> GeminiError:
    """Map an HTTP error; `body` is the parsed JSON, or any other value.

    Inside a stream the status is a figure of the body: an impossible status counts as 500.
    """
    status = status if status in _HTTP_STATUSES else 500
    error = _error_in(body)
    failure = _failure(status, error, headers or {})
    failure.provider_code = f"{status} {_status_name(error)}".strip()
    return failure


def _failure(status: int, error: dict[str, Any], headers: Mapping[str, str]) -> GeminiError:
    details = [each for each in _as_list(error.get("details")) if isinstance(each, dict)]
    retry_after = _retry_after(details, headers)
    if status == 429:
        return _rate_limited(details, retry_after)
    if status == 408 or status >= 500:
        return unavailable(retry_after=retry_after)
    return _refusal(status, error, {str(each.get("reason", "")) for each in details})


def _refusal(status: int, error: dict[str, Any], reasons: set[str]) -> GeminiError:
    if status == 401 or reasons & _KEY_REASONS:
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
    if status == 413 or _TOO_LONG.search(str(error.get("message", ""))):
        return GeminiError(
            "context_too_long",
            "The conversation is too long for this model. Shorten the prompt or open a new room.",
        )
    return GeminiError(
        "bad_request", "Gemini could not make sense of the request. Word the prompt differently."
    )


def _rate_limited(details: list[dict[str, Any]], retry_after: float | None) -> GeminiError:
    """Map a 429. The RetryInfo of a daily quota, some seconds, is useless."""
    quotas = [
        str(violation.get("quotaId", ""))
        for each in details
        for violation in _as_list(each.get("violations"))
        if isinstance(violation, dict)
    ]
    if any("PerDay" in quota for quota in quotas):
        return GeminiError(
            "rate_limited",
            "This server's Gemini quota for the day is used up. Try again tomorrow.",
            scope="day",
        )
    return GeminiError(
        "rate_limited",
        "Gemini is getting too many requests from this server. Try again in a minute.",
        permanent=False,
        retry_after=retry_after,
        scope="minute",
    )


def _status_name(error: dict[str, Any]) -> str:
    """Return Google's name of the status; empty for any other text."""
    name = str(error.get("status", ""))
    return name if _STATUS.fullmatch(name) else ""


def _error_in(body: object) -> dict[str, Any]:
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
