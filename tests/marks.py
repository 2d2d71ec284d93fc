"""Marks that tests of several apps use."""

import pytest

# For tests with threads or processes of their own, which see only what is committed. The tables
# are emptied after each; with dj-stripe's hundred among them that would take three times as long.
committed = pytest.mark.django_db(
    transaction=True,
    available_apps=["accounts", "chatrooms", "messaging", "billing", "django_celery_results"],
)
