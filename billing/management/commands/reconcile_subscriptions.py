from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.cli import JsonCommand
from billing.stripe.client import BillingNotConfigured, PaymentUnavailable, is_configured
from billing.stripe.reconciliation import reconcile


class Command(JsonCommand):
    help = "Hold subscriptions and tiers against Stripe, and put right what differs."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="only say what differs")

    def report(self, **options: Any) -> dict[str, Any]:
        try:
            differences = reconcile(dry_run=options["dry_run"])
        except (PaymentUnavailable, BillingNotConfigured) as error:
            raise CommandError(str(error)) from error
        return {"asked_stripe": is_configured(), **differences.as_json()}
