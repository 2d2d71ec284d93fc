"""Stripe's webhook: verified here, then stored and synced by dj-stripe.

dj-stripe's own view stores events before verification, knows one secret, and lets a header choose
the secret under DEBUG. The handlers of dj-stripe fetch the object of each event from Stripe, so
neither order nor number of events matters. The receivers here take the customer's lock before the
sync, and derive the tier after the sync, in the same transaction.
"""

import hashlib
import hmac
import json
import logging
import re
import time
import uuid
from typing import Any

import stripe
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from djstripe.models import Charge, Event, WebhookEndpoint, WebhookEventTrigger
from djstripe.signals import WEBHOOK_SIGNALS, webhook_pre_process

from accounts.models import User
from billing.entitlement import refresh_customer
from billing.models import Flag
from billing.stripe import sync
from billing.stripe.client import (
    BillingNotConfigured,
    Caller,
    PaymentUnavailable,
    is_missing,
    plain,
    stripe_calls,
)
from billing.stripe.event_shape import DISPUTE_EVENTS, is_well_formed
from gemchat.api.client_address import client_ip
from gemchat.api.errors import DomainError, problem_response_for

logger = logging.getLogger(__name__)

# Stripe's own figure: https://docs.stripe.com/webhooks#replay-attacks
TOLERANCE_SECONDS = 300
# https://docs.stripe.com/webhooks#verify-manually; other schemes, as v0, are Stripe's tests.
SIGNATURE = re.compile(r"v1=([0-9a-f]{64})")
TIMESTAMP = re.compile(r"t=([0-9]{1,12})")
WARNING_SECONDS = 60.0
_warns_again_at: dict[str, float] = {}
# The row of dj-stripe for each delivery; every secret is a secret of this endpoint.
ENDPOINT = uuid.UUID("6e9f3c4e-2f43-4b7e-9d0f-5a2d7c1b8e90")


class InvalidWebhook(DomainError):
    code = "invalid_webhook"
    message = "This is not an event signed by Stripe."
    status = 400


@csrf_exempt
@require_POST
@transaction.non_atomic_requests
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """Store an event with 200; answer 400 to a body from another sender than Stripe.

    Any other status makes Stripe deliver the event again, for three days.
    """
    if not settings.STRIPE_WEBHOOK_SECRETS:
        return problem_response_for(BillingNotConfigured())
    secret = signing_secret(request.body, request.headers.get("Stripe-Signature", ""))
    event = read_event(request.body)
    if secret is None or event is None:
        return problem_response_for(InvalidWebhook())
    if event.get("object") != "event":  # A thin event, of Stripe's second API.
        return JsonResponse({"status": "success"})
    if not is_well_formed(event):
        logger.warning("A signed event has not the form of one")
        return problem_response_for(InvalidWebhook())
    if event["livemode"] is settings.STRIPE_LIVE_MODE:
        return _store_unless_erased(request, secret, event)
    logger.warning("Event %s is of the other mode, test or live", event["id"])
    return JsonResponse({"status": "success"})


def signing_secret(body: bytes, header: str) -> str | None:
    """Return the secret of the body's signature within the tolerance, or None."""
    timestamps = TIMESTAMP.findall(header)
    if not timestamps:
        _warn_of_refusal("no signature", "it has no Stripe-Signature with a time.")
        return None
    payload = timestamps[0].encode() + b"." + body
    given = {part.strip() for part in header.split(",")}
    signatures = [found[1] for part in given if (found := SIGNATURE.fullmatch(part))]
    for secret in settings.STRIPE_WEBHOOK_SECRETS:
        expected = hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()
        if any(hmac.compare_digest(expected, signature) for signature in signatures):
            return secret if _is_timely(int(timestamps[0])) else None
    _warn_of_refusal("signature", "its signature fits no secret of STRIPE_WEBHOOK_SECRET.")
    return None


def _is_timely(signed_at: int) -> bool:
    """Check the time of a delivery with a right signature."""
    ahead = signed_at - time.time()
    if abs(ahead) <= TOLERANCE_SECONDS:
        return True
    _warn_of_refusal(
        "clock",
        f"it was signed {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'before'} this clock."
        " Check this machine's clock.",
    )
    return False


def _warn_of_refusal(kind: str, reason: str) -> None:
    """Log one line a minute of each kind: anybody may send such deliveries."""
    now = time.monotonic()
    if now >= _warns_again_at.get(kind, now):
        _warns_again_at[kind] = now + WARNING_SECONDS
        logger.warning("A delivery to the webhook is refused: %s", reason)


