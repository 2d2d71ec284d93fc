"""Batches in key order: every row once, also while rows are deleted."""

from typing import Any

import pytest

from accounts.models import User
from gemchat.stores.batches import in_key_order

pytestmark = pytest.mark.django_db


@pytest.fixture
def users() -> list[User]:
    return [User.objects.create_user(f"+9198765000{number:02}") for number in range(5)]


@pytest.mark.parametrize(
    ("queryset", "key"),
    [
        (User.objects.all(), lambda row: row.pk),
        (User.objects.values("id", "name"), lambda row: row["id"]),
        (User.objects.values_list("pk", flat=True), lambda row: row),
    ],
    ids=["instances", "dictionaries", "keys"],
)
def test_batches_have_every_row_once_in_key_order(users: list[User], queryset: Any, key: Any):
    batches = list(in_key_order(queryset.all(), 2))

    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert [key(row) for batch in batches for row in batch] == sorted(user.pk for user in users)


def test_rows_that_are_deleted_between_batches_hide_no_other_row(users: list[User]):
    seen = []

    for batch in in_key_order(User.objects.values_list("pk", flat=True), 2):
        seen += batch
        User.objects.filter(pk__in=batch).delete()

    assert seen == sorted(user.pk for user in users)
