"""Statements that are planned once for each connection."""

from typing import Any

import psycopg
import pytest
from django.db import DataError, connection, transaction
from django.utils import timezone

from accounts.models import AuditEvent, Session, User
from chatrooms.models import Chatroom
from gemchat.stores.statements import CompiledQuery, execute_pipeline, fetch, insert_into
from messaging.models import GeminiModel, Message, ModelPrice

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
    _, named = execute_pipeline([NAME, NAMED], {"name": "Alice", "user": alice.pk})

    assert named.fetchall() == [("Alice",)]


@pytest.mark.django_db(transaction=True)
def test_statements_together_are_one_transaction_and_fail_as_djangos_do(alice: User) -> None:
    with pytest.raises(DataError) as caught:
        execute_pipeline([NAME, FAILS], {"name": "Nobody", "user": alice.pk, "zero": 0})

    assert isinstance(caught.value.__cause__, psycopg.errors.DivisionByZero)
    alice.refresh_from_db()
    assert alice.name != "Nobody"
    assert fetch(NAMED, {"user": alice.pk}) == [(alice.name,)]


@pytest.mark.django_db(transaction=True)
def test_statement_is_prepared_anew_after_a_rollback(alice: User) -> None:
    """psycopg then drops all of them, since their tables may be gone."""
    fetch(NAMED, {"user": alice.pk})
    with transaction.atomic():
        fetch(NAMED, {"user": alice.pk})
        transaction.set_rollback(True)

    assert fetch(NAMED, {"user": alice.pk}) == [(alice.name,)]


@pytest.mark.django_db
@pytest.mark.parametrize("model", [User, Session, Chatroom, Message, GeminiModel])
def test_compiled_query_reads_what_the_orm_reads(model: Any, alice: User) -> None:
    room = Chatroom.objects.create_room(user=alice)
    now = timezone.now()
    Session.objects.create(
        user=alice,
        refresh_digest=b"1",
        created_at=now,
        last_used_at=now,
        auth_method="otp",
        authenticated_at=now,
    )
    Message.objects.create(
        chatroom=room, user=alice, sender="user", status="complete", created_at=now
    )

    row = CompiledQuery(model.objects.order_by("pk")).get_or_none([])

    assert row is not None
    same = model.objects.get(pk=row.pk)
    for field in model._meta.concrete_fields:
        assert getattr(row, field.attname) == getattr(same, field.attname)


def test_compiled_query_refuses_a_field_that_converts_its_values() -> None:
    with pytest.raises(TypeError, match="AuditEvent.details"):
        CompiledQuery(AuditEvent.objects.all())


PRICE = {"from_day": "%(day)s", "input": "1", "cached": "2", "output": "3", "model_id": "%(name)s"}


def test_insert_has_the_default_of_each_column_that_is_not_given() -> None:
    statement = insert_into(ModelPrice, PRICE, alias="made")

    assert statement == (
        "INSERT INTO messaging_modelprice AS made (model_id, from_day, input, cached, output, "
        "audio_input, search_query)\nSELECT %(name)s, %(day)s, 1, 2, 3, NULL, 14000"
    )


@pytest.mark.parametrize(
    "values", [{**PRICE, "from_day": ""}, {**PRICE, "day_name": "1"}], ids=["no value", "no column"]
)
def test_insert_without_a_value_or_without_a_column_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="day"):
        insert_into(ModelPrice, values)
