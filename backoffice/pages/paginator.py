"""Paging through tables of any size: what a page costs does not grow with what lies behind it."""

import json
from functools import cached_property

from django.core.paginator import Paginator
from django.db.models import QuerySet

# So many rows can be paged through. Whoever looks for others narrows the list.
MAX_PAGED_ROWS = 2_000


def estimated_rows(queryset: QuerySet) -> int:
    """How many rows PostgreSQL's planner expects, without looking at any."""
    plan = json.loads(queryset.order_by().explain(format="json"))
    return int(plan[0]["Plan"]["Plan Rows"])


class EstimatingPaginator(Paginator):
    """Counts rows up to `MAX_PAGED_ROWS` exactly and goes no further; of more there is an estimate."""

    object_list: QuerySet

    @cached_property
    def count(self) -> int:
        return self.object_list.order_by()[:MAX_PAGED_ROWS].count()

    @cached_property
    def estimated_total(self) -> int | None:
        """How many there may be, where there are more than can be paged through."""
        return (
            max(MAX_PAGED_ROWS, estimated_rows(self.object_list))
            if self.count == MAX_PAGED_ROWS
            else None
        )
