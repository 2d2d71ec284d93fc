"""Rejects a cookie with a repeated name, or with extra characters in the name.

A browser sends cookies of one name for several domains and paths without their origin. So another
host of the same site can set a second cookie of the same name. Python also strips white space from
a name, and so defeats the protection of the prefix `__Host-`.
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
    """Return the repeated names of a Cookie header, and names stripped of more than spaces."""
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
