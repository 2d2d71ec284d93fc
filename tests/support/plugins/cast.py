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
# Triggers fill this table while the tables of files and exports are emptied.
LAST = '"files_blobdeletion"'
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
    """Return a client of the API that is signed in."""
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
    """A client that is signed in to the back office, with every permission."""
    settings.DEBUG = True  # without a second factor
    browser = Client()
    browser.force_login(staff)
    return browser


@pytest.fixture
def staff_client_for(db: None, settings: Any) -> Callable[[str], Client]:
    """`staff_client_for("Support")` is signed in to the back office with that role."""
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
    """Delete the rows of the tables that hold rows, after each test that commits.

    Django truncates every table, and then makes content types and permissions again: that takes
    most of a second. Here content types and permissions stay. Any order of the tables works:
    PostgreSQL checks foreign keys last. TRUNCATE takes ten times as long as DELETE, since TRUNCATE
    makes new files for all tables with references to the table.
    """

    def sql_of_filled_tables(style: Any, connection: Any, **options: Any) -> list[str]:
        tables = set(connection.introspection.django_table_names(only_existing=True))
        quoted = [connection.ops.quote_name(name) for name in sorted(tables - KEPT_TABLES)]
        queries = [f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {name})" for name in quoted]
        with connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(queries))
            names = [name for (name,) in cursor.fetchall()]
        # First: a table whose foreign keys are still to be checked cannot be truncated.
        names = sorted({*names, LAST}, key=lambda name: (name != UNDELETABLE, name == LAST))
        return [TRUNCATE if name == UNDELETABLE else f"DELETE FROM {name}" for name in names]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flush, "sql_flush", sql_of_filled_tables)
        patch.setattr(flush, "emit_post_migrate_signal", lambda *args, **options: None)
        yield


@pytest.fixture(autouse=True, scope="session")
def quick_hashes() -> Iterator[None]:
    """Hash passwords with MD5: a hash of Argon2 takes a tenth of a second.

    The tests of the deployed hasher set the hasher again.
    """
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(autouse=True, scope="session")
def no_collected_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Serve no collected static files.

    Each test client loads the middleware, which reads every file of STATIC_ROOT. The files exist
    where somebody has run collectstatic.
    """
    with override_settings(STATIC_ROOT=tmp_path_factory.mktemp("static")):
        yield


@pytest.fixture(autouse=True)
def empty_redis() -> None:
    """Empty the cache, the queue and the streams before each test."""
    client().flushdb()
    # A test may have another broker.
    broker.cache_clear()
