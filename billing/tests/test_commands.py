"""The commands of billing, as one JSON object each."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from billing.models import DailyQuota, Grant
from billing.stripe.setup import LOOKUP_KEY
from billing.tests.plans import with_plan
from tests.support.fakes.stripe_api import FakeStripe
from tests.support.payments import KEY, tier_of

URL = "https://chat.example"
SETUP = ("stripe_setup", "--url", URL, "--amount", "49900")


def run(*arguments):
    out = StringIO()
    call_command(*arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_grant_pro_makes_pro(alice):
    report = run("grant_pro", "--mobile", alice.mobile, "--days", "30", "--reason", "goodwill")

    assert report["tier"] == tier_of(alice) == "pro"
    assert Grant.objects.get().reason == "goodwill"


@pytest.mark.parametrize(("days", "reason"), [("0", "x"), ("99999", "x"), ("1", "")])
def test_grant_pro_refuses_what_makes_no_sense(alice, days, reason):
    with pytest.raises(CommandError):
        run("grant_pro", "--mobile", alice.mobile, "--days", days, "--reason", reason)

    assert tier_of(alice) == "basic"


def test_quota_show_tells_of_today(alice, settings):
    DailyQuota.objects.reserve(user=alice)

    report = run("quota_show", "--mobile", alice.mobile)

    assert (report["tier"], report["used"]) == ("basic", 1)
    assert report["limit"] == settings.PLANS["basic"].daily_limit


def test_quota_reset_gives_today_back(alice, bob):
    for user in (alice, alice, bob):
        DailyQuota.objects.reserve(user=user)

    report = run("quota_reset", "--mobile", alice.mobile)

    assert (report["given_back"], report["used"]) == (2, 0)
    assert DailyQuota.objects.usage(user=bob).used == 1


@pytest.mark.parametrize("command", ["quota_show", "quota_reset"])
def test_unknown_number_fails(db, command):
    with pytest.raises(CommandError, match="no user"):
        run(command, "--mobile", "+919800000099")


def test_stripe_setup_makes_what_is_missing_and_prints_it(stripe):
    report = run(*SETUP)

    [price] = [p for p in stripe.objects["prices"].values() if p.get("lookup_key") == LOOKUP_KEY]
    [endpoint] = stripe.objects["webhook_endpoints"].values()
    assert endpoint["url"] == f"{URL}/api/v1/subscription/webhook/stripe"
    assert "customer.subscription.deleted" in endpoint["enabled_events"]
    assert report["STRIPE_PRO_PRICE_ID"] == price["id"]
    assert report["STRIPE_WEBHOOK_SECRET"].startswith("whsec_")
    assert report["STRIPE_PORTAL_CONFIGURATION"].startswith("bpc_")
    assert len(report["made"]) == 3


def test_stripe_setup_again_finds_it(stripe):
    first = run(*SETUP)

    again = run(*SETUP)

    assert (again["made"], len(again["found"])) == ([], 3)
    assert again["STRIPE_PRO_PRICE_ID"] == first["STRIPE_PRO_PRICE_ID"]
    assert "STRIPE_WEBHOOK_SECRET" not in again
    assert len(stripe.objects["webhook_endpoints"]) == 1


def test_stripe_setup_dry_run_makes_nothing(stripe):
    report = run(*SETUP, "--dry-run")

    assert len(report["made"]) == 3
    assert {request.method for request in stripe.requests} == {"GET"}


def test_stripe_setup_needs_a_key_alone(stripe: FakeStripe, settings):
    settings.STRIPE_WEBHOOK_SECRETS = []
    with_plan(settings, "pro", stripe_price_ids=[])

    assert run(*SETUP)["STRIPE_PRO_PRICE_ID"]

    settings.STRIPE_SECRET_KEY = ""
    with pytest.raises(CommandError, match="STRIPE_SECRET_KEY"):
        run(*SETUP)


def test_stripe_setup_tells_why_stripe_refused(stripe):
    stripe.secret_key = KEY + "0"

    with pytest.raises(CommandError, match="Invalid API Key"):
        run(*SETUP)
