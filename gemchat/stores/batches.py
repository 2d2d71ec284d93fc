"""Read many rows in batches, without a cursor and in little memory."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Model, QuerySet


def in_key_order(queryset: "QuerySet[Any, Any]", size: int) -> Iterator[list[Any]]:
    """Read rows by their primary keys, `size` rows a query.

    Each query begins after the last key, so rows may be deleted between two batches. Rows are
    model instances, dictionaries of `values()` with the key, or keys of `values_list(flat=True)`.
    """
    key_name = queryset.model._meta.pk.attname
    rows = queryset.order_by("pk")
    batch = list(rows[:size])
    while batch:
        yield batch
        batch = list(rows.filter(pk__gt=_key(batch[-1], key_name))[:size])


def _key(row: Any, key_name: str) -> Any:
    if isinstance(row, Model):
        return row.pk
    return row[key_name] if isinstance(row, dict) else row
