"""The calls of accounts for docs/openapi.json."""

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from accounts.api import serializers as shapes
from accounts.api.idempotency import (
    IdempotencyInProgress,
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
)
from accounts.api.views import ACCOUNT_CLOSED, CODE_SENT, SessionViewSet, SignInViewSet, UserViewSet
from accounts.auth.absence import ConfirmationInvalid, ConfirmationRequired, PasswordRequired
from accounts.auth.challenges import ChallengeRequired
from accounts.auth.hashers import Overloaded
from accounts.auth.passwords import CurrentPasswordRequired, CurrentPasswordWrong
from accounts.auth.rate_limits import RateLimited
from accounts.auth.sessions import InvalidRefreshToken, RecentSignInRequired, RefreshInProgress
from accounts.auth.sign_in import AccountClosing, AccountDisabled, CodeInvalid, InvalidCredentials
from accounts.auth.sms_budgets import SmsBudgetSpent
from accounts.models.sessions import MOST_SESSIONS
from gemchat.api.openapi import UUID_SCHEMA, Constant, action, call, describe, query
from gemchat.api.pagination import DEFAULT_LIMIT, MAX_LIMIT

# Problems of calls with an Idempotency-Key.
KEY_PROBLEMS = [IdempotencyKeyInvalid, IdempotencyKeyReused, IdempotencyInProgress]

MOBILE = {"mobile": "+919812345678"}
USER = {
    "id": "01a20791-5197-747c-b8b0-04069d27faa6",
    "mobile": "+919812345678",
    "tier": "basic",
    "name": "Asha",
    "is_verified": True,
    "has_password": False,
    "created_at": "2026-11-23T08:41:33.847909Z",
}
SIGNED_IN = {
    "access_token": "eyJhbGciOiJIUzI1NiIs…",
    "token_type": "bearer",
    "expires_in": 86400,
    "refresh_token": "AaIHkVGYcCSj…",
    "refresh_expires_in": 2591999,
    "message": "Signed in.",
    "user": USER,
}


class MobileFieldSchema(OpenApiSerializerFieldExtension):
    target_class = "accounts.api.serializers.MobileField"
    match_subclasses = True
    priority = 1

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        return {
            "type": "string",
            "pattern": r"^[^0-9]*(?:[0-9][^0-9]*){10,15}$",
            "description": "`+` and 10 to 15 digits, or the national format of the server's"
            " region. Spaces, dashes, points, parentheses, invisible characters and `tel:` are"
            " left out. Refused: numbers that no plan has, premium-rate and toll-free numbers,"
            " personal numbers, pagers, company numbers, voicemail and satellites.",
        }


class DigitsFieldSchema(OpenApiSerializerFieldExtension):
    target_class = "accounts.api.serializers.DigitsField"
    priority = 1

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        return {"type": "string", "pattern": "^[0-9]{6}$"}


class NewPasswordFieldSchema(OpenApiSerializerFieldExtension):
    target_class = "accounts.api.serializers.NewPasswordField"
    priority = 1

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        return {
            "type": "string",
            "pattern": r"^[^\u0000]{8,}$",
            "description": "Common passwords are refused.",
        }


class SignedIn(serializers.Serializer[Any]):
    access_token = serializers.CharField()
    token_type = Constant("bearer")
    expires_in = serializers.IntegerField(help_text="Seconds.")
    refresh_token = serializers.CharField(help_text="Good for one exchange.")
    refresh_expires_in = serializers.IntegerField(help_text="Seconds.")
    message = serializers.CharField()
    user = shapes.UserSerializer()


class SignUpToken(serializers.Serializer[Any]):
    signup_token = serializers.CharField()


class CheckedMobile(serializers.Serializer[Any]):
    mobile = serializers.CharField(help_text="In E.164.")
    formatted = serializers.CharField(help_text="With spaces, for people.")
    country = serializers.CharField(help_text="As IN; the calling code of a satellite.")


class CodeSent(serializers.Serializer[Any]):
    expires_in = serializers.IntegerField(help_text="Seconds that the code is good for.")
    resend_after = serializers.IntegerField(help_text="Seconds until the next code can be sent.")
    otp = serializers.CharField(required=False, help_text="In development alone.")


CODE_SENT_ANSWER = (
    action("CodeSentAnswer", CodeSent()),
    {
        "success": True,
        "message": CODE_SENT,
        "data": {"expires_in": 300, "resend_after": 30},
    },
)

