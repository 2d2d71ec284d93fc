"""A paginator with a constant cost for a table of any size."""

import json
from functools import cached_property

from django.core.paginator import Paginator
from django.db.models import QuerySet

# Staff who need later rows narrow the list.
MAX_PAGED_ROWS = 2_000


def estimated_rows(queryset: QuerySet) -> int:
    """Return the row estimate of PostgreSQL's planner, without a count."""
    plan = json.loads(queryset.order_by().explain(format="json"))
    return int(plan[0]["Plan"]["Plan Rows"])


class EstimatingPaginator(Paginator):
    """Count rows exactly up to `MAX_PAGED_ROWS`, and estimate beyond."""

    object_list: QuerySet

    @cached_property
    def count(self) -> int:
        return self.object_list.order_by()[:MAX_PAGED_ROWS].count()

    @cached_property
    def estimated_total(self) -> int | None:
        """Return the estimate where there are more rows than the pages reach, else None."""
        return (
            max(MAX_PAGED_ROWS, estimated_rows(self.object_list))
            if self.count == MAX_PAGED_ROWS
            else None
        )
