"""What wraps every request: its id, and a problem document for what no view foresaw."""

import logging
import time
from collections.abc import Callable

from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse

from gemchat.access import record
from gemchat.errors import DEPENDENCY_LOST, problem_for, server_error
from gemchat.request_id import new_or_accepted, request_id

logger = logging.getLogger(__name__)
GetResponse = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """X-Request-ID: taken from the caller or made here, and put on the answer."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        current = new_or_accepted(request.headers.get("X-Request-ID", ""))
        token = request_id.set(current)
        try:
            response = self.get_response(request)
        finally:
            request_id.reset(token)
        response["X-Request-ID"] = current
        return response


class AccessMiddleware:
    """A figure and a log line for each request, timed from where the web process got its head."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        scope = getattr(request, "scope", {})
        began = scope.get("state", {}).get("began") or time.perf_counter()
        response = self.get_response(request)
        record(request, response.status_code, began=began)
        return response


class ProblemMiddleware:
    """Problem documents with DEBUG on as well as off: under /api/ for unforeseen exceptions, and
    everywhere for a store that does not answer."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, DEPENDENCY_LOST):
            return problem_for(exception)
        if not request.path_info.startswith("/api/"):
            return None
        got_request_exception.send(sender=type(self), request=request)
        logger.exception("Unforeseen error at %s %s", request.method, request.path_info)
        return server_error(request)
