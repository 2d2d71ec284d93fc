"""Pages after a return from Stripe, with Stripe's state."""

import logging

import stripe
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from djstripe.models import Session

from accounts.auth.rate_limits import RateLimited
from accounts.models import User
from billing.stripe import sync
from billing.stripe.client import BillingNotConfigured, PaymentUnavailable, stripe_calls

logger = logging.getLogger(__name__)


@never_cache
@csrf_exempt
@require_safe
def success(request: HttpRequest) -> HttpResponse:
    """Sync the payer before the webhook does, and show the result.

    The browser has no access token at the return. A session's id from this program is known to the
    payer alone. The page reveals only whether Pro is on.
    """
    user = _payer(request.GET.get("session_id", ""))
    return render(request, "billing/success.html", {"is_pro": user.is_pro if user else None})


@never_cache
@csrf_exempt
@require_safe
def cancel(request: HttpRequest) -> HttpResponse:
    return render(request, "billing/cancel.html")


def _payer(session_id: str) -> User | None:
    """Return the owner of a Checkout session after a sync; None for other strings."""
    if not session_id.isascii() or not session_id.isprintable():
        return None
    known = Session.objects.filter(id=session_id).first()
    if known is None or not known.customer_id:
        return None
    owner = User.objects.filter(stripe_customer_id=known.customer_id).first()
    if owner is None or str(owner.pk) != known.stripe_data["client_reference_id"]:
        return None
    try:
        with stripe_calls(counted_for=owner):
            session = stripe.checkout.Session.retrieve(known.id)
            sync.prepare_api_key()
            Session.sync_from_stripe_data(session, api_key=settings.STRIPE_SECRET_KEY)
            sync.sync_customer(known.customer_id)
    except (PaymentUnavailable, BillingNotConfigured, RateLimited):
        logger.warning("The success page shows what is known here; the webhook will follow")
    owner.refresh_from_db(fields=["tier"])
    return owner
