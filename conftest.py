"""The cast of the tests: alice (owner), bob (stranger), carol (pro), staff."""

import secrets

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import Session, User
from accounts.tokens import sign_access_token
from gemchat.redis import client


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("+919800000001", name="Alice", is_verified=True)


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("+919800000002", name="Bob", is_verified=True)


@pytest.fixture
def carol(db: None) -> User:
    return User.objects.create_user(
        "+919800000003", name="Carol", is_verified=True, tier=User.Tier.PRO
    )


@pytest.fixture
def staff(db: None) -> User:
    return User.objects.create_superuser("+919800000009", "correct horse battery", name="Staff")


def api_for(user: User) -> APIClient:
    """A client of the API that has signed in."""
    now = timezone.now()
    session = Session.objects.create(
        user=user,
        refresh_digest=secrets.token_bytes(32),
        auth_method=Session.AuthMethod.OTP,
        created_at=now,
        last_used_at=now,
        authenticated_at=now,
    )
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {sign_access_token(session)}")
    return api


@pytest.fixture
def alice_api(alice: User) -> APIClient:
    return api_for(alice)


@pytest.fixture
def bob_api(bob: User) -> APIClient:
    return api_for(bob)


@pytest.fixture
def carol_api(carol: User) -> APIClient:
    return api_for(carol)


@pytest.fixture(autouse=True)
def empty_redis() -> None:
    """Each test starts without what another has left in the cache, the queue or a stream."""
    client().flushdb()
