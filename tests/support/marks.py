"""Marks that tests of several apps use."""

import pytest

# For tests with threads or processes of their own, which see only what is committed.
transactional = pytest.mark.django_db(transaction=True)
