"""Queries of the ORM's that are put together once: for those that every request or reply makes.

The ORM takes several times as long to compile such a query as the database takes to run it.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Generic, TypeVar

from django.db import connection, models

from gemchat.stores.prepared import fetch

Row = TypeVar("Row", bound=models.Model)


class Compiled(Generic[Row]):
    """A queryset's SQL, and how its rows become instances.

    `related` are the forward relations of its `select_related`, in the order of the model's
    fields. The values in its filters only hold places: `first` takes the real ones, in the order
    of the SQL. Nothing converts the columns' values but psycopg.
    """

    def __init__(self, queryset: "models.QuerySet[Row]", *related: str) -> None:
        self.sql, _ = queryset.query.sql_with_params()
        of_related = [queryset.model._meta.get_field(name).related_model for name in related]
        self._models: list[Any] = [queryset.model, *of_related]
        self._related = related
        self._fields = [
            [field.attname for field in model._meta.concrete_fields] for model in self._models
        ]
        ends = [0]
        for fields in self._fields:
            ends.append(ends[-1] + len(fields))
        self._places = [slice(start, end) for start, end in pairwise(ends)]

    def named(self, *names: str) -> str:
        """The SQL with named places in place of those in a row."""
        return self.sql % tuple(f"%({name})s" for name in names)

    def columns(self, *tables: str) -> str:
        """What `instance` wants, of tables that another statement calls by these names."""
        return ", ".join(
            f"{table}.{field.column}"
            for table, model in zip(tables, self._models, strict=True)
            for field in model._meta.concrete_fields
        )

    def first(self, params: Sequence[Any]) -> Row | None:
        """The first row with the rows that it is related to, or None."""
        found = fetch(self.sql, params)
        return self.instance(found[0]) if found else None

    def instance(self, row: Sequence[Any]) -> Row:
        """What a row of the SQL's stands for, with the rows that it is related to."""
        first, *others = (
            model.from_db(connection.alias, fields, row[place])
            for model, fields, place in zip(self._models, self._fields, self._places, strict=True)
        )
        for name, other in zip(self._related, others, strict=True):
            setattr(first, name, other)
        return first
