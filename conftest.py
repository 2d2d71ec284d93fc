"""The cast of the tests: alice (owner), bob (stranger), carol (pro), staff."""

import pytest

from accounts.models import User


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
