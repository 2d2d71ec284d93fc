"""Connections to Redis: connection options of a URL, and the clients of this process.

Every client asks `connection_options`: the clients below, Django's cache, Celery's broker and
result backend. So each part of a URL means the same to all clients, TLS above all.
"""

import ssl
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import redis
import redis.asyncio
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

# Redis answers in under a millisecond or not at all; nobody should wait long to find out.
TIMEOUTS: dict[str, Any] = {"socket_connect_timeout": 1.0, "socket_timeout": 1.0}
SCHEMES = ("redis", "rediss", "unix")
DEFAULT_PORT = 6379
CONNECTIONS: dict[str, Any] = {
    "redis": redis.Connection,
    "rediss": redis.SSLConnection,
    "unix": redis.UnixDomainSocketConnection,
}
ASYNC_CONNECTIONS: dict[str, Any] = {
    "redis": redis.asyncio.Connection,
    "rediss": redis.asyncio.SSLConnection,
    "unix": redis.asyncio.UnixDomainSocketConnection,
}


class BadRedisUrl(ImproperlyConfigured):
    """A URL with different meanings for different clients. The text never quotes the URL."""


def connection_options(url: str, *, is_async: bool = False) -> dict[str, Any]:
    """Return the arguments of a redis-py connection pool for this URL. Raises BadRedisUrl."""
    parts = _split(url)
    options: dict[str, Any] = {
        "connection_class": (ASYNC_CONNECTIONS if is_async else CONNECTIONS)[parts.scheme],
        "username": unquote(parts.username or "") or None,
        "password": unquote(parts.password or "") or None,
        "db": _database(parts),
    }
    if parts.scheme == "unix":
        return {**options, "path": unquote(parts.path)}
    options |= {"host": unquote(parts.hostname or ""), "port": parts.port or DEFAULT_PORT}
    return {**options, **(_tls_options() if parts.scheme == "rediss" else {})}


def _tls_options() -> dict[str, Any]:
    """Return redis-py's names for REDIS_CA_CERTS and REDIS_TLS_VERIFY."""
    is_verified = settings.REDIS_TLS_VERIFY
    return {
        "ssl_cert_reqs": "required" if is_verified else "none",
        "ssl_check_hostname": is_verified,
        "ssl_ca_certs": settings.REDIS_CA_CERTS or None,
        "ssl_min_version": ssl.TLSVersion.TLSv1_2,
    }


def _split(url: str) -> SplitResult:
    """Return the parts of a URL; refuse a part ignored by some client."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in SCHEMES:
        hint = " (redis+socket:// is unix:// here)" if scheme == "redis+socket" else ""
        raise BadRedisUrl(f"the URL must begin with redis://, rediss:// or unix://{hint}.")
    # kombu takes `;` for the next URL, and `#` ends a URL in the middle of a password.
    if any(character in rest for character in ";#") or any(map(str.isspace, rest)):
        raise BadRedisUrl("write ; as %3B, # as %23 and a space as %20.")
    try:
        parts = urlsplit(url)
        is_numbered = parts.port != 0
    except ValueError:
        is_numbered = False
    if not is_numbered:
        raise BadRedisUrl("the host or port is none; write / as %2F and ? as %3F in a password.")
    if scheme == "unix" and (parts.hostname or not parts.path.strip("/")):
        raise BadRedisUrl("a socket is written as unix:///path/of/the/socket?db=0.")
    if scheme != "unix" and not parts.hostname:
        raise BadRedisUrl("the URL has no host.")
    return parts


def _database(parts: SplitResult) -> int:
    query = parse_qs(parts.query, keep_blank_values=True)
    numbers = query.pop("db", [])
    if query:
        raise BadRedisUrl(
            "of a query only db= is read; TLS is set by REDIS_CA_CERTS and REDIS_TLS_VERIFY."
        )
    path = "" if parts.scheme == "unix" else parts.path.strip("/")
    if path:
        numbers.append(path)
    if len(numbers) > 1 or not all(number.isdecimal() for number in numbers):
        raise BadRedisUrl("the database must be one number, as in redis://host:6379/0.")
    return int(numbers[0]) if numbers else 0


def check_ca_certs() -> None:
    """Raise ImproperlyConfigured unless REDIS_CA_CERTS is empty or a readable CA bundle."""
    path = settings.REDIS_CA_CERTS
    if not path:
        return
    if not Path(path).is_file():
        raise ImproperlyConfigured(f"there is no file {path}.")
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # ssl.SSLError is such an error.
        raise ImproperlyConfigured(f"{path} can not be read as certificates in PEM.") from error


class Pool(redis.ConnectionPool):
    """A pool with a URL read by `connection_options`: Django's cache names this class."""

    @classmethod
    def from_url(cls, url: str, **options: Any) -> "Pool":
        return cls(**{**options, **connection_options(url)})


class AsyncPool(redis.asyncio.ConnectionPool):
    """The same for an event loop."""

    @classmethod
    def from_url(cls, url: str, **options: Any) -> "AsyncPool":
        return cls(**{**options, **connection_options(url, is_async=True)})


@cache
def client() -> redis.Redis:
    """Return the client of all threads; the pool opens new connections after a fork."""
    return _connected_by(settings.REDIS_URL)


@cache
def broker() -> redis.Redis:
    """Return a client of the store of Celery's queues, to examine the queues.

    The store may be another Redis.
    """
    return _connected_by(settings.CELERY_BROKER_URL)


def _connected_by(url: str) -> redis.Redis:
    return redis.Redis.from_pool(Pool.from_url(url, decode_responses=True, **TIMEOUTS))


def async_client(**options: Any) -> redis.asyncio.Redis:
    """Make a client for one event loop; the caller closes the client."""
    options = {"decode_responses": True, **TIMEOUTS, **options}
    return redis.asyncio.Redis.from_pool(AsyncPool.from_url(settings.REDIS_URL, **options))
