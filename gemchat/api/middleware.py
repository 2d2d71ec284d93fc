"""Middleware of every request: the request id, headers and problem documents."""

import logging
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
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.multipartparser import MultiPartParserError
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string

from gemchat.api.errors import (
    HANDLED_EXCEPTIONS,
    bad_request,
    problem_response,
    problem_response_for,
    server_error,
)
from gemchat.api.request_id import answer_id, begin_request, end_request
from gemchat.stores.errors import STORE_ERRORS

logger = logging.getLogger(__name__)
GetResponse = Callable[[HttpRequest], HttpResponse]
FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})


class RequestIdMiddleware:
    """Gives each request an id, and sets X-Request-ID: the caller's id, else the program's."""

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


class ContentSecurityPolicyMiddleware(CSPMiddleware):
    """django-csp's middleware, with a policy that is built once.

    A view with a policy from decorators gets the policy of the decorators. Uses names of django-csp
    4: docs/upgrading.md.
    """

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


# Answers of these paths are personal data or tokens.
PRIVATE_PATHS = ("/api/", "/web/")


class NoStoreMiddleware:
    """Sets `Cache-Control: no-store` on every answer of private paths.

    A view may set more directives, as long as `no-store` is one of them.
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
    """Sets Permissions-Policy: no page of this program uses a sensor of the device."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response["Permissions-Policy"] = settings.PERMISSIONS_POLICY
        return response


class ProblemMiddleware:
    """Answers malformed requests and unexpected exceptions with problem documents."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return reject_malformed(request) or as_problem(request, self.get_response(request))

    def process_view(self, request: HttpRequest, *view: Any) -> HttpResponse | None:
        """Reject a malformed form before the CSRF middleware reads the form.

        Django would answer the exception of the CSRF middleware by a page that reads the form
        again.
        """
        # The API accepts no forms and parses each body itself.
        if request.content_type not in FORMS or request.path_info.startswith("/api/"):
            return None
        try:
            request.POST  # noqa: B018 parses it
        except RequestDataTooBig as error:
            return problem_response_for(error)
        except (SuspiciousOperation, BadRequest, MultiPartParserError):
            return bad_request(request)
        return None

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return handle_exception(request, exception)


def as_problem(request: HttpRequest, response: Any) -> Any:
    """Replace the empty 405 page of Django's method decorators by a problem document."""
    if not isinstance(response, HttpResponseNotAllowed):
        return response
    detail = f'Method "{request.method}" not allowed.'
    problem = problem_response(status=405, code="method_not_allowed", detail=detail)
    problem["Allow"] = response["Allow"]
    return problem


def reject_malformed(request: HttpRequest) -> HttpResponse | None:
    """Return 400 for a foreign host, a URL outside UTF-8, or too many parameters."""
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


def handle_exception(request: HttpRequest, exception: Exception) -> HttpResponse | None:
    """Make the problem document of a view's exception.

    None in development for a browser: Django answers with the debug page.
    """
    if isinstance(exception, STORE_ERRORS):
        return problem_response_for(exception)
    is_api = request.path_info.startswith("/api/")
    if settings.DEBUG and not is_api and "text/html" in request.headers.get("Accept", ""):
        return None
    if isinstance(exception, HANDLED_EXCEPTIONS):
        return problem_response_for(exception)
    if isinstance(exception, SuspiciousOperation | BadRequest | MultiPartParserError):
        return bad_request(request)
    got_request_exception.send(sender=ProblemMiddleware, request=request)
    logger.error("Unforeseen error at %s %s", request.method, request.path_info, exc_info=exception)
    return server_error(request)


def apply_header_middleware(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Apply HEADER_MIDDLEWARE to an answer outside MIDDLEWARE.

    Async views run in the event loop, where Django would run each middleware in a thread. These
    middlewares take microseconds.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        return response

    if isinstance(response, HttpResponse):
        # CommonMiddleware sets this header. Without the header the server sends chunks.
        response["Content-Length"] = str(len(response.content))
    chain: Any = answer
    for name in reversed(settings.HEADER_MIDDLEWARE):
        chain = import_string(name)(chain)
    return chain(request)
