"""Billing as staff see it: Stripe's mirror to read, grants to give, flags to settle.

dj-stripe's own admin is taken out whole. Any member of staff could cancel subscriptions at Stripe
through its URLs, without a permission and without a trace; it shows keys and lets rows be edited
that only Stripe may change; and its search and its invoices fail on what Stripe sends today.
"""

from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone
from djstripe import models as djstripe
from djstripe.admin import admin as djstripe_admin  # noqa: F401 registers what is taken out

from accounts.admin import ReadOnlyAdmin
from accounts.models import User
from billing import mirror
from billing.entitlement import refresh_tiers
from billing.grants import end_grant
from billing.models import DailyQuota, Flag, Grant, UsageRecord
from billing.stripe_api import BillingNotConfigured, PaymentUnavailable, stripe_calls
from billing.subscriptions import is_ending, period_end

for model in [each for each in admin.site._registry if each._meta.app_label == "djstripe"]:
    admin.site.unregister(model)


class MirrorAdmin(ReadOnlyAdmin):
    """Rows as Stripe last sent them. Nothing here changes anything at Stripe."""

    search_fields = ["id"]
    ordering = ["-created"]
    actions = ["fetch_again"]

    @admin.display(description="Status")
    def status(self, row: Any) -> str:
        return row.stripe_data.get("status") or ""

    @admin.display(description="Amount")
    def amount(self, row: Any) -> str:
        """In the smallest unit of the currency, as Stripe counts."""
        return f"{row.stripe_data.get('amount')} {row.stripe_data.get('currency')}"

    @admin.display(description="User")
    def user(self, row: Any) -> str:
        customer_id = row.id if isinstance(row, djstripe.Customer) else row.customer_id
        owner = User.objects.filter(stripe_customer_id=customer_id).first()
        return str(owner or "")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By id, or by the mobile number of the user who has the customer."""
        found, duplicates = super().get_search_results(request, queryset, search_term)
        owners = User.objects.filter(
            mobile__icontains=search_term, stripe_customer_id__isnull=False
        )
        field = {djstripe.Customer: "id", djstripe.Subscription: "customer"}.get(self.model)
        if search_term and field:
            customer_ids = list(owners.values_list("stripe_customer_id", flat=True)[:100])
            found |= queryset.filter(**{f"{field}__in": customer_ids})
        return found, duplicates

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        if self.model not in (djstripe.Customer, djstripe.Subscription):
            actions.pop("fetch_again", None)
        return actions

    def has_fetch_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("billing.change_grant")

    @admin.action(description="Fetch again from Stripe", permissions=["fetch"])
    def fetch_again(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        for row in rows:
            customer_id = row.id if isinstance(row, djstripe.Customer) else row.customer_id
            try:
                with stripe_calls():
                    mirror.sync_customer(customer_id)
            except (PaymentUnavailable, BillingNotConfigured) as error:
                self.message_user(request, f"{customer_id}: {error}", messages.ERROR)
                return
            self.log_change(request, row, "Fetched again from Stripe.")


@admin.register(djstripe.Customer)
class CustomerAdmin(MirrorAdmin):
    list_display = ["id", "user", "email", "created", "livemode", "date_purged"]
    fields = ["id", "user", "email", "metadata", "created", "livemode", "date_purged"]
    readonly_fields = ["user"]


@admin.register(djstripe.Subscription)
class SubscriptionAdmin(MirrorAdmin):
    columns = ("id", "user", "customer_id", "status", "ending", "paid_until", "created")
    list_display = columns
    fields = (*columns, "livemode", "stripe_data")
    readonly_fields = ["user", "customer_id", "status", "ending", "paid_until"]

    @admin.display(description="Ending", boolean=True)
    def ending(self, row: djstripe.Subscription) -> bool:
        return is_ending(row.stripe_data)

    @admin.display(description="Paid until")
    def paid_until(self, row: djstripe.Subscription) -> Any:
        return period_end(row.stripe_data)


@admin.register(djstripe.Session)
class SessionAdmin(MirrorAdmin):
    columns = ("id", "user", "customer_id", "status", "created")
    list_display = columns
    fields = (*columns, "livemode", "stripe_data")
    readonly_fields = ["user", "customer_id", "status"]


@admin.register(djstripe.Charge)
class ChargeAdmin(MirrorAdmin):
    columns = ("id", "user", "customer_id", "status", "amount", "created")
    list_display = columns
    fields = (*columns, "livemode", "stripe_data")
    readonly_fields = ["user", "customer_id", "status", "amount"]


@admin.register(djstripe.Dispute)
class DisputeAdmin(MirrorAdmin):
    columns = ("id", "status", "amount", "created")
    list_display = columns
    fields = (*columns, "livemode", "stripe_data")
    readonly_fields = ["status", "amount"]


@admin.register(djstripe.Event)
class EventAdmin(MirrorAdmin):
    columns = ("id", "type", "created", "livemode")
    list_display = columns
    list_filter = ["type"]
    fields = (*columns, "api_version", "data")


@admin.register(djstripe.WebhookEventTrigger)
class DeliveryAdmin(ReadOnlyAdmin):
    """Verified deliveries; those that failed have their exception."""

    columns = ("created", "event", "processed", "exception", "remote_ip")
    list_display = columns
    list_filter = ["processed"]
    list_select_related = ["event"]
    fields = (*columns, "traceback", "body")
    ordering = ["-created"]


@admin.register(DailyQuota)
class DailyQuotaAdmin(ReadOnlyAdmin):
    list_display = ["user", "day", "used"]
    list_select_related = ["user"]
    list_filter = ["day"]
    search_fields = ["user__mobile"]
    ordering = ["-day", "-used"]


@admin.register(UsageRecord)
class UsageRecordAdmin(ReadOnlyAdmin):
    list_display = [
        *["created_at", "user", "model", "outcome", "prompt_tokens", "output_tokens"],
        *["cost_micro_usd", "estimated"],
    ]
    list_select_related = ["user"]
    list_filter = ["model", "outcome"]
    search_fields = ["user__mobile", "reply_id"]
    ordering = ["-created_at"]


class GrantForm(ModelForm):
    def clean_until(self) -> datetime:
        until: datetime = self.cleaned_data["until"]
        if until <= timezone.now():
            raise ValidationError("This is over already.")
        return until


@admin.register(Grant)
class GrantAdmin(admin.ModelAdmin):
    """Given once and never edited; taken back by the action."""

    form = GrantForm
    list_display = ["user", "until", "reason", "granted_by", "created_at"]
    list_select_related = ["user", "granted_by"]
    search_fields = ["user__mobile", "reason"]
    raw_id_fields = ["user"]
    fields = ["user", "until", "reason"]
    ordering = ["-created_at"]
    actions = ["end"]

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return obj is None and super().has_change_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Grant, form: ModelForm, change: bool) -> None:
        obj.granted_by = request.user  # type: ignore[assignment]  # staff are signed in
        super().save_model(request, obj, form, change)
        refresh_tiers([obj.user_id])

    @admin.action(description="Take back now", permissions=["change"])
    def end(self, request: HttpRequest, grants: QuerySet[Grant]) -> None:
        for grant in grants:
            if end_grant(grant):
                self.log_change(request, grant, "Taken back.")


@admin.register(Flag)
class FlagAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "kind", "stripe_id", "user", "note", "resolved_at"]
    list_select_related = ["user"]
    list_filter = ["kind", ("resolved_at", admin.EmptyFieldListFilter)]
    search_fields = ["stripe_id", "user__mobile"]
    ordering = ["-created_at"]
    actions = ["resolve"]

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("billing.change_flag")

    @admin.action(description="Settled", permissions=["resolve"])
    def resolve(self, request: HttpRequest, flags: QuerySet[Flag]) -> None:
        for flag in flags.filter(resolved_at=None):
            if Flag.objects.filter(pk=flag.pk, resolved_at=None).update(resolved_at=timezone.now()):
                self.log_change(request, flag, "Settled.")
