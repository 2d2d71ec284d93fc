"""The access log: one metric and one log line for each request."""

import logging
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from django.contrib.admindocs.views import simplify_regex
from django.http import HttpRequest, HttpResponse
from django.urls import ResolverMatch
from django.utils.functional import SimpleLazyObject

from gemchat.api.errors import not_found
from gemchat.monitoring.metrics import REQUEST_SECONDS

logger = logging.getLogger("gemchat.access")
GetResponse = Callable[[HttpRequest], HttpResponse]

PROBES = frozenset({"/livez", "/readyz", "/metrics", "/api/v1/health"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# The back office has hundreds of pages: one label is enough for all.
ADMIN = "/admin/"
UNKNOWN = "unknown"


class AccessMiddleware:
    """Records each request, timed from the receipt of the head by the web process."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        scope = getattr(request, "scope", {})
        began = scope.get("state", {}).get("began") or time.perf_counter()
        response = self.get_response(request)
        record(request, response.status_code, began=began)
        return response


def record(request: HttpRequest, status: int, *, began: float) -> None:
    """Record a request of a Django view; `began` comes from `time.perf_counter`.

    Only the pattern of the URL is recorded, since ids and query strings name people.
    """
    user: Any = request.__dict__.get("user")
    # To resolve a lazy user costs a query.
    user_id = None if user is None or isinstance(user, SimpleLazyObject) else user.pk
    log(route_of(request.resolver_match), request.method, status, began, user_id)


def log(route: str, method: str | None, status: int, began: float, user_id: object = None) -> None:
    seconds = time.perf_counter() - began
    known = method if method in METHODS else "OTHER"
    REQUEST_SECONDS.labels(known, route, f"{status // 100}xx").observe(seconds)
    fields = {
        "method": known,
        "route": route,
        "status": status,
        "milliseconds": round(seconds * 1000, 1),
        "user_id": user_id and str(user_id),
    }
    # A probe comes every few seconds and matters only at a failure.
    level = logging.DEBUG if route in PROBES and status < 400 else logging.INFO
    logger.log(level, "%s %s %d", known, route, status, extra=fields)


def route_of(match: ResolverMatch | None) -> str:
    if match is None or match.route is None or match.func is not_found:
        return UNKNOWN
    return ADMIN if match.namespaces[:1] == ["admin"] else readable(match.route)


@lru_cache(maxsize=512)
def readable(route: str) -> str:
    """Write a pattern in readable form: /api/v1/message/<message_id>/stream"""
    return simplify_regex(route).rstrip("/") or "/"
