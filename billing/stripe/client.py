"""Calls to Stripe: one pinned version, short timeouts, one error.

dj-stripe uses the SDK's module-wide settings, so the settings are set there, for all calls alike. A
web process has few threads, so only a few of its requests wait for Stripe at a time
(`limit_for_web`).
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic
from typing import Any

import requests
import stripe
from django.conf import settings

from accounts.auth import rate_limits
from accounts.models import LimitHit, User
from billing.plans import plan_for_tier
from gemchat.api.errors import DomainError
from gemchat.serving.breaker import CircuitBreaker, CircuitOpen
from gemchat.serving.permits import NoPermit, Permits

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 1.0
READ_SECONDS = 5.0
RETRIES = 1
RETRY_AFTER_SECONDS = 30
# One request of a person holds a permit for at most STRIPE_REQUEST_SECONDS.
NO_PERMIT_RETRY_SECONDS = 5
# Consecutive calls without an answer until calls fail at once, and for how long.
BREAKER_FAILURES = 3
BREAKER_SECONDS = 10.0
OPERATORS_FAULTS = (
    stripe.InvalidRequestError,
    stripe.AuthenticationError,
    stripe.PermissionError,
)

_ends_at: ContextVar[float | None] = ContextVar("stripe_deadline", default=None)


class BillingNotConfigured(DomainError):
    code = "billing_not_configured"
    message = "This server sells no subscriptions: it has no Stripe key."
    status = 503


class PaymentUnavailable(DomainError):
    code = "payment_unavailable"
    message = "The payment service does not answer as it should. Try again in a moment."
    status = 503

    def __init__(self, *, retry_after: float = RETRY_AFTER_SECONDS) -> None:
        super().__init__(retry_after=retry_after)


class PaymentRefused(PaymentUnavailable):
    """A refusal of the key, a price or a parameter; operators must act."""

    code = "payment_refused"
    message = "The payment service refuses this server's request. The operators must correct that."


class Caller(StrEnum):
    """The caller of Stripe; persons and staff have separate permits.

    Webhooks need no permit: `gemchat.asgi` gives webhooks a lane.
    """

    PERSON = "person"
    STAFF = "staff"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class WebLimits:
    """The guards of a web process against a hanging Stripe."""

    permits: dict[Caller, Permits]
    breaker: CircuitBreaker


# None in workers and commands, where nobody else waits for the thread.
_limits: WebLimits | None = None


class NotCalled(requests.RequestException):
    """Stripe is not called after several calls without an answer."""


class BoundedSession(requests.Session):
    """A session with the deadline of `stripe_calls` and reports to the breaker."""

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        ends_at = _ends_at.get()
        if ends_at is not None:
            left = ends_at - monotonic()
            if left <= 0:
                raise requests.Timeout("No time is left for another call to Stripe.")
            kwargs["timeout"] = (min(CONNECT_SECONDS, left), min(READ_SECONDS, left))
        if _limits is None:
            return super().request(*args, **kwargs)
        return self._request_by(_limits.breaker, *args, **kwargs)

    def _request_by(self, breaker: CircuitBreaker, *args: Any, **kwargs: Any) -> requests.Response:
        """A refusal of Stripe's (4xx) is an answer. A 5xx is none."""
        try:
            breaker.admit()
        except CircuitOpen as error:
            raise NotCalled("Stripe did not answer the latest calls.") from error
        try:
            response = super().request(*args, **kwargs)
        except requests.RequestException:
            breaker.report_failure()
            raise
        if response.status_code >= 500:
            breaker.report_failure()
        else:
            breaker.report_success()
        return response


def limit_for_web() -> None:
    """Bound the number of this web process's threads in wait for Stripe, from now on."""
    global _limits  # noqa: PLW0603
    permits = {
        Caller.PERSON: Permits(max(1, settings.WEB_THREADS // 4)),
        Caller.STAFF: Permits(max(1, settings.WEB_THREADS // 8)),
    }
    breaker = CircuitBreaker("Stripe", failures=BREAKER_FAILURES, open_seconds=BREAKER_SECONDS)
    _limits = WebLimits(permits, breaker)


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
    return bool(settings.STRIPE_SECRET_KEY and plan_for_tier(User.Tier.PRO).stripe_price_ids)


@contextmanager
def stripe_calls(
    *,
    caller: Caller = Caller.PERSON,
    counted_for: User | None = None,
    within_seconds: float | None = None,
) -> Iterator[None]:
    """Share a deadline among calls to Stripe; each failure is PaymentUnavailable.

    The default deadline is STRIPE_REQUEST_SECONDS. The calls count against STRIPE_CALLS_PER_HOUR of
    the person `counted_for`. A block within a block has the outer block's deadline and permit, and
    is not counted. Raises BillingNotConfigured without a key, and RateLimited.
    """
    if not is_configured():
        raise BillingNotConfigured
    if _ends_at.get() is not None:
        yield
        return
    with _permit(caller):
        if counted_for is not None:
            allowed = [(settings.STRIPE_CALLS_PER_HOUR, rate_limits.HOUR)]
            rate_limits.take(
                kind=LimitHit.Kind.STRIPE_CALL, subject=str(counted_for.pk), allowed=allowed
            )
        with _deadline(within_seconds or settings.STRIPE_REQUEST_SECONDS):
            yield


@contextmanager
def _permit(caller: Caller) -> Iterator[None]:
    """A permit of the web process. Raises PaymentUnavailable at once where there is none."""
    permits = _limits.permits.get(caller) if _limits else None
    if _limits and (wait := _limits.breaker.wait_seconds):
        raise PaymentUnavailable(retry_after=wait)
    try:
        with permits.taken() if permits else nullcontext():
            yield
    except NoPermit as error:
        logger.warning("No permit to wait for Stripe is left: %s", caller)
        raise PaymentUnavailable(retry_after=NO_PERMIT_RETRY_SECONDS) from error


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    token = _ends_at.set(monotonic() + seconds)
    try:
        yield
    except stripe.StripeError as error:
        # Operators correct a refused key, permission, price or parameter. Other failures pass.
        if isinstance(error, OPERATORS_FAULTS):
            logger.error("Stripe refuses: %s", error)  # noqa: TRY400
            raise PaymentRefused from error
        logger.warning("Stripe failed: %s", error)
        raise PaymentUnavailable from error
    finally:
        _ends_at.reset(token)


def plain(found: stripe.StripeObject) -> dict[str, Any]:
    """Return an object of the SDK as the JSON from Stripe."""
    return json.loads(str(found))


def is_missing(error: stripe.InvalidRequestError) -> bool:
    """Check whether Stripe has no such object."""
    return error.code == "resource_missing"
