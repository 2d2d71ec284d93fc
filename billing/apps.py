from django.apps import AppConfig
from django.core import checks


class BillingConfig(AppConfig):
    name = "billing"

    def ready(self) -> None:
        # Imports with a need of the models of all apps.
        from billing import checks as billing_checks
        from billing.stripe import client, webhooks

        client.configure()
        webhooks.connect_receivers()
        checks.register(billing_checks.check_settings)
        billing_checks.leave_out_database_checks()
