"""System checks of the settings, and of PostgreSQL's connections."""

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from gemchat.stores.postgres import ASYNC_VIEW_THREADS, PROBE_THREADS
from gemchat.stores.redis import check_ca_certs, connection_options

SHORTEST_SECRET_BYTES = 32
# A random key of any alphabet has more different characters; `abcabc…` has fewer.
FEWEST_CHARACTERS = 8
# Names that lead to nobody else's machine (RFC 6761, RFC 6762, and ICANN's `.internal`).
LOCAL_ENDINGS = (".localhost", ".local", ".internal", ".test")
# /metrics has no limit on guesses.
SHORTEST_TOKEN = 16
# Each call to these hosts sends a key.
VENDORS = ("TWILIO_API_BASE", "GEMINI_API_BASE", "STRIPE_API_BASE")
LEAST = {
    "WEB_THREADS": 1,
    "WORKER_CONCURRENCY": 1,
    "DATABASE_POOL_SIZE": 1,
    "CACHE_TTL_SECONDS": 0,
    "SMS_DAILY_BUDGET": 0,
    "SMS_COUNTRY_HOURLY_BUDGET": 0,
    "SMS_PER_NUMBER": 1,
    "SMS_UNANSWERED_PER_ADDRESS": 1,
    "SMS_CHALLENGE_WORK": 1,
    "CODE_FAILURES_PER_ADDRESS": 1,
    "PASSWORD_FAILURES_PER_ADDRESS": 1,
    "PASSWORD_FAILURES_PER_NUMBER": 1,
    "LOGINS_PER_ADDRESS": 1,
    "LOGINS_PER_NUMBER": 1,
    "SIGNUPS_PER_ADDRESS": 1,
    "LIVE_READS_PER_SESSION": 1,
    "LIVE_READS_PER_USER": 1,
    "STRIPE_CALLS_PER_HOUR": 1,
    "GEMINI_CONTEXT_TOKENS": 1,
    "GEMINI_MAX_OUTPUT_TOKENS": 1,
}
# Durations: none may be 0.
SECONDS = [
    *["GEMINI_FIRST_BYTE_SECONDS", "GEMINI_IDLE_SECONDS", "GEMINI_TOTAL_SECONDS"],
    *["REPLY_LEASE_SECONDS", "REPLY_SWEEP_SECONDS", "STRIPE_REQUEST_SECONDS"],
]


def refuse_bad_settings() -> None:
    """Raise ImproperlyConfigured with the first error of the system checks.

    `manage.py` and Celery run the checks; a web server does not.
    """
    serious = [message for message in run_checks() if message.is_serious()]
    if serious:
        raise ImproperlyConfigured(f"{serious[0].msg} ({serious[0].id})")


@register(Tags.security)
def check_project_settings(**kwargs: Any) -> list[Error]:
    return [
        *_check_numbers(),
        *_check_origins(),
        *_check_redis(),
        *(_check_development() if settings.DEBUG else _check_production()),
    ]


def _check_numbers() -> Iterator[Error]:
    for name, least in LEAST.items():
        if getattr(settings, name) < least:
            yield Error(f"{name} must be {least} or more.", id="gemchat.E011")
    for name in SECONDS:
        if getattr(settings, name) <= 0:
            yield Error(f"{name} must be more than 0.", id="gemchat.E011")


def _check_origins() -> Iterator[Error]:
    """corsheaders itself refuses an origin without scheme or host, also `*`."""
    for origin in settings.CORS_ALLOWED_ORIGINS:
        if not origin.startswith(("https://", "http://")) or "*" in origin:
            yield Error(
                f"CORS_ALLOWED_ORIGINS: {origin} is not an origin such as https://chat.example.com.",
                id="gemchat.E013",
            )


