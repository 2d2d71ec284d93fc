"""Leases that are renewed while a process works."""

import pytest
from django.db import OperationalError

from gemchat.stores.leases import renewed_lease
from tests.support.marks import transactional
from tests.support.waiting import eventually

pytestmark = transactional


def test_lease_is_renewed_until_the_end_of_the_block() -> None:
    renewals: list[int] = []

    def renew() -> None:
        renewals.append(1)
        if len(renewals) == 1:
            raise OperationalError

    with renewed_lease(renew, every_seconds=0.01):
        eventually(lambda: len(renewals) > 2)
    count = len(renewals)

    with pytest.raises(AssertionError):
        eventually(lambda: len(renewals) > count, seconds=0.1)
