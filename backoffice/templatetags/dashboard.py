from typing import Any

from django import template

from backoffice.dashboard.overview import overview

register = template.Library()


@register.inclusion_tag("admin/overview.html", takes_context=True)
def staff_overview(context: Any) -> dict[str, Any]:
    """The figures of the first page, for those who may see them."""
    is_allowed = context["request"].user.has_perm("backoffice.view_dailymetrics")
    return {"overview": overview() if is_allowed else None}
