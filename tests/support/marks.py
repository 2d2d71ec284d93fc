"""Marks for tests of several apps."""

import pytest

# For tests that start threads or processes: those see only committed rows.
transactional = pytest.mark.django_db(transaction=True)
