"""SQL compiled once for each process, and planned once for each connection.

Every request and every reply runs a few statements. For such a statement, compilation in the ORM
takes several times the running time in PostgreSQL. Planning in PostgreSQL takes two to four times
the running time.

Read with Django 5.2.19 and psycopg 3.3.9. Private or undocumented there, and used here alone:
- Django: `query.sql_with_params`, `connection.close_if_health_check_failed`, `queries_logged`,
  `make_cursor`, `make_debug_cursor`, `wrap_database_errors`, and the `_meta` of models.
- psycopg: `Connection.prepare_threshold` is changed for one statement.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from itertools import pairwise
from typing import Any, Generic, TypeVar

import psycopg
from django.db import connection, models
from django.db.backends.utils import CursorWrapper
from psycopg.sql import Literal
from psycopg.types.numeric import Int8Dumper

Row = TypeVar("Row", bound=models.Model)
Values = Mapping[str, Any] | Sequence[Any]

# One type for all integers: a statement is prepared once for each combination of types.
psycopg.adapters.register_dumper(int, Int8Dumper)


class PreparedCursor(psycopg.Cursor[Any]):
    """A cursor for prepared statements, with the values sent apart from the text."""

    def execute(self, query: Any, params: Values | None = None, **options: Any) -> Any:
        # Only here: else psycopg counts, and so stores, the text of every other statement.
        self.connection.prepare_threshold = 0
        try:
            return super().execute(query, params, prepare=True, **options)
        finally:
            self.connection.prepare_threshold = None


def prepared_cursor() -> CursorWrapper:
    """Return the cursor of `connection.cursor()`, for statements to prepare."""
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    cursor: Any = PreparedCursor(connection.connection)
    if connection.queries_logged:
        return connection.make_debug_cursor(cursor)
    return connection.make_cursor(cursor)


def fetch(statement: str, values: Values) -> list[tuple[Any, ...]]:
    """Return all rows of one statement."""
    with prepared_cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


def execute_pipeline(statements: Sequence[str], values: Mapping[str, Any]) -> list[CursorWrapper]:
    """Execute several statements in one message.

    Without an open transaction the message is one transaction. Each statement takes the values of
    its named parameters, and sees the writes of the earlier statements.
    """
    cursors = [prepared_cursor() for _ in statements]
    with connection.wrap_database_errors, connection.connection.pipeline():
        for cursor, statement in zip(cursors, statements, strict=True):
            cursor.execute(statement, values)
    return cursors


class CompiledQuery(Generic[Row]):
    """The SQL of a queryset, with the conversion of rows to instances.

    `related` are the forward relations of the queryset's `select_related`, in the order of the
    model's fields. The values in the filters are only placeholders: `get_or_none` takes the real
    values, in the order of the SQL. Only psycopg converts values, so a field with `from_db_value`
    is refused.
    """

    def __init__(self, queryset: "models.QuerySet[Row]", *related: str) -> None:
        self.sql, _ = queryset.query.sql_with_params()
        related_models = [queryset.model._meta.get_field(name).related_model for name in related]
        self._models: list[Any] = [queryset.model, *related_models]
        self._related = related
        for model in self._models:
            _refuse_converted_fields(model)
        self._fields = [
            [field.attname for field in model._meta.concrete_fields] for model in self._models
        ]
        ends = [0]
        for fields in self._fields:
            ends.append(ends[-1] + len(fields))
        self._slices = [slice(start, end) for start, end in pairwise(ends)]

    def sql_with_names(self, *names: str) -> str:
        """Return the SQL with named placeholders."""
        return self.sql % tuple(f"%({name})s" for name in names)

    def columns(self, *tables: str) -> str:
        """List the columns for `from_row`, of tables with these names."""
        return ", ".join(
            columns_of(model, table) for table, model in zip(tables, self._models, strict=True)
        )

    def get_or_none(self, params: Sequence[Any]) -> Row | None:
        """Return the first row with the related rows, or None."""
        rows = fetch(self.sql, params)
        return self.from_row(rows[0]) if rows else None

    def from_row(self, row: Sequence[Any]) -> Row:
        """Make the instance of a row, with the related instances."""
        result, *others = (
            model.from_db(connection.alias, fields, row[columns])
            for model, fields, columns in zip(self._models, self._fields, self._slices, strict=True)
        )
        for name, other in zip(self._related, others, strict=True):
            setattr(result, name, other)
        return result


def _refuse_converted_fields(model: type[models.Model]) -> None:
    for field in model._meta.concrete_fields:
        if hasattr(field, "from_db_value"):
            raise TypeError(f"{field} converts its values, which a compiled query does not do.")


def columns_of(model: type[models.Model], table: str) -> str:
    """List every column of a model, of a table with this name."""
    return ", ".join(f"{table}.{field.column}" for field in model._meta.concrete_fields)


def insert_into(model: type[models.Model], values: Mapping[str, str], *, alias: str = "") -> str:
    """Write `INSERT INTO ... SELECT` with every column of a model; a FROM clause may follow.

    `values` are SQL by column. A column without a value gets the field's default.
    """
    table = f"{model._meta.db_table} AS {alias}" if alias else model._meta.db_table
    expressions = {
        str(field.column): values.get(str(field.column)) or _default_of(field)
        for field in model._meta.concrete_fields
        if field.column in values or not isinstance(field, models.AutoField)
    }
    if unknown := values.keys() - expressions:
        raise ValueError(f"{table} has no columns {sorted(unknown)}.")
    columns = ", ".join(expressions)
    selected = ", ".join(expressions.values())
    return f"INSERT INTO {table} ({columns})\nSELECT {selected}"  # noqa: S608


def _default_of(field: "models.Field[Any, Any]") -> str:
    """Write the constant default of a field as SQL."""
    is_constant = field.has_default() and not callable(field.default)
    if not (is_constant or field.null or field.blank):
        raise ValueError(f"{field} has no constant default: give a value.")
    value = field.get_default()
    text = Literal(value.value if isinstance(value, Enum) else value).as_string(None)
    return text.replace("%", "%%")
