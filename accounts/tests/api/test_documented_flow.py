"""The documented flow: sign-up, code, verification, own account."""

import pytest
from rest_framework.test import APIClient

pytestmark = pytest.mark.django_db

NUMBER = "1234567890"


@pytest.mark.parametrize("slash", ["", "/"])
def test_documented_flow_signs_a_new_number_in(settings, slash):
    settings.OTP_ECHO = True
    client = APIClient()

    signup = client.post(f"/api/v1/auth/signup{slash}", {"mobile": NUMBER})
    sent = client.post(f"/api/v1/auth/send-otp{slash}", {"mobile": NUMBER})
    otp = sent.json()["data"].pop("otp")
    verified = client.post(f"/api/v1/auth/verify-otp{slash}", {"mobile": NUMBER, "otp": otp})
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {verified.json()['access_token']}")
    me = client.get(f"/api/v1/user/me{slash}")

    assert (signup.status_code, sent.status_code, verified.status_code) == (201, 200, 200)
    assert signup.json()["success"] is True
    assert sent.json()["data"] == {"expires_in": 300, "resend_after": 30}
    tokens = verified.json()
    assert tokens["token_type"] == "bearer"
    assert tokens["expires_in"] == 24 * 3600
    assert 30 * 86400 - 5 <= tokens["refresh_expires_in"] <= 30 * 86400
    assert tokens["user"] == me.json()
    assert me.json() == {
        "id": tokens["user"]["id"],
        "mobile": "+911234567890",
        "tier": "basic",
        "name": "",
        "is_verified": True,
        "has_password": False,
        "created_at": tokens["user"]["created_at"],
    }
    assert me.json()["created_at"].endswith("Z")
