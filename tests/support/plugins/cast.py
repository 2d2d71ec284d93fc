"""The cast of the tests: alice (owner), bob (stranger), carol (pro), staff."""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management.commands import flush
from django.test import Client, override_settings
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.auth.tokens import sign_access_token
from accounts.models import Session, User
from backoffice.roles import sync_roles
from gemchat.stores.redis import broker, client

KEPT_TABLES = {"auth_permission", "django_content_type", "django_migrations"}
UNDELETABLE = '"accounts_auditevent"'
# PostgreSQL truncates a table only together with those that refer to it.
TRUNCATE = f'TRUNCATE {UNDELETABLE}, "accounts_auditaddress"'


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
def staff_client(staff: User, settings: Any) -> Client:
    """A browser in which staff who may do everything are signed in to the back office."""
    settings.DEBUG = True  # without a second factor
    browser = Client()
    browser.force_login(staff)
    return browser


@pytest.fixture
def staff_client_for(db: None, settings: Any) -> Callable[[str], Client]:
    """`staff_client_for("Support")`: a browser in which a member of staff of that role is signed in."""
    settings.DEBUG = True
    sync_roles()

    def signed_in(role: str) -> Client:
        member = User.objects.create_user("+919800000008", is_staff=True)
        member.groups.set(Group.objects.filter(name=role))
        browser = Client()
        browser.force_login(member)
        return browser

    return signed_in


@pytest.fixture
def alice_api(alice: User) -> APIClient:
    return api_for(alice)


@pytest.fixture
def bob_api(bob: User) -> APIClient:
    return api_for(bob)


@pytest.fixture
def carol_api(carol: User) -> APIClient:
    return api_for(carol)


@pytest.fixture(autouse=True, scope="session")
def quick_flush() -> Iterator[None]:
    """Empty the tables that hold rows, of the hundred that dj-stripe brings along.

    After a test that commits, Django truncates every table and then makes the content types and
    permissions anew, which takes most of a second; those stay here. Rows are deleted, in any order
    as foreign keys are looked at last: to truncate takes ten times as long, since it makes new
    files for a table, for its indexes and for all that refer to it.
    """

    def filled(style: Any, connection: Any, **options: Any) -> list[str]:
        tables = set(connection.introspection.django_table_names(only_existing=True))
        quoted = [connection.ops.quote_name(name) for name in sorted(tables - KEPT_TABLES)]
        looks = [f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {name})" for name in quoted]
        with connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(looks))
            names = [name for (name,) in cursor.fetchall()]
        # First, since nothing that waits for its foreign keys to be looked at can be truncated.
        names.sort(key=lambda name: name != UNDELETABLE)
        return [TRUNCATE if name == UNDELETABLE else f"DELETE FROM {name}" for name in names]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flush, "sql_flush", filled)
        patch.setattr(flush, "emit_post_migrate_signal", lambda *args, **options: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def no_collected_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Each client of a test loads the middleware, and with it looks at each collected file.

    They are there where a test of a deployment, or anybody, has collected them.
    """
    with override_settings(STATIC_ROOT=tmp_path_factory.mktemp("static")):
        yield


@pytest.fixture(autouse=True)
def empty_redis() -> None:
    """Each test starts without what another has left in the cache, the queue or a stream."""
    client().flushdb()
    # A test may have another broker.
    broker.cache_clear()
