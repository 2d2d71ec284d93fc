"""Staff actions on a user's plan, quota and subscription."""

from datetime import datetime, time
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import User
from backoffice.actions.base import ActionContext, ReasonForm, StaffAction
from billing.entitlement import grant_pro, refresh_tiers
from billing.models import BillingAction, DailyQuota
from billing.stripe import subscriptions, sync
from billing.stripe.checkout import NoCustomer
from billing.stripe.client import Caller, stripe_calls


class GrantForm(ReasonForm):
    until = forms.DateField(
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="The last day, in UTC.",
    )

    def clean_until(self) -> datetime:
        """The end of that day."""
        day = self.cleaned_data["until"]
        if day < timezone.now().date():
            raise ValidationError("This day is over.")
        return datetime.combine(day, time(23, 59, 59), timezone.get_default_timezone())


def grant_pro_action(context: ActionContext) -> str:
    until = context.form["until"]
    by = context.request.user
    grant_pro(user=context.row, until=until, reason=context.form["reason"], by=by)  # type: ignore[arg-type]  # staff are signed in
    return f"Pro until {until:%Y-%m-%d}."


def reset_quota(context: ActionContext) -> str:
    used = DailyQuota.objects.reset(user=context.row)
    return f"Released: {used} of today's replies."


def sync_with_stripe(context: ActionContext) -> str:
    """Sync the customer's rows, and derive the tier again in any case."""
    user = owner_of(context.row)
    if user.stripe_customer_id:
        with stripe_calls(caller=Caller.STAFF):
            sync.sync_customer(user.stripe_customer_id)
    refresh_tiers([user.pk])
    user.refresh_from_db(fields=["tier"])
    return f"{user} is {user.get_tier_display()}."


def cancel(context: ActionContext) -> None:
    # The inner block inherits the permit for staff, so no call counts against the user.
    with stripe_calls(caller=Caller.STAFF):
        subscriptions.cancel_at_period_end(user=owner_of(context.row))


def resume(context: ActionContext) -> None:
    with stripe_calls(caller=Caller.STAFF):
        subscriptions.resume(user=owner_of(context.row))


def owner_of(row: Any) -> User:
    """Return a page's user, or the owner of the customer of a Stripe row.

    Raises NoCustomer where the customer has no user.
    """
    if isinstance(row, User):
        return row
    owner = User.objects.filter(stripe_customer_id=getattr(row, "customer_id", row.id)).first()
    if owner is None:
        raise NoCustomer("This customer belongs to no user here.")
    return owner


QUOTA_ACTIONS = [
    StaffAction(
        name="grant_pro",
        label="Grant Pro",
        permission="billing.add_grant",
        event=BillingAction.GRANT_GIVEN,
        run=grant_pro_action,
        form=GrantForm,
        warning="Pro without Stripe, until the end of a day.",
    ),
    StaffAction(
        name="reset_quota",
        label="Reset quota",
        permission="billing.change_dailyquota",
        event=BillingAction.QUOTA_RESET,
        run=reset_quota,
        warning="Today's replies are released, and today's other limits start again.",
    ),
]

STRIPE_ACTIONS = [
    StaffAction(
        name="resync",
        label="Sync with Stripe",
        permission="djstripe.change_customer",
        event=BillingAction.STRIPE_SYNCED,
        run=sync_with_stripe,
        warning="Subscriptions are fetched from Stripe, and the tier is derived again.",
        uses_network=True,
        max_rows=10,
    ),
    StaffAction(
        name="cancel_subscription",
        label="Cancel at period end",
        permission="djstripe.change_subscription",
        event=BillingAction.CANCELLATION_ORDERED,
        run=cancel,
        warning="Every paid subscription of the user ends with its paid period; a schedule ends.",
        uses_network=True,
        max_rows=1,
    ),
    StaffAction(
        name="resume_subscription",
        label="Resume subscription",
        permission="djstripe.change_subscription",
        event=BillingAction.RESUMPTION_ORDERED,
        run=resume,
        warning="Every cancellation that has not taken effect is revoked; a schedule ends.",
        uses_network=True,
        max_rows=1,
    ),
]
