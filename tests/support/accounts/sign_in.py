"""Common steps of the tests of accounts: ask for codes, sign in, age rows."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db.models import F
from rest_framework.response import Response
from rest_framework.test import APIClient

from accounts.models import LimitHit, OneTimeCode, Session, User

NUMBER = "+919812345678"
OTHER_NUMBER = "+919812345679"
PASSWORD = "a long enough one"


def post(path: str, body: Any = None, *, ip: str = "127.0.0.1", **extra: Any) -> Response:
    """POST to the API as a stranger; `extra` goes into the WSGI environment."""
    return APIClient().post(f"/api/v1/{path}", body or {}, REMOTE_ADDR=ip, **extra)


def code_for(mobile: str = NUMBER, **options: Any) -> str:
    """Ask for a code; return the digits of the SMS."""
    sent = post("auth/send-otp", {"mobile": mobile}, **options)
    assert sent.status_code == 200, sent.content
    active = OneTimeCode.objects.filter(mobile=mobile, ended_at=None)
    return active.latest("created_at").digits


def verify(otp: Any, mobile: str = NUMBER, **options: Any) -> Response:
    return post("auth/verify-otp", {"mobile": mobile, "otp": otp}, **options)


def sign_in(mobile: str = NUMBER, **options: Any) -> dict[str, Any]:
    """Sign in by code; return the tokens."""
    answer = verify(code_for(mobile, **options), mobile, **options)
    assert answer.status_code == 200, answer.content
    return answer.json()


def api_with(access_token: str) -> APIClient:
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {access_token}")
    return api


def status_of_me(access_token: str) -> int:
    return api_with(access_token).get("/api/v1/user/me").status_code


def wrong(otp: str) -> str:
    return f"{(int(otp) + 1) % 1_000_000:06d}"


def let_pass(period: timedelta) -> None:
    """Age all rows of accounts by a period."""
    LimitHit.objects.update(created_at=F("created_at") - period)
    OneTimeCode.objects.update(
        created_at=F("created_at") - period, expires_at=F("expires_at") - period
    )
    OneTimeCode.objects.exclude(ended_at=None).update(ended_at=F("ended_at") - period)
    Session.objects.update(
        created_at=F("created_at") - period,
        last_used_at=F("last_used_at") - period,
        authenticated_at=F("authenticated_at") - period,
    )
    User.objects.update(last_seen_at=F("last_seen_at") - period)
    Session.objects.exclude(rotated_at=None).update(rotated_at=F("rotated_at") - period)


def statuses(answers: Iterable[Response]) -> list[int]:
    return sorted(answer.status_code for answer in answers)