describe(
    SignInViewSet,
    signup=call(
        "signUp",
        "Sign up with a mobile number",
        description="The answer is the same for a known number. A sign-up with a password gets a"
        " `signup_token`; the code together with that token sets the password.",
        body=(shapes.SignUpSerializer, MOBILE),
        answers={
            201: (
                action("SignUpAnswer", SignUpToken(allow_null=True)),
                {
                    "success": True,
                    "message": "Signed up. Ask for a code to verify the number.",
                    "data": None,
                },
            )
        },
        problems=[RateLimited, Overloaded],
        is_public=True,
    ),
    check_mobile=call(
        "checkMobile",
        "Read a mobile number as `send-otp` does, without a code",
        description="For a form that shows how a number is understood.",
        body=(shapes.MobileToCheckSerializer, {"mobile": "098123 45678"}),
        answers={
            200: (
                CheckedMobile,
                {**MOBILE, "formatted": "+91 98123 45678", "country": "IN"},
            )
        },
        is_public=True,
    ),
    send_otp=call(
        "sendCode",
        "Send a one-time code",
        description="While much is sent, the first answer is 403 `challenge_required`: solve"
        " `challenge`, and send the call again with `challenge_solution`. docs/api.md shows how.",
        body=(shapes.SendCodeSerializer, MOBILE),
        answers={200: CODE_SENT_ANSWER},
        problems=[ChallengeRequired, RateLimited, SmsBudgetSpent],
        is_public=True,
    ),
    forgot_password=call(
        "forgotPassword",
        "Send a code with which a new password can be set",
        description="As `send-otp`: the session that the code opens may change the password.",
        body=(shapes.SendCodeSerializer, MOBILE),
        answers={200: CODE_SENT_ANSWER},
        problems=[ChallengeRequired, RateLimited, SmsBudgetSpent],
        is_public=True,
    ),
    verify_otp=call(
        "signInWithCode",
        "Sign in with a one-time code",
        description="After half a year without use, a code alone opens no account: the number may"
        " be another person's by now. The answer is then 403 `confirmation_required` with a"
        " `confirmation_token` for `confirm-account`, its `expires_in`, and `has_password`.",
        body=(shapes.VerifyCodeSerializer, {**MOBILE, "otp": "076326"}),
        answers={200: (SignedIn, SIGNED_IN)},
        problems=[CodeInvalid, AccountDisabled, AccountClosing, ConfirmationRequired, RateLimited],
        is_public=True,
    ),
    confirm_account=call(
        "confirmAccount",
        "Sign in after a long absence, or start with a new account",
        description="With `mine` the account opens; an account with a password needs the"
        " `password`. With `start_new` a new, empty account gets the number. The old account is"
        " closed, its subscription ends at once, and its data is erased after 30 days. A token is"
        " good for one decision, and for ten minutes.",
        body=(
            shapes.ConfirmAccountSerializer,
            {"confirmation_token": "WyIwMWEyMDc5MS01…", "choice": "mine"},
        ),
        answers={200: (SignedIn, SIGNED_IN)},
        problems=[
            ConfirmationInvalid,
            PasswordRequired,
            InvalidCredentials,
            RateLimited,
            Overloaded,
        ],
        is_public=True,
    ),
    login=call(
        "signInWithPassword",
        "Sign in with a password",
        body=(shapes.LoginSerializer, {**MOBILE, "password": "correct horse battery"}),
        answers={200: (SignedIn, SIGNED_IN)},
        problems=[InvalidCredentials, RateLimited, Overloaded],
        is_public=True,
    ),
    refresh=call(
        "refresh",
        "Exchange the refresh token for new tokens",
        description="A refresh token is good once. One that is used again, later than ten seconds"
        " after the first time, ends the session. The cookie of the web pages is no refresh token"
        " here.",
        body=(shapes.RefreshSerializer, {"refresh_token": "AaIHkVGYcCSj…"}),
        answers={200: (SignedIn, {**SIGNED_IN, "message": "Refreshed."})},
        problems=[InvalidRefreshToken, RefreshInProgress],
        is_public=True,
    ),
)

DONE_ANSWER = action("DoneAnswer")

describe(
    SessionViewSet,
    change_password=call(
        "changePassword",
        "Set or change the password",
        description="`new_password` alone will do in the ten minutes after a code was entered."
        " The first password needs a sign-in of the last ten minutes. Every other session ends.",
        body=(shapes.ChangePasswordSerializer, {"new_password": "correct horse battery"}),
        answers={
            200: (
                DONE_ANSWER,
                {
                    "success": True,
                    "message": "The password is changed. Other sessions have ended.",
                    "data": None,
                },
            )
        },
        problems=[
            CurrentPasswordRequired,
            CurrentPasswordWrong,
            RecentSignInRequired,
            RateLimited,
            Overloaded,
        ],
    ),
    logout=call("logOut", "End this session", answers={204: None}),
    logout_all=call("logOutEverywhere", "End every session", answers={204: None}),
    sessions=call(
        "listSessions",
        "The live sessions, the newest first",
        description=f"At most {MOST_SESSIONS} sessions of a user live: a sign-in ends the oldest.",
        parameters=[
            query(
                "limit",
                {"type": "integer", "minimum": 1, "default": DEFAULT_LIMIT},
                f"More than {MAX_LIMIT} is {MAX_LIMIT}.",
            ),
            query("cursor", {"type": "string"}, "From the `Link` header; opaque."),
        ],
        headers=["Link"],
        problems=["invalid_cursor", "validation_error"],
        answers={
            200: (
                shapes.SessionSerializer(many=True),
                {
                    "id": "01a20791-5190-7a6c-8a53-30c8a8a1d3c4",
                    "current": True,
                    "created_at": "2026-11-23T08:41:33.847909Z",
                    "last_used_at": "2026-11-23T08:41:33.847909Z",
                    "ip": "203.0.113.5",
                    "user_agent": "curl/8.5.0",
                },
            )
        },
    ),
    session=call(
        "endSession",
        "End a session",
        parameters=[OpenApiParameter("session_id", UUID_SCHEMA, "path")],
        answers={204: None},
    ),
)

describe(
    UserViewSet,
    retrieve=call(
        "readUser", "The user's own account", answers={200: (shapes.UserSerializer, USER)}
    ),
    partial_update=call(
        "changeUser",
        "Change the name",
        body=(shapes.UserSerializer(partial=True), {"name": "Asha"}),
        answers={200: (shapes.UserSerializer, USER)},
    ),
    destroy=call(
        "deleteUser",
        "Close the account and erase all that is kept about the user",
        description="The account is closed at once; the rest is done in the background, the"
        " subscription at Stripe first. It wants a sign-in of the last ten minutes.",
        answers={
            202: (
                DONE_ANSWER,
                {
                    "success": True,
                    "message": ACCOUNT_CLOSED,
                    "data": None,
                },
            )
        },
        problems=[RecentSignInRequired],
    ),
)
