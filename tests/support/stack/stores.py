"""The stores of a stack: new databases, and ways to break the stores."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import psycopg

from tests.support.fakes.wire import Wire

# Valkey has sixteen databases. Each worker of xdist uses three: for the tests in the worker's
# process, for a stack of a module, and for the shared stack.
WORKERS = 5


def redis_url(offset: int) -> str:
    """The URL of the Redis database that is `offset` above that of this process."""
    url = urlsplit(os.environ["REDIS_URL"])
    return url._replace(path=f"/{int(url.path.strip('/') or 0) + offset}").geturl()


@contextmanager
def new_stores(prefix: str, *, redis_offset: int) -> Iterator[dict[str, str]]:
    """Make a migrated database; yield its URL and the URL of an unused Redis database."""
    server = urlsplit(os.environ["DATABASE_URL"])
    name = f"{prefix}_{os.getpid()}"
    template = os.environ.get("TEST_DATABASE_TEMPLATE") or "template1"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        yield {
            "DATABASE_URL": server._replace(path=f"/{name}").geturl(),
            "REDIS_URL": redis_url(redis_offset),
        }
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@dataclass(frozen=True)
class Wires:
    """The proxies between a program and its stores."""

    database: Wire
    redis: Wire


@contextmanager
def refusing_rows(stores: dict[str, str], table: str) -> Iterator[None]:
    """Let PostgreSQL refuse each row of a table; its error quotes the row."""
    with psycopg.connect(stores["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT no CHECK (false) NOT VALID")
        yield
        connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT no")
