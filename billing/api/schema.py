"""The calls of billing for docs/openapi.json."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from accounts.api.schema import KEY_PROBLEMS
from accounts.auth.rate_limits import RateLimited
from billing.api.views import MOST_DAYS, SubscriptionViewSet, UsageView
from billing.stripe.checkout import AlreadySubscribed, NoCustomer
from billing.stripe.client import BillingNotConfigured, PaymentRefused, PaymentUnavailable
from billing.stripe.subscriptions import NotSubscribed, SubscriptionScheduled
from billing.stripe.webhooks import InvalidWebhook
from gemchat.api.errors import DependencyDown
from gemchat.api.openapi import DAY_AFTER, Constant, call, describe, query

STRIPE_DOWN = [BillingNotConfigured, PaymentUnavailable, PaymentRefused]
# Problems of calls that count against STRIPE_CALLS_PER_HOUR.
STRIPE_CALL = [*STRIPE_DOWN, RateLimited]


class Checkout(serializers.Serializer[Any]):
    checkout_url = serializers.URLField()
    session_id = serializers.CharField()


class Portal(serializers.Serializer[Any]):
    portal_url = serializers.URLField()


class Subscription(serializers.Serializer[Any]):
    status = serializers.CharField(help_text="As Stripe has it, such as `active`.")
    count = serializers.IntegerField(help_text="The paid subscriptions; more than 1 is a mistake.")
    current_period_end = serializers.DateTimeField(
        allow_null=True, help_text="The next renewal, or the last end when all of them end."
    )
    cancel_at_period_end = serializers.BooleanField(help_text="True when all of them end.")
    collection_paused = serializers.BooleanField(help_text="True while Stripe collects nothing.")
    collection_resumes_at = serializers.DateTimeField(allow_null=True)


class FileLimits(serializers.Serializer[Any]):
    max_bytes = serializers.IntegerField(help_text="Of one file.")
    max_per_message = serializers.IntegerField()
    max_tokens_per_message = serializers.IntegerField(
        help_text="The sum of the files' `tokens` in one message."
    )


class BillingStatus(serializers.Serializer[Any]):
    tier = serializers.ChoiceField(list(settings.PLANS))
    daily_limit = serializers.IntegerField()
    daily_usage = serializers.IntegerField()
    remaining_usage = serializers.IntegerField()
    resets_at = serializers.DateTimeField()
    files = FileLimits()
    subscription = Subscription(allow_null=True)


class Usage(serializers.Serializer[Any]):
    replies = serializers.IntegerField()
    prompt_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    cost_micro_usd = serializers.IntegerField(help_text="Millionths of a US dollar.")


class DayUsage(Usage):
    day = serializers.DateField(help_text="UTC.")


class UsageAnswer(serializers.Serializer[Any]):
    results = DayUsage(many=True, help_text="Days with usage, the newest first.")
    totals = Usage()


USED = {"replies": 3, "prompt_tokens": 412, "output_tokens": 873, "cost_micro_usd": 390}
STATUS = {
    "tier": "pro",
    "daily_limit": 999999,
    "daily_usage": 12,
    "remaining_usage": 999987,
    "resets_at": DAY_AFTER,
    "files": {
        "max_bytes": 52_428_800,
        "max_per_message": 10,
        "max_tokens_per_message": 300_000,
    },
    "subscription": {
        "status": "active",
        "count": 1,
        "current_period_end": "2026-12-23T08:41:33Z",
        "cancel_at_period_end": False,
        "collection_paused": False,
        "collection_resumes_at": None,
    },
}

describe(
    UsageView,
    get=call(
        "readUsage",
        "What the user's replies took, by day",
        parameters=[
            query(
                "days",
                {"type": "integer", "minimum": 1, "maximum": MOST_DAYS, "default": 30},
                "How many days back, with today.",
            )
        ],
        answers={200: (UsageAnswer, {"results": [{"day": "2026-11-23", **USED}], "totals": USED})},
        problems=["validation_error"],
    ),
)

describe(
    SubscriptionViewSet,
    subscribe=call(
        "subscribe",
        "The Checkout page on which the user subscribes to Pro",
        answers={
            200: (
                Checkout,
                {
                    "checkout_url": "https://checkout.stripe.com/c/pay/cs_test_a1b2",
                    "session_id": "cs_test_a1b2",
                },
            )
        },
        problems=[AlreadySubscribed, *STRIPE_CALL, *KEY_PROBLEMS],
        takes_key=True,
    ),
    portal=call(
        "openPortal",
        "The page on which the user manages card, invoices and subscription",
        answers={200: (Portal, {"portal_url": "https://billing.stripe.com/p/session/a1b2"})},
        problems=[NoCustomer, *STRIPE_CALL],
    ),
    cancel=call(
        "cancelSubscription",
        "Let every subscription end with what is paid for",
        answers={200: (BillingStatus, STATUS)},
        problems=[NotSubscribed, SubscriptionScheduled, *STRIPE_CALL],
    ),
    resume=call(
        "resumeSubscription",
        "Take every cancellation back before it takes effect",
        answers={200: (BillingStatus, STATUS)},
        problems=[NotSubscribed, SubscriptionScheduled, *STRIPE_CALL],
    ),
    status=call(
        "readSubscription",
        "Tier, today's quota, and the subscription if there is one",
        description="Also at `/subscription/subscription/status`.",
        answers={200: (BillingStatus, STATUS)},
    ),
)


class Received(serializers.Serializer[Any]):
    status = Constant("success")


EXTRA_OPERATIONS = {
    ("/api/v1/subscription/webhook/stripe", "post"): call(
        "receiveStripeEvent",
        "For Stripe: an event, signed",
        body=(
            {"application/json": {"type": "object"}},
            {"id": "evt_1", "object": "event", "type": "invoice.paid"},
        ),
        parameters=[
            OpenApiParameter(
                "Stripe-Signature", str, "header", description="`t=…,v1=…`, as Stripe signs."
            )
        ],
        answers={200: (Received, {"status": "success"})},
        problems=[InvalidWebhook, *STRIPE_DOWN, DependencyDown.default_code, "overloaded"],
        is_public=True,
        is_plain=True,
    )
}