def _check_redis() -> Iterator[Error]:
    for name in ("REDIS_URL", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"):
        url = getattr(settings, name)
        if name == "CELERY_RESULT_BACKEND" and "://" not in url:
            continue  # Another kind of store, such as django-db.
        try:
            connection_options(url)
        except ImproperlyConfigured as error:
            yield Error(f"{name}: {error}", id="gemchat.E019")
    try:
        check_ca_certs()
    except ImproperlyConfigured as error:
        yield Error(f"REDIS_CA_CERTS: {error}", id="gemchat.E020")


def _check_development() -> Iterator[Error]:
    for host in settings.ALLOWED_HOSTS:
        if not _is_local(host):
            yield Error(
                f"DEBUG is on and ALLOWED_HOSTS has {host}: errors would show their cause to all.",
                id="gemchat.E014",
            )


def _check_production() -> Iterator[Error]:
    if any("*" in host for host in settings.ALLOWED_HOSTS):
        yield Error(
            "ALLOWED_HOSTS must name hosts, not *: links are made of the name asked for.",
            id="gemchat.E015",
        )
    secrets = {
        "SECRET_KEY": [settings.SECRET_KEY],
        "JWT_SECRET": settings.JWT_SECRETS,
        "OTP_SECRET": [settings.OTP_SECRET],
    }
    if len(settings.SECRET_KEY.encode()) < SHORTEST_SECRET_BYTES:
        yield Error(
            f"SECRET_KEY must have {SHORTEST_SECRET_BYTES} bytes or more.", id="gemchat.E016"
        )
    for name, keys in secrets.items():
        if any(_is_guessable(key) for key in keys):
            yield Error(f"{name} is no random key.", id="gemchat.E017")
    every = [key for keys in secrets.values() for key in keys]
    if len(set(every)) < len(every):
        yield Error(
            f"{', '.join(secrets)} must differ: a leak of one would reveal the others.",
            id="gemchat.E018",
        )
    token = settings.METRICS_TOKEN
    if token and (len(token) < SHORTEST_TOKEN or _is_guessable(token)):
        yield Error(
            f"METRICS_TOKEN must have {SHORTEST_TOKEN} random characters or more.",
            id="gemchat.E021",
        )
    for name in VENDORS:
        url = getattr(settings, name)
        if url and not _keeps_keys_secret(url):
            yield Error(
                f"{name} must be an https:// URL: keys would be sent in clear.", id="gemchat.E022"
            )


def _keeps_keys_secret(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    is_local = parts.scheme == "http" and _is_local(parts.hostname or "")
    return bool(parts.hostname) and (parts.scheme == "https" or is_local)


def _is_local(host: str) -> bool:
    name = host.strip("[]").removeprefix(".")
    if not name or "*" in name:
        return False
    try:
        return not ipaddress.ip_address(name).is_global
    except ValueError:
        return "." not in name or name.endswith(LOCAL_ENDINGS)


def _is_guessable(key: str) -> bool:
    return len(set(key)) < FEWEST_CHARACTERS or key.startswith("development-only-")


@register
def check_pool(**kwargs: Any) -> list[CheckMessage]:
    """Compare the pool with the threads of a web process.

    Each thread may hold a connection.
    """
    needed = settings.WEB_THREADS + ASYNC_VIEW_THREADS + PROBE_THREADS
    if needed <= settings.DATABASE_POOL_SIZE:
        return []
    return [
        Error(
            f"DATABASE_POOL_SIZE must be {needed} or more for {settings.WEB_THREADS} WEB_THREADS.",
            id="gemchat.E030",
        )
    ]


@register(Tags.database)
def check_server(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Compare max_connections with the needs of a web process and a worker; beat needs none.

    `migrate` and `check --database default` run this check.
    """
    found: list[CheckMessage] = []
    for alias in databases or []:
        with connections[alias].cursor() as cursor:
            cursor.execute(
                "SELECT current_setting('max_connections')::int"
                " - current_setting('superuser_reserved_connections')::int"
            )
            (free,) = cursor.fetchone()
        if free < 2 * settings.DATABASE_POOL_SIZE:
            found.append(
                Warning(
                    f"PostgreSQL has {free} connections for a web process and a worker, which take"
                    f" {settings.DATABASE_POOL_SIZE} each: raise its max_connections, or lower"
                    " WEB_THREADS and DATABASE_POOL_SIZE.",
                    id="gemchat.W031",
                )
            )
    return found
