"""Compares what a statement writes with what the ORM writes for the same change."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.db import models, transaction

Result = TypeVar("Result")
Rows = dict[str, list[dict[str, Any]]]


def rolled_back(action: Callable[[], Result], *tables: type[models.Model]) -> tuple[Result, Rows]:
    """Act, read the rows of the tables, and roll back; return result and rows."""
    with transaction.atomic():
        result = action()
        rows = {model.__name__: rows_of(model) for model in tables}
        transaction.set_rollback(True)
    return result, rows


def rows_of(model: type[models.Model]) -> list[dict[str, Any]]:
    """All rows in the order of their keys, without keys that a sequence gives."""
    rows = list(model._default_manager.order_by("pk").values())
    if isinstance(model._meta.pk, models.AutoField):
        for row in rows:
            del row[model._meta.pk.attname]
    return rows
