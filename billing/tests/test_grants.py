"""Pro without Stripe."""

from datetime import timedelta
from functools import partial

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from billing.entitlement import end_expired_grants, end_grant, grant_pro
from billing.models import Grant
from tests.support.payments import deliver, deliver_all, pro, tier_of
from tests.support.plugins.cast import api_for
from tests.support.waiting import in_background, wait_until_blocked


def make_grant(user, *, days=1):
    until = timezone.now() + timedelta(days=days)
    return grant_pro(user=user, until=until, reason="goodwill", by=None)


def run_out(grant):
    now = timezone.now()
    Grant.objects.filter(pk=grant.pk).update(
        created_at=now - timedelta(days=1), until=now - timedelta(seconds=1)
    )


def test_grant_makes_pro_at_once(alice):
    make_grant(alice)

    assert tier_of(alice) == "pro"


def test_grant_taken_back_ends_pro_at_once(alice):
    grant = make_grant(alice)

    assert end_grant(grant) is True
    assert tier_of(alice) == "basic"
    assert end_grant(grant) is False


def test_one_of_two_grants_taken_back_leaves_pro(alice):
    make_grant(alice)

    end_grant(make_grant(alice))

    assert tier_of(alice) == "pro"


def test_grant_that_ran_out_ends_pro_with_the_next_sweep(alice, bob):
    run_out(make_grant(alice))
    make_grant(bob)

    assert end_expired_grants() == {alice.pk: "basic"}
    assert (tier_of(alice), tier_of(bob)) == ("basic", "pro")


def test_grant_outlasts_a_subscription_that_ends(alice, alice_api, stripe):
    subscription = pro(alice_api, stripe)
    make_grant(alice)

    stripe.change(subscription["id"], status="canceled")
    deliver_all(stripe)

    assert tier_of(alice) == "pro"


def test_subscription_outlasts_a_grant_that_ran_out(alice, alice_api, stripe):
    pro(alice_api, stripe)
    run_out(make_grant(alice))

    end_expired_grants()

    assert tier_of(alice) == "pro"


@pytest.mark.parametrize("fields", [{"reason": ""}, {"until": timezone.now() - timedelta(1)}])
def test_grant_needs_a_reason_and_an_end_to_come(alice, fields):
    given = {"until": timezone.now() + timedelta(1), "reason": "goodwill"} | fields

    with pytest.raises(IntegrityError), transaction.atomic():
        Grant.objects.create(user=alice, **given)


@pytest.mark.django_db(transaction=True)
def test_grant_and_end_of_a_subscription_at_once_leave_pro(alice, stripe):
    subscription = pro(api_for(alice), stripe)
    stripe.change(subscription["id"], status="canceled")

    with transaction.atomic():
        make_grant(alice)
        # Waits for alice, whom this transaction has locked, before it looks at grants.
        end = in_background(partial(deliver, stripe.events[-1]))
        wait_until_blocked()
    assert end.result(20) == [200]

    assert tier_of(alice) == "pro"
