"""Statements that are planned once for each connection."""

import psycopg
import pytest
from django.db import DataError, connection, transaction

from accounts.models import User
from gemchat.stores.statements import execute_together, fetch

ADDED = "SELECT %(one)s::bigint + %(other)s::bigint"
NAME = "UPDATE accounts_user SET name = %(name)s WHERE id = %(user)s"
NAMED = "SELECT name FROM accounts_user WHERE id = %(user)s"
FAILS = "SELECT 1 / %(zero)s"


def prepared() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        return [statement for (statement,) in cursor.fetchall()]


@pytest.mark.django_db
def test_statement_is_prepared_once_whatever_the_size_of_its_numbers() -> None:
    before = prepared()

    found = [fetch(ADDED, {"one": one, "other": 1}) for one in (1, 100_000, 2**40)]

    assert found == [[(2,)], [(100_001,)], [(2**40 + 1,)]]
    assert [each for each in prepared() if each not in before] == ["SELECT $1::bigint + $2::bigint"]


@pytest.mark.django_db
def test_djangos_own_statements_are_neither_prepared_nor_counted() -> None:
    fetch(ADDED, {"one": 1, "other": 1})
    before = prepared()

    for _ in range(10):
        User.objects.filter(mobile="+10").exists()

    assert prepared() == before
    # With a threshold psycopg would keep the text of everything that is executed.
    assert connection.connection.prepare_threshold is None


@pytest.mark.django_db(transaction=True)
def test_statements_together_see_what_those_before_them_wrote(alice: User) -> None:
    _, named = execute_together([NAME, NAMED], {"name": "Alice", "user": alice.pk})

    assert named.fetchall() == [("Alice",)]


@pytest.mark.django_db(transaction=True)
def test_statements_together_are_one_transaction_and_fail_as_djangos_do(alice: User) -> None:
    with pytest.raises(DataError) as caught:
        execute_together([NAME, FAILS], {"name": "Nobody", "user": alice.pk, "zero": 0})

    assert isinstance(caught.value.__cause__, psycopg.errors.DivisionByZero)
    alice.refresh_from_db()
    assert alice.name != "Nobody"
    assert fetch(NAMED, {"user": alice.pk}) == [(alice.name,)]


@pytest.mark.django_db(transaction=True)
def test_statement_is_prepared_anew_after_a_rollback(alice: User) -> None:
    """psycopg forgets all of them then, as what they name may be gone."""
    fetch(NAMED, {"user": alice.pk})
    with transaction.atomic():
        fetch(NAMED, {"user": alice.pk})
        transaction.set_rollback(True)

    assert fetch(NAMED, {"user": alice.pk}) == [(alice.name,)]
