"""Stripe's mirror is there to read; what staff can do asks for a permission and leaves a trace."""

import pytest
from django.contrib.auth.models import Permission
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from djstripe.models import (
    Charge,
    Customer,
    Dispute,
    Event,
    Session,
    Subscription,
    WebhookEventTrigger,
)

from accounts.models import AuditEvent, User
from billing.entitlement import grant_pro
from billing.models import BillingAction, Flag, Grant
from billing.tests.paying import deliver, deliver_all, pro, subscribe, tier_of
from tests.desk import act, events, told, url

MIRRORED = [Customer, Subscription, Session, Event, Charge, Dispute]


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


@pytest.mark.parametrize("model", MIRRORED)
def test_mirror_is_listed_searched_and_shown(desk, alice, subscription, model):
    row = model.objects.latest("pk")

    assert row.id in desk.get(url(model)).content.decode()
    assert desk.get(url(model), {"q": "nothing"}).status_code == 200
    assert row.id in desk.get(url(model), {"q": row.id}).content.decode()
    assert row.id in desk.get(url(model, "change", row.pk)).content.decode()


@pytest.mark.parametrize("model", [Customer, Subscription])
def test_mirror_is_found_by_the_users_number(desk, alice, subscription, model):
    page = desk.get(url(model), {"q": alice.mobile[3:]})

    assert model.objects.get().id in page.content.decode()


def test_mirror_as_a_file_has_no_links(desk, alice, subscription):
    text = b"".join(
        desk.post(url(Subscription, "export"), {"reason": "asked to"}).streaming_content
    ).decode()

    assert alice.mobile in text
    assert "<" not in text


@pytest.mark.parametrize("model", MIRRORED)
def test_mirror_can_not_be_changed(desk, subscription, model):
    row = model.objects.latest("pk")

    assert desk.post(url(model, "change", row.pk), {"id": "x"}).status_code == 403
    assert desk.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert desk.get(url(model, "add")).status_code == 403


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


def test_mirror_leads_to_stripes_dashboard(desk, alice, subscription):
    page = desk.get(url(Subscription, "change", Subscription.objects.get().pk)).content.decode()

    link = f"https://dashboard.stripe.com/test/subscriptions/{subscription['id']}"
    assert f'href="{link}"' in page
    assert url(User, "change", alice.pk) in page


def test_syncing_heals_and_is_audited(desk, alice, subscription, stripe):
    stripe.change(subscription["id"], status="canceled")

    act(desk, "resync", Subscription.objects.get(), reason="complaint")

    assert tier_of(alice) == "basic"
    [event] = events(BillingAction.STRIPE_SYNCED)
    assert event.details["reason"] == "complaint"
    assert event.target == str(Subscription.objects.get().pk)


@pytest.mark.parametrize("action", ["resync", "cancel_subscription", "resume_subscription"])
def test_action_at_stripe_asks_for_a_permission(helper, subscription, stripe, action):
    reader = User.objects.get(mobile="+919800000008")
    reader.user_permissions.add(Permission.objects.get(codename="view_subscription"))

    assert act(helper, action, Subscription.objects.get()).status_code == 403
    assert not AuditEvent.objects.filter(actor=str(reader.pk)).exists()
    assert not stripe.objects["subscriptions"][subscription["id"]]["cancel_at_period_end"]


def test_syncing_while_stripe_is_down_says_so_and_tells_the_audit(desk, subscription, stripe):
    stripe.fail("GET", "/v1/subscriptions", status=500, times=9)

    page = act(desk, "resync", Customer.objects.get())

    assert "payment service" in told(page)
    refused = [event.details.get("refused") for event in events(BillingAction.STRIPE_SYNCED)]
    assert refused == [None, "payment_unavailable"]


def test_subscription_is_cancelled_at_its_end_and_resumed(desk, alice, subscription, stripe):
    at_stripe = stripe.objects["subscriptions"][subscription["id"]]

    act(desk, "cancel_subscription", Subscription.objects.get())
    assert at_stripe["cancel_at_period_end"] is True

    act(desk, "resume_subscription", alice)
    assert at_stripe["cancel_at_period_end"] is False
    assert len(events(BillingAction.CANCELLATION_ORDERED)) == 1
    assert len(events(BillingAction.RESUMPTION_ORDERED)) == 1


@pytest.fixture
def failed_delivery(alice, alice_api, stripe):
    """The event of a subscription that has begun, at whose delivery Stripe was down."""
    subscribe(alice_api, stripe)
    created = [e for e in stripe.events if e["type"] == "customer.subscription.created"]
    # Both tries of the one call.
    stripe.fail("GET", "/v1/subscriptions", status=500, times=2)
    assert deliver(*created) == [503]
    return WebhookEventTrigger.objects.exclude(exception="").get()


def test_failed_delivery_is_found_and_replayed(desk, alice, failed_delivery):
    listed = desk.get(url(WebhookEventTrigger), {"outcome": "failed"})
    assert list(listed.context["cl"].result_list) == [failed_delivery]

    page = act(desk, "replay", failed_delivery)

    assert "processed" in told(page)
    assert tier_of(alice) == "pro"
    failed_delivery.refresh_from_db()
    assert (failed_delivery.processed, failed_delivery.exception) == (True, "")
    assert len(events(BillingAction.WEBHOOK_REPLAYED)) == 1


def test_delivery_is_replayed_once(desk, failed_delivery):
    act(desk, "replay", failed_delivery)

    page = act(desk, "replay", failed_delivery)

    assert "did not fail" in told(page)


def test_delivery_that_fails_again_stays_failed(desk, failed_delivery, stripe):
    stripe.fail("GET", "/v1/subscriptions", status=500, times=9)

    page = act(desk, "replay", failed_delivery)

    assert "payment service" in told(page)
    failed_delivery.refresh_from_db()
    assert failed_delivery.exception != ""


def test_grant_is_taken_back(desk, alice, staff):
    until = timezone.now() + timezone.timedelta(days=3)
    grant = grant_pro(user=alice, until=until, reason="goodwill", by=staff)

    act(desk, "end", grant)

    assert tier_of(alice) == "basic"
    assert len(events(BillingAction.GRANT_ENDED)) == 1


def test_flag_is_settled_once(desk, alice, subscription):
    flag = Flag.objects.get()

    act(desk, "resolve", flag)
    again = act(desk, "resolve", flag)

    flag.refresh_from_db()
    assert flag.resolved_at is not None
    assert "resolved already" in told(again)
    assert len(events(BillingAction.FLAG_SETTLED)) == 1
