"""Stripe's mirror is there to read; what staff can do asks for a permission and leaves a trace."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from djstripe.models import Charge, Customer, Dispute, Event, Session, Subscription

from accounts.models import User
from billing.models import Flag, Grant
from billing.tests.paying import deliver_all, pro, tier_of

MIRRORED = [Customer, Subscription, Session, Event, Charge, Dispute]


@pytest.fixture
def admin(client, staff, settings):
    settings.DEBUG = True  # signs in without a second factor
    client.force_login(staff)
    return client


@pytest.fixture
def helper(client, db, settings):
    """Signed in as staff who may do nothing."""
    settings.DEBUG = True
    client.force_login(User.objects.create_user("+919800000008", is_staff=True))
    return client


@pytest.fixture
def subscription(alice, alice_api, stripe):
    subscription = pro(alice_api, stripe)
    alice.refresh_from_db()
    stripe.dispute(stripe.charge(alice.stripe_customer_id)["id"])
    deliver_all(stripe)
    return subscription


def url(model, view="changelist", *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{view}", args=args)


def act(client, model, action, *rows):
    chosen = {"action": action, "_selected_action": [row.pk for row in rows]}
    return client.post(url(model), chosen, follow=True)


@pytest.mark.parametrize("model", MIRRORED)
def test_mirror_is_listed_searched_and_shown(admin, alice, subscription, model):
    row = model.objects.latest("pk")

    assert row.id in admin.get(url(model)).content.decode()
    assert admin.get(url(model), {"q": "nothing"}).status_code == 200
    assert row.id in admin.get(url(model), {"q": row.id}).content.decode()
    assert row.id in admin.get(url(model, "change", row.pk)).content.decode()


@pytest.mark.parametrize("model", [Customer, Subscription])
def test_mirror_is_found_by_the_users_number(admin, alice, subscription, model):
    page = admin.get(url(model), {"q": alice.mobile[3:]})

    assert model.objects.get().id in page.content.decode()


@pytest.mark.parametrize("model", MIRRORED)
def test_mirror_can_not_be_changed(admin, subscription, model):
    row = model.objects.latest("pk")

    assert admin.post(url(model, "change", row.pk), {"id": "x"}).status_code == 403
    assert admin.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert admin.get(url(model, "add")).status_code == 403


@pytest.mark.parametrize("model", ["apikey", "webhookendpoint", "idempotencykey", "invoice"])
def test_secrets_and_what_fails_are_not_shown_at_all(model):
    with pytest.raises(NoReverseMatch):
        reverse(f"admin:djstripe_{model}_changelist")


def test_staff_without_permission_can_not_cancel_at_stripe(helper, subscription, stripe):
    row = Subscription.objects.get()
    path = "/admin/djstripe/subscription/action/_cancel/subscription/"

    answer = helper.post(path, {"_selected_action": [row.pk], "action": "_cancel"}, follow=True)

    assert answer.status_code == 403
    assert stripe.objects["subscriptions"][subscription["id"]]["status"] == "active"


@pytest.mark.parametrize("model", [*MIRRORED, Grant, Flag])
def test_staff_without_permission_see_nothing(helper, model):
    assert helper.get(url(model)).status_code == 403


def test_fetching_again_heals_and_leaves_a_trace(admin, alice, subscription, stripe):
    stripe.change(subscription["id"], status="canceled")

    act(admin, Subscription, "fetch_again", Subscription.objects.get())

    assert tier_of(alice) == "basic"
    assert "Fetched again" in LogEntry.objects.get().change_message


def test_fetching_again_asks_for_a_permission(helper, alice, subscription, stripe):
    reader = User.objects.get(mobile="+919800000008")
    reader.user_permissions.add(Permission.objects.get(codename="view_subscription"))
    stripe.change(subscription["id"], status="canceled")

    act(helper, Subscription, "fetch_again", Subscription.objects.get())

    assert tier_of(alice) == "pro"


def test_fetching_again_while_stripe_is_down_says_so(admin, subscription, stripe):
    stripe.fail("GET", "/v1/subscriptions", status=500, times=9)

    page = act(admin, Customer, "fetch_again", Customer.objects.get())

    assert "payment service" in page.content.decode()
    assert not LogEntry.objects.exists()


def test_grant_is_given_and_taken_back(admin, alice, staff):
    until = timezone.now() + timezone.timedelta(days=3)
    form = {"user": alice.pk, "reason": "goodwill", "until_0": f"{until:%Y-%m-%d}"}

    admin.post(url(Grant, "add"), {**form, "until_1": "12:00:00"})

    grant = Grant.objects.get()
    assert (tier_of(alice), grant.granted_by) == ("pro", staff)

    act(admin, Grant, "end", grant)
    assert tier_of(alice) == "basic"
    assert LogEntry.objects.count() == 2


def test_grant_that_makes_no_sense_is_refused_in_the_form(admin, alice):
    form = {"user": alice.pk, "reason": "goodwill", "until_0": "2020-01-01", "until_1": "12:00:00"}

    page = admin.post(url(Grant, "add"), form)

    assert page.status_code == 200
    assert not Grant.objects.exists()


def test_flag_is_settled(admin, alice, subscription):
    flag = Flag.objects.get()

    act(admin, Flag, "resolve", flag)

    flag.refresh_from_db()
    assert flag.resolved_at is not None
