"""System checks of the settings of billing."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.checks.registry import registry
from djstripe import checks as djstripe_checks

from accounts.models import User
from billing.plans import plan_for_tier

# dj-stripe takes no other key, and detects a wrong key only at the first stored event.
SECRET_KEY = re.compile(r"[sr]k_(test|live)_[a-zA-Z0-9]{24,}")
# Of each plan.
LEAST = {
    "daily_limit": 0,
    "concurrent_replies": 1,
    "waiting_replies": 0,
    "sends_per_minute": 1,
    "daily_cost_usd": 0,
    "minute_cost_usd": 0,
    "daily_text_mb": 1,
    "chatrooms": 1,
    "chatrooms_per_minute": 1,
    "retention_days": 0,
    "file_max_bytes": 1,
    "storage_mb": 0,
    "uploads_per_hour": 0,
    "files_per_message": 0,
    "file_tokens": 0,
}
LEAST_GIVE_BACKS = 0


def leave_out_database_checks() -> None:
    """Take out dj-stripe's two checks with queries of WebhookEndpoint rows.

    With the database down, the checks hold up every command for the pool's timeout, twice. The
    checks examine a secret in the row; this program does not use the secret.
    """
    for check in (
        djstripe_checks.check_webhook_validation,
        djstripe_checks.check_webhook_endpoint_has_secret,
    ):
        registry.registered_checks.discard(check)


def check_settings(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    found: list[CheckMessage] = [*_check_numbers()]
    if settings.STRIPE_SECRET_KEY:
        found += _check_stripe()
    return found


def _check_numbers() -> Iterator[CheckMessage]:
    numbers = [("GIVE_BACKS_PER_DAY", settings.GIVE_BACKS_PER_DAY, LEAST_GIVE_BACKS)]
    for tier, plan in settings.PLANS.items():
        numbers += [
            (f"{tier}_{name}".upper(), getattr(plan, name), least) for name, least in LEAST.items()
        ]
    for variable, value, least in numbers:
        # Not `<`: NaN, a possible value in an environment, is neither.
        if not value >= least:
            yield Error(f"{variable} is {value}; it must be {least} or more.", id="billing.E001")


def _check_stripe() -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if not SECRET_KEY.fullmatch(settings.STRIPE_SECRET_KEY):
        found.append(
            Error(
                "STRIPE_SECRET_KEY is not a secret or restricted key of Stripe's, as sk_live_… or"
                " rk_live_….",
                id="billing.E002",
            )
        )
    if not plan_for_tier(User.Tier.PRO).stripe_price_ids:
        found.append(
            Error(
                "STRIPE_PRO_PRICE_ID is not set, while STRIPE_SECRET_KEY is.",
                hint="manage.py stripe_setup makes the price and prints its id.",
                id="billing.E003",
            )
        )
    if any(not secret.startswith("whsec_") for secret in settings.STRIPE_WEBHOOK_SECRETS):
        found.append(Error("STRIPE_WEBHOOK_SECRET must be of the form whsec_….", id="billing.E004"))
    if not settings.STRIPE_WEBHOOK_SECRETS:
        found.append(
            Warning(
                "STRIPE_WEBHOOK_SECRET is not set, while STRIPE_SECRET_KEY is: payments will show"
                " only on the success page and each night.",
                id="billing.W001",
            )
        )
    return found
