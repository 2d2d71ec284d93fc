"""Statements that PostgreSQL reads and plans once for each connection, not each time they run.

For those that every request or reply makes: it takes two to four times as long to plan one as to
run it. They are sent with their values apart, where Django's own cursor writes the values into the
text.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from django.db import connection
from django.db.backends.utils import CursorWrapper
from psycopg.types.numeric import Int8

Values = Mapping[str, Any] | Sequence[Any]


class PreparedCursor(psycopg.Cursor[Any]):
    def execute(self, query: Any, params: Values | None = None, **options: Any) -> Any:
        # Only here: else psycopg counts, and so keeps, the text of whatever else is executed.
        self.connection.prepare_threshold = 0
        try:
            return super().execute(query, _of_one_size(params), prepare=True, **options)
        finally:
            self.connection.prepare_threshold = None


def prepared_cursor() -> CursorWrapper:
    """As `connection.cursor()`, for such a statement."""
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    cursor: Any = PreparedCursor(connection.connection)
    if connection.queries_logged:
        return connection.make_debug_cursor(cursor)
    return connection.make_cursor(cursor)


def fetch(statement: str, values: Values) -> list[tuple[Any, ...]]:
    """All rows of one statement."""
    with prepared_cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


def execute_together(statements: Sequence[str], values: Mapping[str, Any]) -> list[CursorWrapper]:
    """Several statements in one message, which is one transaction where none is open; each takes
    of the values what it names, and sees what those before it wrote."""
    cursors = [prepared_cursor() for _ in statements]
    with connection.wrap_database_errors, connection.connection.pipeline():
        for cursor, statement in zip(cursors, statements, strict=True):
            cursor.execute(statement, values)
    return cursors


def _of_one_size(values: Values | None) -> Values | None:
    """psycopg takes the smallest type that holds a number, and a statement is prepared anew for
    each combination of types."""
    if isinstance(values, Mapping):
        return {name: _sized(value) for name, value in values.items()}
    return values and [_sized(value) for value in values]


def _sized(value: Any) -> Any:
    return Int8(value) if type(value) is int else value
