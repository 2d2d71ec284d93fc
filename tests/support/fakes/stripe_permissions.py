"""The permissions of Stripe's restricted keys, as Stripe refuses a call without one."""

from tests.support.fakes.stripe_wire import Refusal, Request

# The name in Stripe's dashboard and in its errors, by the first part of the path.
RESOURCES = {
    "customers": ("Customers", "customer"),
    "products": ("Products", "product"),
    "prices": ("Prices", "plan"),
    "checkout": ("Checkout Sessions", "checkout_session"),
    "subscriptions": ("Subscriptions", "subscription"),
    "subscription_schedules": ("Subscriptions", "subscription"),
    "billing_portal": ("Customer portal", "customer_portal"),
    "webhook_endpoints": ("Webhook Endpoints", "webhook"),
    "charges": ("Charges and Refunds", "charge"),
    "disputes": ("Disputes", "dispute"),
    "payment_intents": ("PaymentIntents", "payment_intent"),
    "payment_methods": ("PaymentMethods", "payment_method"),
    "balance_transactions": ("Balance", "balance"),
}


def check_permission(request: Request, key: str, permissions: set[str]) -> None:
    """Refuse a call that the restricted key does not permit."""
    resource = request.path.split("/")[2]
    start = (
        f"The provided key '{key[:8]}{'*' * 20}{key[-6:]}' does not have the required permissions"
        " for this endpoint on account 'acct_1Fake0000000000'."
    )
    if resource == "account":
        permission = "rak_accounts_kyc_id_numbers_read"
        rest = f"Having the '{permission}' permission would allow this request to continue."
        raise Refusal(403, f"{start} {rest}")
    label, name = RESOURCES[resource]
    verb = "read" if request.method == "GET" else "write"
    if not {f"{name}_{verb}", f"{name}_write"} & permissions:
        raise Refusal(
            403,
            f"Permission denied. {start} Enabling \"{label} {verb.title()}\" ('{name}_{verb}')"
            " permissions on this key would allow this request to continue. You can edit"
            " permissions at https://dashboard.stripe.com/acct_1Fake0000000000/apikeys",
            code="more_permissions_required",
        )
