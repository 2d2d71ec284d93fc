"""Admin pages of billing: Stripe's mirror to read, grants to revoke, alerts to resolve.

The admin of dj-stripe is unregistered. Through its URLs any member of staff could cancel
subscriptions, without a permission or an audit event. It displays keys, and lets staff edit rows of
Stripe. Its search and its invoices fail on the present data of Stripe.
"""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from djstripe import models as djstripe
from djstripe.admin import admin as djstripe_admin  # noqa: F401 registers pages to unregister

from accounts.models import User
from backoffice.actions.base import ActionContext, StaffAction
from backoffice.actions.billing import STRIPE_ACTIONS
from backoffice.pages.base import (
    ChoiceFilter,
    ReadOnlyAdmin,
    as_mobile,
    as_uuid,
    change_link,
    user_query,
)
from billing.entitlement import end_grant
from billing.models import BillingAction, DailyQuota, Flag, Grant, UsageRecord
from billing.stripe.replay import replay
from billing.stripe.subscriptions import is_ending, is_paused, period_end
from gemchat.api.errors import DomainError

admin.site.unregister([m for m in admin.site._registry if m._meta.app_label == "djstripe"])

DASHBOARD = "https://dashboard.stripe.com"
# Pages of Stripe's dashboard by the prefix of an id.
DASHBOARD_PAGES = {
    "cus_": "customers",
    "sub_": "subscriptions",
    "ch_": "payments",
    "evt_": "events",
}


def stripe_link(stripe_id: str | None) -> SafeString | str:
    """Return a link to the object's page in Stripe's dashboard."""
    pages = [page for start, page in DASHBOARD_PAGES.items() if (stripe_id or "").startswith(start)]
    if not pages:
        return stripe_id or ""
    mode = "" if settings.STRIPE_LIVE_MODE else "/test"
    url = f"{DASHBOARD}{mode}/{pages[0]}/{stripe_id}"
    return format_html('<a href="{}" rel="noreferrer">{}</a>', url, stripe_id)


class MirrorAdmin(ReadOnlyAdmin):
    """Rows in the last state from Stripe."""

    search_help_text = "A whole id of Stripe's."
    customer_field = ""

    @admin.display(description="Status")
    def status(self, row: Any) -> str:
        return row.stripe_data.get("status") or ""

    @admin.display(description="Amount")
    def amount(self, row: Any) -> str:
        """Return the amount in the smallest unit of the currency, like Stripe."""
        return f"{row.stripe_data.get('amount')} {row.stripe_data.get('currency')}"

    @admin.display(description="At Stripe")
    def at_stripe(self, row: Any) -> str:
        return stripe_link(row.id)

    @admin.display(description="User")
    def user(self, row: Any) -> SafeString | str:
        return change_link(User, row.owner_id, row.owner_mobile) if row.owner_id else ""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        if not self.customer_field:
            return rows
        owners = User.objects.filter(stripe_customer_id=OuterRef(self.customer_field))
        return rows.annotate(
            owner_id=Subquery(owners.values("pk")[:1]),
            owner_mobile=Subquery(owners.values("mobile")[:1]),
        )

    def search_query(self, term: str) -> Q:
        """Find rows by Stripe's id, or by the mobile number of the customer's user."""
        query = Q(id=term)
        if self.customer_field:
            customer_id = (
                User.objects.filter(mobile=as_mobile(term))
                .values_list("stripe_customer_id", flat=True)
                .first()
            )
            query |= Q(**{self.customer_field: customer_id or term})
        return query


@admin.register(djstripe.Customer)
class CustomerAdmin(MirrorAdmin):
    customer_field = "id"
    search_help_text = "A whole id of Stripe's, or the whole mobile number of the user."
    list_display = ["id", "user", "email", "created", "livemode", "date_purged"]
    fields = ["at_stripe", "user", "email", "metadata", "created", "livemode", "date_purged"]
    readonly_fields = ["at_stripe", "user"]
    staff_actions = STRIPE_ACTIONS


@admin.register(djstripe.Subscription)
class SubscriptionAdmin(MirrorAdmin):
    customer_field = "customer_id"
    search_help_text = "A whole id of Stripe's, or the whole mobile number of the user."
    columns = ("user", "customer_id", "status", "collection", "ending", "paid_until", "created")
    list_display = ("id", *columns)
    fields = ("at_stripe", *columns, "schedule", "livemode", "stripe_data")
    readonly_fields = ["at_stripe", "schedule", *columns[:-1]]
    staff_actions = STRIPE_ACTIONS

    @admin.display(description="Ending", boolean=True)
    def ending(self, row: djstripe.Subscription) -> bool:
        return is_ending(row.stripe_data)

    @admin.display(description="Collection")
    def collection(self, row: djstripe.Subscription) -> str:
        """Return the pause of collection, and Stripe's treatment of the invoices."""
        if not is_paused(row.stripe_data):
            return ""
        return f"Paused ({row.stripe_data['pause_collection'].get('behavior')})"

    @admin.display(description="Schedule")
    def schedule(self, row: djstripe.Subscription) -> str:
        return row.stripe_data.get("schedule") or ""

    @admin.display(description="Paid until")
    def paid_until(self, row: djstripe.Subscription) -> Any:
        return period_end(row.stripe_data)


