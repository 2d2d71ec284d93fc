"""Which methods a view outside DRF takes."""

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from gemchat.api.errors import problem_response

View = Callable[..., Any]


def only(*methods: str) -> Callable[[View], View]:
    """405 as a problem document for any other method, with `Allow`.

    Django's own decorators answer an empty page, and after the CSRF check: none of these views
    looks at a cookie.
    """

    def refusal_of(request: HttpRequest) -> HttpResponseBase | None:
        if request.method in methods:
            return None
        detail = f'Method "{request.method}" not allowed.'
        response = problem_response(status=405, code="method_not_allowed", detail=detail)
        response["Allow"] = ", ".join(methods)
        return response

    def decorated(view: View) -> View:
        if iscoroutinefunction(view):

            @csrf_exempt
            @wraps(view)
            async def guarded_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
                return refusal_of(request) or await view(request, *args, **kwargs)

            return guarded_async

        @csrf_exempt
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            return refusal_of(request) or view(request, *args, **kwargs)

        return guarded

    return decorated
