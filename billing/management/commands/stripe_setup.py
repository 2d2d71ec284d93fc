from typing import Any

import stripe
from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from accounts.cli import JsonCommand
from billing.stripe.setup import set_up


class Command(JsonCommand):
    help = (
        "Make, or find again, what Stripe needs to sell Pro: product and price, the webhook"
        " endpoint and the portal's configuration. Prints what to put into the environment."
    )
    # The command gives the settings for the checks, so the checks come after.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--url", required=True, help="of this server, as https://chat.example")
        parser.add_argument("--amount", type=int, required=True, help="a month, as 49900 for ₹499")
        parser.add_argument("--currency", default="inr")
        parser.add_argument("--dry-run", action="store_true", help="only say what is missing")

    def report(self, **options: Any) -> dict[str, Any]:
        if not settings.STRIPE_SECRET_KEY:
            raise CommandError("STRIPE_SECRET_KEY is not set; Stripe's dashboard shows it.")
        try:
            setup = set_up(
                webhook_url=f"{options['url'].rstrip('/')}/api/v1/subscription/webhook/stripe",
                amount=options["amount"],
                currency=options["currency"],
                dry_run=options["dry_run"],
            )
        except stripe.StripeError as error:
            raise CommandError(f"Stripe refused: {error}") from error
        return {
            **setup.environment,
            "made": setup.made,
            "found": setup.found,
            "dry_run": setup.dry_run,
        }
