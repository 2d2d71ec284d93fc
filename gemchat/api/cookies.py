"""Refuses a cookie whose name comes twice, or is not exactly the name of ours.

A browser sends cookies of one name for several domains and paths, and does not say which is which.
So a second cookie of a name can be a stranger's, set by another host of the same site. Python also
takes white space off a name that a browser takes as part of the name, and so does not protect by
the prefix `__Host-`.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

GetResponse = Callable[[HttpRequest], HttpResponse]


class CookieNameMiddleware:
    """Treats a doubtful cookie of this program as absent, and has the browser delete it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.names = frozenset(
            {
                settings.SESSION_COOKIE_NAME,
                settings.CSRF_COOKIE_NAME,
                settings.REFRESH_COOKIE_NAME,
            }
        )

    def __call__(self, request: HttpRequest) -> HttpResponse:
        doubtful = doubtful_names(request.META.get("HTTP_COOKIE", "")) & self.names
        for name in doubtful:
            request.COOKIES.pop(name, None)
        response = self.get_response(request)
        for name in doubtful - response.cookies.keys():
            # Only the cookie of this host and path; no answer can delete the others.
            response.delete_cookie(name, path="/", samesite="Strict")
        return response


def doubtful_names(header: str) -> set[str]:
    """The names in a Cookie header that come twice, or with more than spaces around them."""
    seen: set[str] = set()
    doubtful: set[str] = set()
    for pair in header.split(";"):
        given = pair.partition("=")[0]
        # As Django reads it.
        name = given.strip()
        if name in seen or name != given.strip(" "):
            doubtful.add(name)
        seen.add(name)
    return doubtful
