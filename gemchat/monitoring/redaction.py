"""Redacts secrets and phone numbers in log lines and error reports.

The program logs no secret by intent. But libraries quote their input, an exception quotes its
argument, and PostgreSQL quotes the row behind a broken constraint.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings

REDACTED = "[redacted]"

# Settings with exact values to redact. Passwords of URLs come from URL_SETTINGS.
SECRET_SETTINGS = [
    *("SECRET_KEY", "JWT_SECRETS", "OTP_SECRET", "METRICS_TOKEN", "SENTRY_DSN"),
    *("TWILIO_AUTH_TOKEN", "GOOGLE_API_KEY", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRETS"),
]
URL_SETTINGS = ["REDIS_URL", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"]
# A shorter value would occur in any text.
SHORTEST_SECRET = 6

# Names of fields with a secret value in all cases.
SECRET_NAME = re.compile(
    r"passw(or)?d|otp|secret|token(?!s)|api_?key|authorization|cookie|csrf|signature|digits",
    re.IGNORECASE,
)

# The text of a group stays; the rest of the alternative is redacted.
SECRETS = re.compile(
    r"""
      \beyJ[\w-]{8,}\.[\w-]+\.[\w-]*                      # a JWT
    | \b(bearer\ |basic\ )[\w.~+/=-]{6,}                  # an Authorization header
    | \b(?:[rsp]k_(?:live|test)|whsec)_\w{6,}             # Stripe's keys and webhook secrets
    | \bAIza[\w-]{10,}                                    # Google's keys
    | \b(\w+://[^\s/:@]*:)[^\s/@]+(?=@)                   # the password of a URL
    | (\b(?:\w*[-_])?(?:passw(?:or)?d|otp|secret|token|api[-_]?key|signature|sessionid|csrf\w*)
        ["']?\s*[:=]\s*)(?:"[^"]*"|'[^']*'|[^\s,;&"'(){}\[\]]+)   # name=value, "name": "value"
    | ([?&]key=)[^\s&"']+                                 # a key in a query string
    | (Failing\ row\ contains\ ).*?(?:\)\.(?=\s|$)|\Z)    # PostgreSQL quotes all of a row
    | (?<![\w.+/=-])[\w-]{43,}={0,2}(?![\w.-])            # a long random word: refresh tokens
    | (?<![\w.,+-])\d{6}(?![\w-]|[.,:]\d)                 # a one-time code
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
# After a path or URL, as quoted by requests and Django.
QUERY_STRING = re.compile(r"""(?<![^\s"'(<\[=])((?:\w+:)?/[^\s?"'<>]*)\?[^\s"'<>]+""")
# Fields of libraries with a query string alone, without the URL.
QUERY_NAMES = frozenset({"http.query", "http.fragment", "query_string", "url.query"})
# In E.164, with spaces, or without the plus.
MOBILES = re.compile(r"(?<!\w)\+\d[\d ()-]{5,18}\d(?!\w)|(?<![\w.,+-])\d{10,15}(?![\w-]|[.,:]\d)")


def redacted(text: str) -> str:
    """Remove secrets and query strings from a text, and mask the middle of phone numbers."""
    if known := _known_secrets():
        text = known.sub(REDACTED, text)
    text = SECRETS.sub(_without_secret, text)
    if "?" in text:
        text = QUERY_STRING.sub(rf"\1?{REDACTED}", text)
    return MOBILES.sub(lambda match: f"{match[0][:3]}…{match[0][-2:]}", text)


def _without_secret(match: re.Match[str]) -> str:
    kept = match[match.lastindex] if match.lastindex else ""
    return f"{kept}{REDACTED}"


def redacted_deep(value: Any, name: str = "") -> Any:
    """Redact all strings in mappings and sequences, and whole values by name."""
    if name in QUERY_NAMES:
        return REDACTED
    if isinstance(value, str):
        return REDACTED if value and SECRET_NAME.search(name) else redacted(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return redacted_deep(bytes(value).decode(errors="replace"), name)
    if isinstance(value, Mapping):
        return {
            redacted(key) if isinstance(key, str) else key: redacted_deep(inner, str(key))
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted_deep(inner, name) for inner in value]
    if isinstance(value, int | float | None):
        return REDACTED if value is not None and SECRET_NAME.search(name) else value
    return redacted_deep(str(value), name)


@cache
def _known_secrets() -> re.Pattern[str] | None:
    found: set[str] = set()
    for name in SECRET_SETTINGS:
        value = getattr(settings, name, "")
        found.update(value if isinstance(value, list) else [value])
    for name in URL_SETTINGS:
        password = urlsplit(getattr(settings, name, "")).password or ""
        found |= {password, unquote(password)}
    found |= {str(database.get("PASSWORD", "")) for database in settings.DATABASES.values()}
    secrets = sorted((each for each in found if len(each) >= SHORTEST_SECRET), key=len)
    return re.compile("|".join(map(re.escape, reversed(secrets)))) if secrets else None
