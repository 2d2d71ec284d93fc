"""Shared parts of native async views: a guard around the view, threads for the database."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import wraps
from typing import Any, TypeVar

from django.db import connection
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import MethodNotAllowed, NotAcceptable

from gemchat.api.errors import HANDLED_EXCEPTIONS, problem_response_for
from gemchat.stores.postgres import ASYNC_VIEW_THREADS

Result = TypeVar("Result")
View = Callable[..., Coroutine[Any, Any, HttpResponseBase]]

threads = ThreadPoolExecutor(max_workers=ASYNC_VIEW_THREADS, thread_name_prefix="live")


def read_only(*media_types: str, methods: Sequence[str] = ("GET",)) -> Callable[[View], View]:
    """Do DRF's work for a native async view without a body."""
    return async_view(*media_types, methods=methods)


def async_view(*media_types: str, methods: Sequence[str]) -> Callable[[View], View]:
    """Do DRF's work for a native async view.

    Check the method, negotiate the media type, and answer handled exceptions with problem
    documents.
    """

    def decorated(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        async def guarded(request: HttpRequest, **captured: str) -> HttpResponseBase:
            if request.method not in methods:
                refused = problem_response_for(MethodNotAllowed(request.method or ""))
                refused["Allow"] = ", ".join(methods)
                return refused
            if not any(map(request.accepts, media_types)):
                return problem_response_for(NotAcceptable())
            try:
                return await view(request, **captured)
            except HANDLED_EXCEPTIONS as error:
                return problem_response_for(error)

        return guarded

    return decorated


async def in_thread(function: Callable[..., Result], *args: Any) -> Result:
    """Run a function with database access, and return its connection to the pool."""

    def run() -> Result:
        try:
            return function(*args)
        finally:
            connection.close()

    return await asyncio.get_running_loop().run_in_executor(threads, copy_context().run, run)
