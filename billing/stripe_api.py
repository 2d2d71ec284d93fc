"""How this program talks to Stripe: one pinned version, short timeouts, one error.

dj-stripe uses the SDK's module-wide settings, so these are set there, for all calls alike.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import Any

import requests
import stripe
from django.conf import settings

from gemchat.errors import DomainError

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 1.0
READ_SECONDS = 5.0
RETRIES = 1
RETRY_AFTER_SECONDS = 30

_ends_at: ContextVar[float | None] = ContextVar("stripe_deadline", default=None)


class BillingNotConfigured(DomainError):
    code = "billing_not_configured"
    message = "This server sells no subscriptions: it has no Stripe key."
    status = 503


class PaymentUnavailable(DomainError):
    code = "payment_unavailable"
    message = "The payment service does not answer as it should. Try again in a moment."
    status = 503

    def __init__(self) -> None:
        super().__init__(retry_after=RETRY_AFTER_SECONDS)


class BoundedSession(requests.Session):
    """Gives a call no more time than is left of `stripe_calls`."""

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        ends_at = _ends_at.get()
        if ends_at is not None:
            left = ends_at - monotonic()
            if left <= 0:
                raise requests.Timeout("No time is left for another call to Stripe.")
            kwargs["timeout"] = (min(CONNECT_SECONDS, left), min(READ_SECONDS, left))
        return super().request(*args, **kwargs)


def configure() -> None:
    """Set the SDK up from the settings; once, when the app is ready."""
    stripe.api_key = settings.STRIPE_SECRET_KEY or None
    stripe.api_version = settings.STRIPE_API_VERSION
    stripe.api_base = settings.STRIPE_API_BASE or stripe.DEFAULT_API_BASE
    stripe.max_network_retries = RETRIES
    stripe.enable_telemetry = False
    stripe.default_http_client = stripe.RequestsClient(
        timeout=(CONNECT_SECONDS, READ_SECONDS), session=BoundedSession()
    )


def is_configured() -> bool:
    return bool(settings.STRIPE_SECRET_KEY and settings.STRIPE_PRO_PRICE_IDS)


@contextmanager
def stripe_calls(*, within_seconds: float | None = None) -> Iterator[None]:
    """Calls to Stripe that share a deadline; whatever fails in them is PaymentUnavailable.

    The deadline is STRIPE_REQUEST_SECONDS if not given. Raises BillingNotConfigured where there
    is no key.
    """
    if not is_configured():
        raise BillingNotConfigured
    token = _ends_at.set(monotonic() + (within_seconds or settings.STRIPE_REQUEST_SECONDS))
    try:
        yield
    except stripe.StripeError as error:
        # A refused key, price or parameter is for the operators to mend; the rest is weather.
        ours = isinstance(error, stripe.InvalidRequestError | stripe.AuthenticationError)
        logger.log(logging.ERROR if ours else logging.WARNING, "Stripe failed: %s", error)
        raise PaymentUnavailable from error
    finally:
        _ends_at.reset(token)


def plain(found: stripe.StripeObject) -> dict[str, Any]:
    """An object of the SDK's as the JSON that it came as, all the way down."""
    return json.loads(str(found))


def is_missing(error: stripe.InvalidRequestError) -> bool:
    """Stripe knows no such object, or no longer."""
    return error.code == "resource_missing"
