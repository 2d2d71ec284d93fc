"""The revenue of the running subscriptions."""

from typing import Any

from django.db import connection

from billing.entitlement import ENTITLING

# Prices with tiers have no single amount and count as nothing; discounts and taxes are left out.
# A month is a twelfth of a year, and 365 / 12 days.
MONTHLY_REVENUE_SQL = """
SELECT item -> 'price' ->> 'currency', round(sum(
    coalesce((item -> 'price' ->> 'unit_amount')::numeric, 0)
    * coalesce((item ->> 'quantity')::numeric, 1)
    / coalesce((item #>> '{price,recurring,interval_count}')::numeric, 1)
    / CASE item #>> '{price,recurring,interval}'
        WHEN 'year' THEN 12 WHEN 'week' THEN 84.0 / 365 WHEN 'day' THEN 12.0 / 365 ELSE 1 END
))
FROM djstripe_subscription, jsonb_array_elements(stripe_data #> '{items,data}') AS item
WHERE stripe_data ->> 'status' = ANY(%s)
GROUP BY 1 ORDER BY 1
"""


def monthly_revenue() -> dict[str, Any]:
    """Return the revenue by currency, in the currency's smallest unit."""
    with connection.cursor() as cursor:
        cursor.execute(MONTHLY_REVENUE_SQL, [list(ENTITLING)])
        return {currency: int(amount) for currency, amount in cursor.fetchall()}