@admin.register(djstripe.Session)
class SessionAdmin(MirrorAdmin):
    customer_field = "customer_id"
    search_help_text = "A whole id of Stripe's, or the whole mobile number of the user."
    columns = ("user", "customer_id", "status", "created")
    list_display = ("id", *columns)
    fields = ("id", *columns, "livemode", "stripe_data")
    readonly_fields = ["user", "customer_id", "status"]


@admin.register(djstripe.Charge)
class ChargeAdmin(MirrorAdmin):
    customer_field = "customer_id"
    search_help_text = "A whole id of Stripe's, or the whole mobile number of the user."
    columns = ("user", "customer_id", "status", "amount", "created")
    list_display = ("id", *columns)
    fields = ("at_stripe", *columns, "livemode", "stripe_data")
    readonly_fields = ["at_stripe", "user", "customer_id", "status", "amount"]


@admin.register(djstripe.Dispute)
class DisputeAdmin(MirrorAdmin):
    columns = ("status", "amount", "created")
    list_display = ("id", *columns)
    fields = ("id", *columns, "livemode", "stripe_data")
    readonly_fields = ["status", "amount"]


@admin.register(djstripe.Event)
class EventAdmin(MirrorAdmin):
    columns = ("type", "created", "livemode")
    list_display = ("id", *columns)
    fields = ("at_stripe", *columns, "api_version", "data")
    readonly_fields = ["at_stripe"]


class FailedFilter(ChoiceFilter):
    title = "outcome"
    parameter_name = "outcome"
    options = {"failed": ("Failed", ~Q(exception=""))}


def replay_delivery(context: ActionContext) -> str:
    replay(context.row)
    return "The event has been processed."


@admin.register(djstripe.WebhookEventTrigger)
class DeliveryAdmin(ReadOnlyAdmin):
    """Verified deliveries; a failed delivery has its exception."""

    columns = ("created", "event", "processed", "exception", "remote_ip")
    list_display = columns
    list_filter = [FailedFilter]
    list_select_related = ["event"]
    fields = (*columns, "traceback", "body")
    search_fields = []
    staff_actions = [
        StaffAction(
            name="replay",
            label="Replay",
            permission="djstripe.change_webhookeventtrigger",
            event=BillingAction.WEBHOOK_REPLAYED,
            run=replay_delivery,
            warning="The failed work of the delivery runs again, with the present state at Stripe.",
            uses_network=True,
            max_rows=10,
        )
    ]


@admin.register(DailyQuota)
class DailyQuotaAdmin(ReadOnlyAdmin):
    list_display = ["user", "day", "used", "unanswered", "cost_micro_usd", "text_bytes"]
    list_select_related = ["user"]


@admin.register(UsageRecord)
class UsageRecordAdmin(ReadOnlyAdmin):
    list_display = [
        "created_at",
        "user",
        "purpose",
        "reply_id",
        "attempt",
        "model",
        "outcome",
        "error_code",
        "prompt_tokens",
        "output_tokens",
        "tool_prompt_tokens",
        "audio_tokens",
        "search_queries",
        "cost_micro_usd",
        "search_cost_micro_usd",
        "estimated",
    ]
    list_select_related = ["user"]
    ordering = ["-created_at", "-pk"]
    search_help_text = "The whole id of a reply or of a user, or a user's whole mobile number."

    def search_query(self, term: str) -> Q:
        key = as_uuid(term)
        if key and UsageRecord.objects.filter(reply_id=key).exists():
            return Q(reply_id=key)
        return user_query(term)


def revoke_grant(context: ActionContext) -> str:
    return "Revoked." if end_grant(context.row) else "The grant was over already."


@admin.register(Grant)
class GrantAdmin(ReadOnlyAdmin):
    """Grants of Pro: given on the page of the user, revoked here, never edited."""

    list_display = ["user", "until", "reason", "granted_by", "created_at"]
    list_select_related = ["user", "granted_by"]
    staff_actions = [
        StaffAction(
            name="end",
            label="Revoke now",
            permission="billing.change_grant",
            event=BillingAction.GRANT_ENDED,
            run=revoke_grant,
            warning="A user who is Pro by this grant alone is basic again at once.",
        )
    ]


class OpenFilter(ChoiceFilter):
    title = "state"
    parameter_name = "state"
    options = {"open": ("Open", Q(resolved_at=None))}


class AlertResolved(DomainError):
    code = "flag_settled"
    message = "This has been resolved already."
    status = 409


def resolve_alert(context: ActionContext) -> None:
    open_alert = Flag.objects.filter(pk=context.row.pk, resolved_at=None)
    if not open_alert.update(resolved_at=timezone.now()):
        raise AlertResolved


@admin.register(Flag)
class FlagAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "kind", "stripe_id", "user", "note", "resolved_at"]
    list_select_related = ["user"]
    list_filter = [OpenFilter]
    search_help_text = "A whole id of Stripe's, or the whole mobile number of the user."
    staff_actions = [
        StaffAction(
            name="resolve",
            label="Resolve",
            permission="billing.change_flag",
            event=BillingAction.FLAG_SETTLED,
            run=resolve_alert,
        )
    ]

    def search_query(self, term: str) -> Q:
        return Q(stripe_id=term) | user_query(term)
