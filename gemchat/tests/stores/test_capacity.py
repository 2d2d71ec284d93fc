"""Pools, threads and PostgreSQL's limits fit, and statements that would take too long are ended."""

import pytest
from django.db import connection

from gemchat.checks import check_pool, check_server
from gemchat.stores.postgres import LimitedConnection


def ids(found) -> list[str]:
    return [message.id for message in found]


def test_pool_has_a_connection_for_each_thread(settings) -> None:
    assert check_pool() == []

    settings.WEB_THREADS = settings.DATABASE_POOL_SIZE

    assert ids(check_pool()) == ["gemchat.E030"]


@pytest.mark.django_db
def test_server_has_connections_for_web_and_worker(settings) -> None:
    assert check_server(databases=["default"]) == []

    settings.DATABASE_POOL_SIZE = 1000

    assert ids(check_server(databases=["default"])) == ["gemchat.W031"]


def test_server_is_not_asked_where_checks_are_to_do_without() -> None:
    assert check_server(databases=None) == []


@pytest.mark.django_db
def test_tests_and_commands_wait_as_long_as_it_takes() -> None:
    with connection.cursor() as cursor:
        for name in ("statement_timeout", "lock_timeout"):
            cursor.execute(f"SHOW {name}")
            assert cursor.fetchone() == ("0",)
    assert LimitedConnection.wait_seconds is None
