import re

from django.urls import URLPattern, URLResolver, re_path
from rest_framework.routers import SimpleRouter

from billing.api import pages
from billing.api.views import SubscriptionViewSet, UsageView
from billing.stripe.webhooks import stripe_webhook

WEBHOOK_PATH = re.compile(r"/api/v1/subscription/webhook/stripe/?")

router = SimpleRouter()
router.trailing_slash = "/?"
router.register("subscription", SubscriptionViewSet, basename="subscription")

urlpatterns: list[URLPattern | URLResolver] = [
    re_path(r"^subscription/webhook/stripe/?$", stripe_webhook, name="stripe-webhook"),
    re_path(r"^user/me/usage/?$", UsageView.as_view(), name="usage"),
    *router.urls,
]

# At the root, not under the API.
page_urlpatterns: list[URLPattern] = [
    re_path(r"^billing/success/?$", pages.success, name="billing-success"),
    re_path(r"^billing/cancel/?$", pages.cancel, name="billing-cancel"),
]
