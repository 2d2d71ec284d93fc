"""Stripe's mirror is read-only; actions of staff need a permission and leave a trace."""

import re

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
from billing.models import BillingAction, Flag, Grant, UsageRecord
from messaging.models import Message
from tests.support.backoffice.staff_client import act, events, flash_messages, url
from tests.support.backoffice.staff_rows import make_row
from tests.support.messaging.rooms import exchange, make_room
from tests.support.payments import deliver, pro, subscribe, tier_of

MIRRORED = [Customer, Subscription, Session, Event, Charge, Dispute]


@pytest.fixture
def helper(client, db, settings):
    """Signed in as staff who may do nothing."""
    settings.DEBUG = True
    client.force_login(User.objects.create_user("+919800000008", is_staff=True))
    return client


@pytest.fixture
def subscription(alice, alice_api, stripe):
    """A subscription of alice at Stripe and in the mirror."""
    subscription = pro(alice_api, stripe)
    alice.refresh_from_db()
    return subscription


def test_mirror_of_stripe_is_listed_searched_and_shown(staff_client, alice, subscription, stripe):
    stripe.dispute(stripe.charge(alice.stripe_customer_id)["id"])
    assert deliver(stripe.events[-1]) == [200]
    rows = {model: model.objects.latest("pk") for model in MIRRORED}

    for model, row in rows.items():
        assert row.id in staff_client.get(url(model)).content.decode()
        assert staff_client.get(url(model), {"q": "nothing"}).status_code == 200
        assert row.id in staff_client.get(url(model), {"q": row.id}).content.decode()
        assert row.id in staff_client.get(url(model, "change", row.pk)).content.decode()


@pytest.mark.parametrize("model", [Customer, Subscription])
def test_mirror_is_found_by_the_users_number(staff_client, model):
    row = make_row(model, 1)
    make_row(model, 2)

    page = staff_client.get(url(model), {"q": User.objects.get(name="User 1").mobile[3:]})

    assert list(page.context["cl"].result_list) == [row]


def test_mirror_as_a_file_has_no_links(staff_client):
    make_row(Subscription, 1)

    text = b"".join(
        staff_client.post(url(Subscription, "export"), {"reason": "asked to"}).streaming_content
    ).decode()

    assert User.objects.get(name="User 1").mobile in text
    assert "<" not in text


@pytest.mark.parametrize("model", MIRRORED)
def test_mirror_can_not_be_changed(staff_client, model):
    row = make_row(model, 1)

    assert staff_client.post(url(model, "change", row.pk), {"id": "x"}).status_code == 403
    assert staff_client.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert staff_client.get(url(model, "add")).status_code == 403


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


def test_mirror_leads_to_stripes_dashboard(staff_client):
    subscription = make_row(Subscription, 1)

    page = staff_client.get(url(Subscription, "change", subscription.pk)).content.decode()

    link = f"https://dashboard.stripe.com/test/subscriptions/{subscription.id}"
    assert f'href="{link}"' in page
    assert url(User, "change", User.objects.get(name="User 1").pk) in page


def test_syncing_heals_and_is_audited(staff_client, alice, subscription, stripe):
    stripe.change(subscription["id"], status="canceled")

    act(staff_client, "resync", Subscription.objects.get(), reason="complaint")

    assert tier_of(alice) == "basic"
    [event] = events(BillingAction.STRIPE_SYNCED)
    assert event.details["reason"] == "complaint"
    assert event.target == str(Subscription.objects.get().pk)


def test_action_at_stripe_asks_for_a_permission(helper, subscription, stripe):
    reader = User.objects.get(mobile="+919800000008")
    reader.user_permissions.add(Permission.objects.get(codename="view_subscription"))
    row = Subscription.objects.get()

    answers = {
        action: act(helper, action, row).status_code
        for action in ("resync", "cancel_subscription", "resume_subscription")
    }

    assert set(answers.values()) == {403}, answers
    assert not AuditEvent.objects.filter(actor=str(reader.pk)).exists()
    assert not stripe.objects["subscriptions"][subscription["id"]]["cancel_at_period_end"]


def test_syncing_while_stripe_is_down_says_so_and_tells_the_audit(
    staff_client, subscription, stripe
):
    stripe.fail("GET", "/v1/subscriptions", status=500, times=9)

    page = act(staff_client, "resync", Customer.objects.get())

    assert "payment service" in flash_messages(page)
    refused = [event.details.get("refused") for event in events(BillingAction.STRIPE_SYNCED)]
    assert refused == [None, "payment_unavailable"]


def test_subscription_is_cancelled_at_its_end_and_resumed(
    staff_client, alice, subscription, stripe
):
    at_stripe = stripe.objects["subscriptions"][subscription["id"]]

    act(staff_client, "cancel_subscription", Subscription.objects.get())
    assert at_stripe["cancel_at_period_end"] is True

    act(staff_client, "resume_subscription", alice)
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


def test_failed_delivery_is_found_and_replayed(staff_client, alice, failed_delivery):
    listed = staff_client.get(url(WebhookEventTrigger), {"outcome": "failed"})
    assert list(listed.context["cl"].result_list) == [failed_delivery]

    page = act(staff_client, "replay", failed_delivery)

    assert "processed" in flash_messages(page)
    assert tier_of(alice) == "pro"
    failed_delivery.refresh_from_db()
    assert (failed_delivery.processed, failed_delivery.exception) == (True, "")
    assert len(events(BillingAction.WEBHOOK_REPLAYED)) == 1


def test_delivery_is_replayed_once(staff_client, failed_delivery):
    act(staff_client, "replay", failed_delivery)

    page = act(staff_client, "replay", failed_delivery)

    assert "did not fail" in flash_messages(page)


def test_delivery_that_fails_again_stays_failed(staff_client, failed_delivery, stripe):
    stripe.fail("GET", "/v1/subscriptions", status=500, times=9)

    page = act(staff_client, "replay", failed_delivery)

    assert "payment service" in flash_messages(page)
    failed_delivery.refresh_from_db()
    assert failed_delivery.exception != ""


def test_grant_is_taken_back(staff_client, alice, staff):
    until = timezone.now() + timezone.timedelta(days=3)
    grant = grant_pro(user=alice, until=until, reason="goodwill", by=staff)

    act(staff_client, "end", grant)

    assert tier_of(alice) == "basic"
    assert len(events(BillingAction.GRANT_ENDED)) == 1


def test_flag_is_settled_once(staff_client):
    flag = make_row(Flag, 1)

    act(staff_client, "resolve", flag)
    again = act(staff_client, "resolve", flag)

    flag.refresh_from_db()
    assert flag.resolved_at is not None
    assert "resolved already" in flash_messages(again)
    assert len(events(BillingAction.FLAG_SETTLED)) == 1


def test_ledger_has_queries_and_tokens_of_tools_by_attempt(staff_client, alice):
    reply = exchange(make_room(alice))
    figures = {"tool_prompt_tokens": 4321, "audio_tokens": 765, "search_queries": 98}
    make_row(UsageRecord, 0)
    UsageRecord.objects.update(reply_id=reply.pk, search_cost_micro_usd=1372, **figures)

    pages = [
        staff_client.get(url(UsageRecord)),
        staff_client.get(url(Message, "change", reply.pk)),
        staff_client.post(url(UsageRecord, "export"), {"reason": "audit"}),
    ]

    texts = [b"".join(page).decode() for page in pages]
    for text in texts:
        assert {"4321", "765", "98"} <= set(re.findall(r"\d+", text.replace(",", "")))
    assert ["1372" in text for text in texts] == [True, False, True]
