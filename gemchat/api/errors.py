"""Errors as clients see them: each is one problem document (RFC 9457)."""

import logging
import sys
from http import HTTPStatus
from math import ceil
from typing import Any

from django.core.exceptions import ObjectDoesNotExist, PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

from gemchat.api.request_id import answer_id
from gemchat.stores.errors import STORE_ERRORS

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
DEPENDENCY_RETRY_SECONDS = 5


class DomainError(Exception):
    """An expected error; a subclass stands beside the function with the raise."""

    code = "error"
    message = "The request could not be carried out."
    status = 400

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after: float | None = None,
        headers: dict[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(message or self.message)
        self.retry_after = retry_after
        self.headers = headers or {}
        self.extra = extra


class DependencyDown(exceptions.APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "dependency_unavailable"
    default_detail = "The service is short of something that it needs. Try again in a moment."
    wait = DEPENDENCY_RETRY_SECONDS


def title_of(status: int) -> str:
    """Return the name of a status in RFC 9110; Python's names differ by version."""
    return {413: "Content Too Large", 422: "Unprocessable Content"}.get(
        status, HTTPStatus(status).phrase
    )


def problem(*, status: int, code: str, detail: str, **members: Any) -> dict[str, Any]:
    """Return the members of a problem document."""
    return {
        "type": "about:blank",
        "title": title_of(status),
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": answer_id(),
        **members,
    }


def problem_response(*, status: int, code: str, detail: str, **members: Any) -> JsonResponse:
    """Make a problem document outside DRF, for middleware and Django's error views."""
    return JsonResponse(
        problem(status=status, code=code, detail=detail, **members),
        status=status,
        content_type=CONTENT_TYPE,
    )


# Exceptions with a document by `problem_response_for`.
HANDLED_EXCEPTIONS = (
    exceptions.APIException,
    DomainError,
    *STORE_ERRORS,
    ObjectDoesNotExist,
    Http404,
    PermissionDenied,
    RequestDataTooBig,
)


def problem_response_for(exception: Exception) -> JsonResponse:
    """Make the problem document of an expected exception, outside DRF's views."""
    raised = _as_api_exception(exception)
    if not isinstance(raised, exceptions.APIException):
        raise exception
    response = problem_response(**_members(raised, exception))
    if header := getattr(raised, "auth_header", "Bearer" if raised.status_code == 401 else ""):
        response["WWW-Authenticate"] = header
    if seconds := getattr(raised, "wait", None):
        response["Retry-After"] = str(seconds)
    if isinstance(raised, exceptions.MethodNotAllowed):
        response["Allow"] = "GET"
    for name, value in getattr(exception, "headers", {}).items():
        response[name] = value
    return response


def problem_handler(exception: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's EXCEPTION_HANDLER. An unexpected exception goes on to the middleware."""
    raised = _as_api_exception(exception)
    response = exception_handler(raised, context)
    if response is None or not isinstance(raised, exceptions.APIException):
        return response
    response.data = problem(**_members(raised, exception))
    response.status_code = response.data["status"]
    response.content_type = CONTENT_TYPE
    for name, value in getattr(exception, "headers", {}).items():
        response[name] = value
    return response


def _members(raised: exceptions.APIException, exception: Exception) -> dict[str, Any]:
    members = {"status": raised.status_code, "code": _code(raised), "detail": _detail(raised)}
    if isinstance(raised, exceptions.ValidationError):
        members["status"] = status.HTTP_422_UNPROCESSABLE_ENTITY
        members["errors"] = _field_errors(raised.detail)
    return {**members, **getattr(exception, "extra", {})}


def _as_api_exception(exception: Exception) -> Exception:
    if isinstance(exception, DomainError):
        raised = exceptions.APIException(str(exception), exception.code)
        raised.status_code = exception.status
        if exception.retry_after is not None:
            # DRF makes the Retry-After header from this attribute.
            raised.wait = max(1, ceil(exception.retry_after))  # type: ignore[attr-defined]
        if exception.status == status.HTTP_401_UNAUTHORIZED:
            raised.auth_header = "Bearer"  # type: ignore[attr-defined]
        return raised
    if isinstance(exception, RequestDataTooBig):
        raised = exceptions.APIException("The body is too large.", "body_too_large")
        raised.status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
        return raised
    if isinstance(exception, STORE_ERRORS):
        logger.warning("A store failed a request: %s", exception)
        return DependencyDown()
    if isinstance(exception, Http404 | ObjectDoesNotExist):
        return exceptions.NotFound()
    if isinstance(exception, PermissionDenied):
        return exceptions.PermissionDenied()
    return exception


def _code(raised: exceptions.APIException) -> str:
    if isinstance(raised, exceptions.ValidationError):
        return "validation_error"
    codes = raised.get_codes()
    return codes if isinstance(codes, str) else raised.default_code


def _detail(raised: exceptions.APIException) -> str:
    if isinstance(raised, exceptions.ValidationError):
        errors = _field_errors(raised.detail)
        return " ".join(
            f"{error['field']}: {error['message']}" if error["field"] else error["message"]
            for error in errors
        )
    if isinstance(raised, exceptions.NotFound):
        return "There is nothing here, or it is not yours."
    return str(raised.detail)


def _field_errors(detail: Any, field: str = "") -> list[dict[str, str]]:
    """Flatten DRF's nested detail; dots join the fields of nested objects."""
    if isinstance(detail, dict):
        return [
            error
            for name, inner in detail.items()
            for error in _field_errors(
                inner,
                field
                if name == "non_field_errors"
                else ".".join(part for part in (field, str(name)) if part),
            )
        ]
    if isinstance(detail, list):
        return [error for inner in detail for error in _field_errors(inner, field)]
    return [{"field": field, "message": str(detail), "code": detail.code}]


def bad_request(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    return problem_response(status=400, code="bad_request", detail="The request is malformed.")


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    return problem_response(status=403, code="permission_denied", detail="This is not allowed.")


def csrf_failure(request: HttpRequest, reason: str = "") -> JsonResponse:
    """CSRF_FAILURE_VIEW; Django's own is an HTML page."""
    return problem_response(status=403, code="csrf_failed", detail=f"This is not allowed. {reason}")


@csrf_exempt  # A POST to an unknown URL gets 404 too.
def not_found(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    return problem_response(status=404, code="not_found", detail="There is nothing at this URL.")


def server_error(request: HttpRequest) -> JsonResponse:
    """Django's handler500, called while Django handles the exception."""
    error = sys.exc_info()[1]
    if isinstance(error, STORE_ERRORS):
        return problem_response_for(error)
    return problem_response(
        status=500,
        code="server_error",
        detail="Something went wrong here. Report the request id if it happens again.",
    )
