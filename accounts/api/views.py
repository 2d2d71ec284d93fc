"""Accounts over HTTP: signing in, sessions, and the user's own account."""

import uuid
from typing import Any

from django.conf import settings
from django.http import Http404
from rest_framework.decorators import action
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from accounts.api.authentication import AuthenticatedRequest
from accounts.api.serializers import (
    ChangePasswordSerializer,
    ConfirmAccountSerializer,
    LoginSerializer,
    MobileToCheckSerializer,
    RefreshSerializer,
    SendCodeSerializer,
    SessionSerializer,
    SignUpSerializer,
    UserSerializer,
    VerifyCodeSerializer,
    describe_sign_in,
)
from accounts.auth import sessions, sign_in
from accounts.auth.closing import close_account
from accounts.auth.passwords import change_password
from accounts.auth.sessions import SignedIn, require_recent_sign_in
from accounts.models import Session
from accounts.phone_numbers import format_for_people, phone_region
from gemchat.api.client_address import client_from_request
from gemchat.api.pagination import next_link, page_limit, read_cursor, sign_cursor
from gemchat.api.serializers import envelope, validated
from gemchat.api.text import UUID
from gemchat.celery import enqueue

CODE_SENT = "If this number can receive messages, a code is on its way."
ACCOUNT_CLOSED = "The account is closed, and all that is kept about you is being erased."


def decide(request: Request, channel: Session.Channel) -> SignedIn:
    """Carry out the decision of a request on an absent account."""
    fields = validated(ConfirmAccountSerializer, request.data)
    common: dict[str, Any] = {
        "token": fields["confirmation_token"],
        "signup_token": fields.get("signup_token", ""),
        "client": client_from_request(request),
        "channel": channel,
    }
    if fields["choice"] == "start_new":
        return sign_in.start_new_account(**common)
    return sign_in.confirm_account(**common, password=fields.get("password") or "")


class SignInViewSet(ViewSet):
    """Calls without a token; a token in the request is ignored."""

    authentication_classes = []
    permission_classes = [AllowAny]

    @action(detail=False, methods=["post"])
    def signup(self, request: Request) -> Response:
        fields = validated(SignUpSerializer, request.data)
        token = sign_in.sign_up(
            mobile=fields["mobile"],
            password=fields.get("password") or "",
            client=client_from_request(request),
        )
        message = "Signed up. Ask for a code to verify the number."
        if not token:
            return Response(envelope(message), status=201)
        message += " Send signup_token along with the code to keep the password."
        return Response(envelope(message, {"signup_token": token}), status=201)

    @action(detail=False, methods=["post"], url_path="check-mobile")
    def check_mobile(self, request: Request) -> Response:
        """Read a number as send-otp does; no row shows whether the number has an account."""
        mobile = validated(MobileToCheckSerializer, request.data)["mobile"]
        formatted, country = format_for_people(mobile), phone_region(mobile)
        return Response({"mobile": mobile, "formatted": formatted, "country": country})

    @action(detail=False, methods=["post"], url_path="send-otp")
    def send_otp(self, request: Request) -> Response:
        return self.send_code(request)

    @action(detail=False, methods=["post"], url_path="forgot-password")
    def forgot_password(self, request: Request) -> Response:
        """Alias of send-otp: the session of the code may set a password."""
        return self.send_code(request)

    def send_code(self, request: Request) -> Response:
        fields = validated(SendCodeSerializer, request.data)
        issued = sign_in.send_code(
            mobile=fields["mobile"],
            client=client_from_request(request),
            solution=fields.get("challenge_solution", ""),
        )
        answer: dict[str, Any] = {
            "expires_in": int(settings.OTP_LIFETIME.total_seconds()),
            "resend_after": issued.resend_after_seconds,
        }
        if settings.OTP_ECHO:
            answer["otp"] = issued.code.digits
        return Response(envelope(CODE_SENT, answer))

    @action(detail=False, methods=["post"], url_path="verify-otp")
    def verify_otp(self, request: Request) -> Response:
        fields = validated(VerifyCodeSerializer, request.data)
        signed_in = sign_in.sign_in_with_code(
            mobile=fields["mobile"],
            digits=fields["otp"],
            signup_token=fields.get("signup_token", ""),
            client=client_from_request(request),
        )
        return Response(describe_sign_in(signed_in, "Signed in."))

    @action(detail=False, methods=["post"], url_path="confirm-account")
    def confirm_account(self, request: Request) -> Response:
        """Decide on an account after a long absence, with the token of verify-otp."""
        signed_in = decide(request, Session.Channel.API)
        return Response(describe_sign_in(signed_in, "Signed in."))

    @action(detail=False, methods=["post"])
    def login(self, request: Request) -> Response:
        fields = validated(LoginSerializer, request.data)
        signed_in = sign_in.sign_in_with_password(**fields, client=client_from_request(request))
        return Response(describe_sign_in(signed_in, "Signed in."))

    @action(detail=False, methods=["post"])
    def refresh(self, request: Request) -> Response:
        fields = validated(RefreshSerializer, request.data)
        signed_in = sessions.refresh(**fields, client=client_from_request(request))
        return Response(describe_sign_in(signed_in, "Refreshed."))


