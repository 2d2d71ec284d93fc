"""Settings of billing that make no sense stop the start."""

import pytest
from django.core.checks import run_checks

from billing.checks import check_settings
from billing.tests.plans import with_plan
from tests.support.payments import KEY


def ids():
    return [found.id for found in check_settings()]


def test_settings_without_stripe_are_fine(settings):
    assert ids() == []


def test_settings_with_stripe_are_fine(stripe):
    assert ids() == []


@pytest.mark.parametrize(
    ("tier", "field", "value", "variable"),
    [
        ("basic", "daily_limit", -1, "BASIC_DAILY_LIMIT"),
        ("pro", "daily_limit", -1, "PRO_DAILY_LIMIT"),
        ("basic", "concurrent_replies", 0, "BASIC_CONCURRENT_REPLIES"),
        ("pro", "concurrent_replies", 0, "PRO_CONCURRENT_REPLIES"),
        ("pro", "daily_cost_usd", float("nan"), "PRO_DAILY_COST_USD"),
    ],
)
def test_limit_that_is_too_low_is_an_error(settings, tier, field, value, variable):
    with_plan(settings, tier, **{field: value})

    [found] = check_settings()

    assert (found.id, found.msg.startswith(f"{variable} is ")) == ("billing.E001", True)


@pytest.mark.parametrize("key", ["sk_test_short", f"pk_{KEY[3:]}", "rk_live_short", f"{KEY}\n"])
def test_key_of_another_kind_is_an_error(stripe, settings, key):
    settings.STRIPE_SECRET_KEY = key

    assert ids() == ["billing.E002"]


def test_missing_price_is_an_error(stripe, settings):
    with_plan(settings, "pro", stripe_price_ids=[])

    assert ids() == ["billing.E003"]


def test_wrong_webhook_secret_is_an_error(stripe, settings):
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_ok", "secret"]

    assert ids() == ["billing.E004"]


def test_missing_webhook_secret_is_a_warning(stripe, settings):
    settings.STRIPE_WEBHOOK_SECRETS = []

    assert ids() == ["billing.W001"]


def test_checks_need_no_database():
    # pytest-django refuses every query of a test that does not ask for the database.
    run_checks()
