"""A fake Stripe on loopback, and the settings that lead to it."""

from collections.abc import Iterator

import pytest

from billing.stripe import client
from billing.tests.plans import with_plan
from tests.support.fakes.stripe_api import FakeStripe
from tests.support.payments import KEY, PRICE, SECRET


@pytest.fixture
def stripe(settings) -> Iterator[FakeStripe]:
    with FakeStripe(secret_key=KEY) as fake:
        fake.add_price(PRICE)
        settings.STRIPE_API_BASE = fake.url
        settings.STRIPE_SECRET_KEY = settings.STRIPE_TEST_SECRET_KEY = KEY
        with_plan(settings, "pro", stripe_price_ids=[PRICE])
        settings.STRIPE_WEBHOOK_SECRETS = [SECRET]
        client.configure()
        yield fake
    settings.STRIPE_API_BASE = ""
    settings.STRIPE_SECRET_KEY = ""
    client.configure()