class SessionViewSet(ViewSet):
    """Calls of a signed-in user for password and sessions."""

    @action(detail=False, methods=["post"], url_path="change-password")
    def change_password(self, request: AuthenticatedRequest) -> Response:
        fields = validated(ChangePasswordSerializer, request.data)
        change_password(
            session=request.auth,
            new_password=fields["new_password"],
            current_password=fields.get("current_password") or "",
            client=client_from_request(request),
        )
        return Response(envelope("The password is changed. Other sessions have ended."))

    @action(detail=False, methods=["post"])
    def logout(self, request: AuthenticatedRequest) -> Response:
        sessions.end_session(
            user=request.user,
            session_id=request.auth.pk,
            reason=Session.Ending.LOGOUT,
            client=client_from_request(request),
        )
        return Response(status=204)

    @action(detail=False, methods=["post"], url_path="logout-all")
    def logout_all(self, request: AuthenticatedRequest) -> Response:
        sessions.end_all_sessions(
            user=request.user, reason=Session.Ending.LOGOUT_ALL, client=client_from_request(request)
        )
        return Response(status=204)

    @action(detail=False, methods=["get"])
    def sessions(self, request: AuthenticatedRequest) -> Response:
        """A bare array, newest first; the next page is in the `Link` header."""
        limit, salt = page_limit(request), f"sessions {request.user.pk}"
        active = Session.objects.active().filter(user=request.user).order_by("-pk")
        if (cursor := request.query_params.get("cursor")) is not None:
            active = active.filter(pk__lt=uuid.UUID(read_cursor(cursor, salt=salt)))
        found = list(active[: limit + 1])
        context = {"current": request.auth.pk}
        response = Response(SessionSerializer(found[:limit], many=True, context=context).data)
        if len(found) > limit:
            response["Link"] = next_link(request, sign_cursor(str(found[limit - 1].pk), salt=salt))
        return response

    @action(detail=False, methods=["delete"], url_path=f"sessions/(?P<session_id>{UUID})")
    def session(self, request: AuthenticatedRequest, session_id: Any) -> Response:
        try:
            sessions.end_session(
                user=request.user,
                session_id=session_id,
                reason=Session.Ending.ENDED_BY_USER,
                client=client_from_request(request),
            )
        except Session.DoesNotExist as error:
            raise Http404 from error
        return Response(status=204)


class UserViewSet(ViewSet):
    """The user's own account, at /user/me."""

    def retrieve(self, request: AuthenticatedRequest) -> Response:
        return Response(UserSerializer(request.user).data)

    def partial_update(self, request: AuthenticatedRequest) -> Response:
        fields = UserSerializer(request.user, data=request.data, partial=True)
        fields.is_valid(raise_exception=True)
        request.user.rename(fields.validated_data.get("name", request.user.name))
        return Response(fields.data)

    def destroy(self, request: AuthenticatedRequest) -> Response:
        require_recent_sign_in(request.auth)
        erasure = close_account(user=request.user, client=client_from_request(request))
        # privacy erases the rows of all apps above accounts.
        enqueue("privacy.tasks.erase_user", erasure.pk)
        return Response(envelope(ACCOUNT_CLOSED), status=202)
