"""The stores of a stack, as tests break them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from tests.support.fakes.wire import Wire


@dataclass(frozen=True)
class Wires:
    """What stands between a program and its stores."""

    database: Wire
    redis: Wire


@contextmanager
def refusing_rows(stores: dict[str, str], table: str) -> Iterator[None]:
    """PostgreSQL takes no row of this table, and quotes those that it is given."""
    with psycopg.connect(stores["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT no CHECK (false) NOT VALID")
        yield
        connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT no")
