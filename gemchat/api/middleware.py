"""What wraps every request: its id, its headers, and a problem document for what went wrong."""

import logging
import time
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import unquote_to_bytes

from csp.constants import HEADER
from csp.middleware import CSPMiddleware
from csp.utils import build_policy
from django.conf import settings
from django.core.exceptions import (
    BadRequest,
    DisallowedHost,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string

from gemchat.api.errors import (
    FORESEEN,
    bad_request,
    problem_for,
    problem_response,
    server_error,
)
from gemchat.api.request_id import answer_id, begin_request, end_request
from gemchat.monitoring.access_log import record
from gemchat.stores.errors import STORE_ERRORS

logger = logging.getLogger(__name__)
GetResponse = Callable[[HttpRequest], HttpResponse]
FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})


class RequestIdMiddleware:
    """Gives each request an id; X-Request-ID of the answer is the caller's, else this id."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        tokens = begin_request(request.META.get("HTTP_X_REQUEST_ID", ""))
        try:
            response = self.get_response(request)
            response["X-Request-ID"] = answer_id()
        finally:
            end_request(tokens)
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


class ContentSecurityPolicyMiddleware(CSPMiddleware):
    """django-csp's, which builds the policy anew for each answer: here once, unless a view asks
    for another one by its decorators."""

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if settings.DEBUG or any(name.startswith("_csp_") for name in vars(response)):
            return super().process_response(request, response)
        response.headers.setdefault(HEADER, plain_policy())
        return response


@cache
def plain_policy() -> str:
    return build_policy()


# All that is there is one person's, or a token.
PRIVATE_PATHS = ("/api/", "/web/")


class NoStoreMiddleware:
    """`Cache-Control: no-store` on every answer of private paths, whatever a view has set.

    A view may set more than that, as long as `no-store` is in it.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.path_info.startswith(PRIVATE_PATHS):
            keep_from_caches(response)
        return response


def keep_from_caches(response: HttpResponseBase) -> None:
    if "no-store" not in response.headers.get("Cache-Control", ""):
        response.headers["Cache-Control"] = "no-store"


class PermissionsPolicyMiddleware:
    """Permissions-Policy: no page of this program needs anything of the device."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response["Permissions-Policy"] = settings.PERMISSIONS_POLICY
        return response


class ProblemMiddleware:
    """Problem documents for malformed requests and unforeseen exceptions, also with DEBUG on."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return refusal_of(request) or self.get_response(request)

    def process_view(self, request: HttpRequest, *view: Any) -> HttpResponse | None:
        """Refuse a form that cannot be read, before the CSRF middleware reads it.

        Django would answer what that middleware raises, by a page that reads the form again.
        """
        # The API takes no forms, and reads each body by its own parser.
        if request.content_type not in FORMS or request.path_info.startswith("/api/"):
            return None
        try:
            request.POST  # noqa: B018 parses it
        except RequestDataTooBig as error:
            return problem_for(error)
        except (SuspiciousOperation, BadRequest, MultiPartParserError):
            return bad_request(request)
        return None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return answer_to(request, exception)


def refusal_of(request: HttpRequest) -> HttpResponse | None:
    """400 for what no view should have to look at: a host of others, a URL that is not UTF-8 or
    has so many parameters that Django refuses to read them."""
    try:
        request.get_host()
        query = request.META.get("QUERY_STRING", "")
        unquote_to_bytes(query).decode()
        if query.count("&") >= settings.DATA_UPLOAD_MAX_NUMBER_FIELDS:
            return bad_request(request)
    except DisallowedHost:
        return problem_response(
            status=400, code="invalid_host", detail="This server does not go by that name."
        )
    except UnicodeDecodeError:
        return _invalid_encoding()
    # The server has put U+FFFD where a path was not UTF-8.
    if "\0" in request.path_info or "\ufffd" in request.path_info:
        return _invalid_encoding()
    return None


def _invalid_encoding() -> HttpResponse:
    return problem_response(status=400, code="invalid_encoding", detail="The URL is not UTF-8.")


def answer_to(request: HttpRequest, exception: Exception) -> HttpResponse | None:
    """The problem document of an exception that a view let through.

    None where Django may answer by itself: a developer sees its debug page in a browser.
    """
    if isinstance(exception, STORE_ERRORS):
        return problem_for(exception)
    is_api = request.path_info.startswith("/api/")
    if settings.DEBUG and not is_api and "text/html" in request.headers.get("Accept", ""):
        return None
    if isinstance(exception, FORESEEN):
        return problem_for(exception)
    if isinstance(exception, SuspiciousOperation | BadRequest | MultiPartParserError):
        return bad_request(request)
    got_request_exception.send(sender=ProblemMiddleware, request=request)
    logger.error("Unforeseen error at %s %s", request.method, request.path_info, exc_info=exception)
    return server_error(request)


def with_headers(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """What HEADER_MIDDLEWARE makes of an answer, for those that do not come through MIDDLEWARE.

    The live views and the intake of bodies run in the event loop, where Django would give each
    of these to a thread; they take microseconds.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        return response

    if isinstance(response, HttpResponse):
        # CommonMiddleware's work; without it, the server would send the answer in chunks.
        response["Content-Length"] = str(len(response.content))
    chain: Any = answer
    for name in reversed(settings.HEADER_MIDDLEWARE):
        chain = import_string(name)(chain)
    return chain(request)
