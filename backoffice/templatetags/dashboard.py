from typing import Any

from django import template

from backoffice.dashboard.overview import overview

register = template.Library()


@register.inclusion_tag("admin/overview.html", takes_context=True)
def staff_overview(context: Any) -> dict[str, Any]:
    """Return the dashboard for staff with the permission, else None."""
    is_allowed = context["request"].user.has_perm("backoffice.view_dailymetrics")
    return {"overview": overview() if is_allowed else None}