def read_event(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object of the body; None for a body outside jsonb."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and b"\\u0000" not in body else None


def _store_unless_erased(request: HttpRequest, secret: str, event: dict[str, Any]) -> HttpResponse:
    """Store an event, unless the customer's user was erased meanwhile."""
    subject = event["data"]["object"]
    customer_id = _customer_id(subject)
    if customer_id and sync.is_erased(customer_id):
        return JsonResponse({"status": "success"})
    response = _store(request, secret)
    # A dispute has a customer only by the charge; the charge is known after the storing.
    customer_id = customer_id or _customer_of_charge(subject.get("charge"))
    if customer_id:
        with transaction.atomic():
            # An erasure without a view of the new rows has ended before this lock is held.
            sync.lock_customer(customer_id)
            if sync.is_erased(customer_id):
                sync.erase_customer(customer_id)
    return response


def _store(request: HttpRequest, secret: str) -> HttpResponse:
    # dj-stripe reads the first address of X-Forwarded-For and fails on an invalid address. Under
    # DEBUG dj-stripe takes a secret from the other header.
    request.META["REMOTE_ADDR"] = client_ip(request) or "0.0.0.0"  # noqa: S104
    request.META.pop("HTTP_X_FORWARDED_FOR", None)
    request.META.pop("HTTP_X_DJSTRIPE_WEBHOOK_SECRET", None)
    # Django makes `headers` of META at the first use, in a middleware.
    request.__dict__.pop("headers", None)
    sync.prepare_api_key()
    endpoint = _endpoint(request)
    # For dj-stripe's own check. Not saved: the secrets stay in the environment.
    endpoint.secret, endpoint.livemode = secret, settings.STRIPE_LIVE_MODE
    try:
        with stripe_calls(caller=Caller.WEBHOOK):
            WebhookEventTrigger.from_request(request, webhook_endpoint=endpoint)
    except (PaymentUnavailable, BillingNotConfigured) as error:
        return problem_response_for(error)
    return JsonResponse({"status": "success"})


def _endpoint(request: HttpRequest) -> WebhookEndpoint:
    endpoint, _ = WebhookEndpoint.objects.get_or_create(
        djstripe_uuid=ENDPOINT,
        defaults={
            "id": "we_gemchat",
            "url": request.build_absolute_uri(request.path)[:2048],
            "api_version": settings.STRIPE_API_VERSION,
            "enabled_events": ["*"],
            "status": "enabled",
            "djstripe_tolerance": TOLERANCE_SECONDS,
        },
    )
    return endpoint


def connect_receivers() -> None:
    webhook_pre_process.connect(lock_customer, dispatch_uid="billing.lock_customer")
    # dj-stripe's handlers of the same signals come first. Not webhook_post_process: after an error
    # there, dj-stripe still saves a link to the event just rolled back.
    for signal in WEBHOOK_SIGNALS.values():
        signal.connect(derive_tier, sender=Event, dispatch_uid="billing.derive_tier")
    WEBHOOK_SIGNALS["charge.refunded"].connect(flag_refund, sender=Event)
    WEBHOOK_SIGNALS["charge.refund.updated"].connect(flag_changed_refund, sender=Event)
    for name in DISPUTE_EVENTS:
        WEBHOOK_SIGNALS[name].connect(flag_dispute, sender=Event)


def lock_customer(*, instance: WebhookEventTrigger, **kwargs: Any) -> None:
    """Lock the customer's rows; a dispute has no customer, so lock the dispute."""
    subject = instance.json_body["data"]["object"]
    key = _customer_id(subject) or subject.get("id")
    if key:
        sync.lock_customer(key)


def derive_tier(*, event: Event, **kwargs: Any) -> None:
    """Derive the tier after any event of a customer."""
    customer_id = _customer_id(event.data["object"])
    if customer_id and event.type == "customer.deleted":
        sync.unlink_customer(customer_id)
    elif customer_id:
        refresh_customer(customer_id)


def flag_refund(*, event: Event, **kwargs: Any) -> None:
    """Flag a refund for staff; the tier follows the subscription alone."""
    _flag_refund(_charge(event.data["object"]["id"]))


def flag_changed_refund(*, event: Event, **kwargs: Any) -> None:
    """Flag a refund that failed later: the charge's refunded amount is smaller then."""
    _flag_refund(_charge(event.data["object"]["charge"]))


def _flag_refund(charge: dict[str, Any] | None) -> None:
    if charge is None:
        return
    amount = charge["amount_refunded"]
    _flag(Flag.Kind.REFUND, charge, amount=amount, charge=charge, state=str(amount))


def flag_dispute(*, event: Event, **kwargs: Any) -> None:
    """Flag a dispute in Stripe's present state; an older event may arrive later."""
    dispute = _found(stripe.Dispute, event.data["object"]["id"])
    charge = _charge(dispute["charge"]) if dispute else None
    if dispute is None or charge is None:
        return
    amount, status = dispute["amount"], dispute["status"]
    _flag(Flag.Kind.DISPUTE, dispute, amount=amount, charge=charge, state=f"{status[:60]} {amount}")


def _charge(reference: Any) -> dict[str, Any] | None:
    return _found(stripe.Charge, str(_id(reference)))


def _found(kind: type[stripe.Charge | stripe.Dispute], object_id: str) -> dict[str, Any] | None:
    """Return the object at Stripe; None for deleted test data."""
    try:
        return plain(kind.retrieve(object_id))
    except stripe.InvalidRequestError as error:
        if not is_missing(error):
            raise
        return None


def _flag(
    kind: str, subject: dict[str, Any], *, amount: int, charge: dict[str, Any], state: str
) -> None:
    customer_id = _id(charge.get("customer"))
    user = User.objects.filter(stripe_customer_id=customer_id).first() if customer_id else None
    paid_by = customer_id or "an unknown customer"
    note = f"{amount} {subject['currency']} of {paid_by}, in the smallest unit"
    note += f"; {subject['status']}." if kind == Flag.Kind.DISPUTE else "."
    Flag.objects.raise_once(kind=kind, stripe_id=subject["id"], user=user, note=note, state=state)


def _customer_id(subject: dict[str, Any]) -> str | None:
    return _id(subject["id"] if subject.get("object") == "customer" else subject.get("customer"))


def _customer_of_charge(reference: Any) -> str | None:
    charges = Charge.objects.filter(id=_id(reference))
    return charges.values_list("customer_id", flat=True).first() if reference else None


def _id(reference: Any) -> str | None:
    """Return the id of a reference; the reference may be the expanded object."""
    return reference["id"] if isinstance(reference, dict) else reference
