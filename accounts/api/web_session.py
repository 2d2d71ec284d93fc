"""The session of the web pages, with the refresh token in an HttpOnly cookie.

The pages call the public API with an access token in memory. The refresh token outlives the tab, in
a cookie with HttpOnly and SameSite=Strict. The browser adds the cookie without an action of the
page, so each call must come from a page of this site.

A stranger must not set the cookie, or the next visit is in the stranger's account. So the name has
the prefix `__Host-`: browsers take such a cookie from this host over TLS alone. A repeated name
counts as no cookie (`gemchat.api.cookies`). A refresh token of the API does not work here.
"""

from datetime import timedelta

from django.conf import settings
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.serializers import VerifyCodeSerializer, describe_sign_in
from accounts.api.views import decide
from accounts.auth import sessions, sign_in
from accounts.auth.sessions import SignedIn
from accounts.models import Session
from gemchat.api.client_address import client_from_request
from gemchat.api.errors import DomainError
from gemchat.api.serializers import validated

COOKIE = settings.REFRESH_COOKIE_NAME
# The prefix `__Host-` wants the path of the whole site.
PATH = "/"


class OriginRefused(DomainError):
    code = "origin_refused"
    message = "This is for the pages of this site alone."
    status = 403


class WebSessionView(APIView):
    """POST signs in by code, DELETE signs out."""

    authentication_classes = []
    permission_classes = [AllowAny]
    schema = None  # For the pages; other clients have auth/verify-otp and auth/refresh.

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        """Refuse a request from another origin. Browsers send Origin with every method but GET."""
        super().initial(request, *args, **kwargs)
        if request.headers.get("Origin") != f"{request.scheme}://{request.get_host()}":
            raise OriginRefused

    def post(self, request: Request) -> Response:
        fields = validated(VerifyCodeSerializer, request.data)
        signed_in = sign_in.sign_in_with_code(
            mobile=fields["mobile"],
            digits=fields["otp"],
            client=client_from_request(request),
            channel=Session.Channel.WEB,
        )
        return with_cookie(signed_in, "Signed in.")

    def delete(self, request: Request) -> Response:
        sessions.end_web_session(
            refresh_token=request.COOKIES.get(COOKIE, ""), client=client_from_request(request)
        )
        return without_cookie(Response(status=204))


class WebConfirmationView(WebSessionView):
    """Decide on an account after a long absence."""

    http_method_names = ["post"]

    def post(self, request: Request) -> Response:
        return with_cookie(decide(request, Session.Channel.WEB), "Signed in.")


class WebRefreshView(WebSessionView):
    """Exchange the cookie for an access token and a new cookie."""

    http_method_names = ["post"]

    def post(self, request: Request) -> Response:
        """Answer 204 where nobody is signed in: a page asks in order to know."""
        token = request.COOKIES.get(COOKIE)
        if not token:
            return Response(status=204)
        try:
            signed_in = sessions.refresh(
                refresh_token=token,
                client=client_from_request(request),
                channel=Session.Channel.WEB,
            )
        except sessions.InvalidRefreshToken:
            return without_cookie(Response(status=204))
        return with_cookie(signed_in, "Refreshed.")


def with_cookie(signed_in: SignedIn, message: str) -> Response:
    """Answer a sign-in with the refresh token in the cookie, not in the body."""
    body = describe_sign_in(signed_in, message)
    lifetime = timedelta(seconds=body.pop("refresh_expires_in"))
    response = Response(body)
    response.set_cookie(
        COOKIE,
        body.pop("refresh_token"),
        max_age=lifetime,
        path=PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Strict",
    )
    return response


def without_cookie(response: Response) -> Response:
    response.delete_cookie(COOKIE, path=PATH, samesite="Strict")
    return response
